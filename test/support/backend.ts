// Real backends for tests over real sockets: what they saw is remembered, what they answer is a function.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import net from 'node:net'

/** A request as the backend got it. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly fields: readonly string[]
}

/** A backend on a free port. */
export interface Backend {
  readonly port: number
  readonly seen: Seen[]
  close(): Promise<void>
}

/** A node:http server on 127.0.0.1 or another address of this machine; without a function it answers 200 with its name. */
export async function startBackend(
  name: string,
  answer: (req: IncomingMessage, res: ServerResponse) => void = (req, res) => {
    req.resume()
    res.end(name)
  },
  address = '127.0.0.1',
): Promise<Backend> {
  const seen: Seen[] = []
  const take = (req: IncomingMessage, res: ServerResponse) => {
    seen.push({ method: req.method ?? '', url: req.url ?? '', fields: req.rawHeaders })
    answer(req, res)
  }
  const server = createServer({ keepAliveTimeout: 30_000 }, take)
  server.on('checkContinue', take)
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  return { port: portOf(server.address()), seen, close: () => closeServer(server, () => server.closeAllConnections()) }
}

/** A port of 127.0.0.1 that nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const port = portOf(server.address())
  await closeServer(server, () => {})
  return port
}

function closeServer(server: net.Server, cut: () => void): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    cut()
  })
}

function portOf(address: ReturnType<net.Server['address']>): number {
  return typeof address === 'object' && address !== null ? address.port : 0
}

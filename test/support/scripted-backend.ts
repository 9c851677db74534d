// Backends that do exactly what a test says, over real sockets, and one place that hears all of an attempt's events.
import net from 'node:net'
import { createEndpointClient, type EndpointClientOptions } from '../../dataplane/http1/client.ts'
import type { Tunnel } from '../../dataplane/runtime/carrier.ts'
import type {
  AttemptTimeouts,
  EndpointClient,
  UpstreamCall,
  UpstreamFailure,
  UpstreamRequest,
} from '../../dataplane/runtime/upstream.ts'

/** A listening backend. */
export interface ScriptedBackend {
  readonly port: number
  /** Connections accepted so far. */
  readonly accepted: number
  readonly open: ReadonlySet<net.Socket>
  client(options?: Partial<EndpointClientOptions>): EndpointClient
  close(): Promise<void>
}

/** Listens on a free port; `script` gets each connection and its number, from 0. */
export async function startBackend(
  script: (socket: net.Socket, index: number) => void,
  options: net.ServerOpts = {},
): Promise<ScriptedBackend> {
  const open = new Set<net.Socket>()
  const clients: EndpointClient[] = []
  let accepted = 0
  const server = net.createServer({ allowHalfOpen: true, noDelay: true, ...options }, (socket) => {
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
    script(socket, accepted++)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  return {
    port,
    get accepted() {
      return accepted
    },
    open,
    client(more = {}) {
      const client = createEndpointClient({ address: '127.0.0.1', port, ...more })
      clients.push(client)
      return client
    },
    close() {
      for (const client of clients) client.close()
      for (const socket of open) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** Calls `answer` for each request head that comes (bodies are the caller's business: `rest` is what follows it). */
export function onRequests(socket: net.Socket, answer: (head: string, count: number) => void): void {
  let text = ''
  let count = 0
  socket.on('end', () => socket.end())
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
      const head = text.slice(0, end + 4)
      text = text.slice(end + 4)
      answer(head, count++)
    }
  })
}

/** Everything that became of one attempt. */
export interface AttemptLog {
  readonly interims: number[]
  status: number
  length: number | null | undefined
  fields: readonly string[]
  body: string
  trailers: readonly string[] | undefined
  failure: UpstreamFailure | undefined
  tunnel: Tunnel | undefined
  drains: number
  /** Events after the last one. Must stay 0. */
  late: number
}

export interface RunningAttempt {
  readonly call: UpstreamCall
  readonly log: AttemptLog
  /** Resolves at the last event. */
  readonly done: Promise<AttemptLog>
}

export interface AttemptOptions {
  readonly timeouts?: Partial<AttemptTimeouts>
  readonly onChunk?: (chunk: Uint8Array, log: AttemptLog) => boolean
  readonly onHead?: () => void
  readonly onInterim?: (status: number) => void
  readonly onDrain?: () => void
  readonly onTunnel?: (tunnel: Tunnel) => void
}

/** Starts an attempt: a GET of `/` unless told otherwise. */
export function send(
  client: EndpointClient,
  request: Partial<UpstreamRequest> = {},
  options: AttemptOptions = {},
): RunningAttempt {
  const log: AttemptLog = {
    interims: [],
    status: 0,
    length: undefined,
    fields: [],
    body: '',
    trailers: undefined,
    failure: undefined,
    tunnel: undefined,
    drains: 0,
    late: 0,
  }
  let ended = false
  let finish: (log: AttemptLog) => void = () => {}
  const done = new Promise<AttemptLog>((resolve) => {
    finish = resolve
  })
  const seen = () => {
    if (ended) log.late += 1
  }
  const end = () => {
    seen()
    ended = true
    finish(log)
  }
  const call = client.send(
    {
      method: 'GET',
      target: '/',
      fields: ['Host', 'backend.test'],
      bodyLength: 0,
      websocket: false,
      expectContinue: false,
      ...request,
    },
    { connect: 5000, firstByte: 20_000, idle: 20_000, ...options.timeouts },
    {
      onInterim(status) {
        seen()
        log.interims.push(status)
        options.onInterim?.(status)
      },
      onHead(status, fields, length) {
        seen()
        log.status = status
        log.fields = fields
        log.length = length
        options.onHead?.()
      },
      onChunk(chunk) {
        seen()
        log.body += Buffer.from(chunk).toString('latin1')
        return options.onChunk?.(chunk, log) ?? true
      },
      onEnd(trailers) {
        log.trailers = trailers
        end()
      },
      onTunnel(_, tunnel) {
        log.tunnel = tunnel
        options.onTunnel?.(tunnel)
        end()
      },
      onDrain() {
        seen()
        log.drains += 1
        options.onDrain?.()
      },
      onFailure(failure) {
        log.failure = failure
        end()
      },
    },
  )
  return { call, log, done }
}

/** Waits until something holds; fails the test by its own timeout where it never does. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
}

/** Lets everything that is under way happen. */
export const settle = (milliseconds = 20): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })

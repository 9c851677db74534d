// Backends of the demo: one process that answers for the endpoints it is told of, so that killing it is a real death.
// Started by backends.ts with what it is to be; says its ports over the channel and ends with its parent.
import { createServer, type ServerResponse } from 'node:http'
import { flushCompileCache } from 'node:module'
import type { BackendRole } from './backends.ts'

const WORDS = 'The gateway does not notice a neighbour that shouts'.split(' ')

const roles = JSON.parse(process.argv[2] ?? '[]') as readonly BackendRole[]
// The terminal sends Ctrl-C to every process of the group; the demo decides when its backends end.
process.on('SIGINT', () => undefined)
process.on('disconnect', () => process.exit(0))
const ports = await Promise.all(roles.map(serve))
process.send?.({ ports })
// It ends by a kill, which would leave nothing for the next start.
flushCompileCache()

function serve({ name, port, streams }: BackendRole): Promise<number> {
  const server = createServer((request, response) => {
    request.resume()
    response.setHeader('x-backend', name)
    if (streams === 0) answer(response, name, request.url ?? '/')
    else stream(response, streams / WORDS.length)
  })
  server.keepAliveTimeout = 60_000
  server.on('error', (error: NodeJS.ErrnoException) => {
    process.send?.({ failed: `${name}: ${error.code ?? error.message}` })
    process.exit(1)
  })
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      resolve(address !== null && typeof address === 'object' ? address.port : 0)
    })
  })
}

function answer(response: ServerResponse, name: string, path: string): void {
  const body = `${JSON.stringify({ backend: name, path, at: new Date().toISOString() })}\n`
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

function stream(response: ServerResponse, pause: number): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const words = [...WORDS]
  const timer = setInterval(() => {
    const word = words.shift()
    if (word === undefined) response.end('data: [DONE]\n\n')
    else response.write(`data: ${JSON.stringify({ word })}\n\n`)
    if (word === undefined) clearInterval(timer)
  }, pause)
  response.on('close', () => clearInterval(timer))
}

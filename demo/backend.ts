// A backend of the demo: a process of its own that answers for one endpoint, so that killing it is a real death.
// Started by backends.ts with its name, port and streaming time; says its port over the channel and ends with its parent.
import { createServer, type ServerResponse } from 'node:http'

const [name = 'backend', wantedPort = '0', streams = '0'] = process.argv.slice(2)
const WORDS = 'The gateway does not notice a neighbour that shouts'.split(' ')

const server = createServer((request, response) => {
  request.resume()
  response.setHeader('x-backend', name)
  if (streams === '0') answer(response, request.url ?? '/')
  else stream(response, Number(streams) / WORDS.length)
})
server.keepAliveTimeout = 60_000
server.on('error', (error: NodeJS.ErrnoException) => {
  process.send?.({ failed: error.code ?? error.message })
  process.exit(1)
})
server.listen(Number(wantedPort), '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') process.send?.({ port: address.port })
})
process.on('disconnect', () => process.exit(0))
// The terminal sends Ctrl-C to every process of the group; the demo decides when its backends end.
process.on('SIGINT', () => undefined)

function answer(response: ServerResponse, path: string): void {
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

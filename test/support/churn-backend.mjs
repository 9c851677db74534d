// A backend for the churn run, as a process of its own so that SIGKILL really kills it. Every request that reaches it
// is appended to a file before anything is answered, so that nothing it saw is lost with it. Plain JavaScript.
// usage: churn-backend.mjs PORT LOGFILE NAME
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'
import net from 'node:net'

const [port, log, name] = process.argv.slice(2)
let draining = false

const http = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const id = request.headers['x-probe'] ?? ''
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    appendFileSync(log, `${request.method} ${id} ${name}\n`)
    if (draining) response.setHeader('connection', 'close')
    const body = `${id}:${Buffer.concat(chunks).length}:${'x'.repeat(200)}`
    response.setHeader('content-length', Buffer.byteLength(body))
    const wait = Number(id.slice(-2)) % 20
    if (wait === 7) {
      // An answer that begins and ends a while later: what a kill cuts in the middle.
      response.write(body.slice(0, 20))
      setTimeout(() => response.end(body.slice(20)), 15)
    } else setTimeout(() => response.end(body), wait)
  })
})

// The listener is apart from the HTTP server, because closing that one would cut idle connections at once.
const listener = net.createServer((socket) => http.emit('connection', socket))
listener.listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'))

process.on('SIGTERM', () => {
  draining = true
  listener.close()
  setTimeout(() => process.exit(0), 1_000)
})

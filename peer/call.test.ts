// Calls to a peer over real TLS, while the caller's own loop is busy.
import { once } from 'node:events'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { Worker } from 'node:worker_threads'
import { afterEach, expect, test } from 'vitest'
import { makeCa, makeLeaf } from '../test/support/certificates.ts'
import { PeerCaller } from './call.ts'

const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

/** Answers the first bytes of each call from a thread of its own, whatever the caller's loop does; reads no more if told. */
const SERVER = `
const { createServer } = require('node:tls')
const { parentPort, workerData } = require('node:worker_threads')
const server = createServer(workerData, (socket) => {
  socket.on('error', () => {})
  socket.on('data', (data) => {
    if (String(data).startsWith('POST /early')) socket.pause()
    socket.write('HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\n{}')
  })
})
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
`

async function startPeer(): Promise<{ readonly caller: PeerCaller; readonly connections: () => number }> {
  const { certPem: cert, keyPem: key } = await makeLeaf(await makeCa())
  const worker = new Worker(SERVER, { eval: true, workerData: { cert, key } })
  stops.push(() => worker.terminate())
  const [port] = (await once(worker, 'message')) as [number]
  let connections = 0
  const caller = new PeerCaller(async () => {
    connections++
    const socket: TLSSocket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    return socket
  })
  stops.push(() => caller.close())
  return { caller, connections: () => connections }
}

const limits = { timeout: 5_000, idle: 5_000, maxAnswer: 1_000 }
const body = { type: 'application/json', content: '{"some":"thing"}' }

function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

test('an answer that is read before the loop tells of the write keeps the connection', async () => {
  const { caller, connections } = await startPeer()
  await caller.json({ method: 'POST', path: '/', body, ...limits })
  for (let call = 0; call < 20; call++) {
    await new Promise((resolve, reject) => {
      setImmediate(() => {
        caller.json({ method: 'POST', path: '/', body, ...limits }).then(resolve, reject)
        setTimeout(() => block(15), 0)
      })
    })
  }
  expect(connections()).toBe(1)
})

test('who is answered early and never takes the rest loses the connection', async () => {
  const { caller, connections } = await startPeer()
  const large = { type: 'application/json', content: 'x'.repeat(50_000_000) }
  await caller.json({ method: 'POST', path: '/early', body: large, ...limits })
  await new Promise((resolve) => setTimeout(resolve, 1_300))
  await caller.json({ method: 'POST', path: '/', body, ...limits })
  expect(connections()).toBe(2)
})

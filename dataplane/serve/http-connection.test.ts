import { createServer } from 'node:http'
import { createServer as createNetServer, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import { afterEach, expect, it } from 'vitest'
import { AddressRanges } from '../../model/address.ts'
import { makeCa, makeLeaf } from '../../test/support/certificates.ts'
import { MemoryUpstream } from '../../test/support/memory-upstream.ts'
import { oneRoute } from '../../test/support/one-route.ts'
import { RawClient } from '../../test/support/raw-client.ts'
import { Connection } from '../runtime/client-connection.ts'
import { createHandler } from '../runtime/exchange.ts'
import { createRefuse } from '../runtime/exchange-refusal.ts'
import { HttpConnection } from './http-connection.ts'

const closing: (() => void)[] = []

afterEach(() => {
  for (const close of closing.splice(0).reverse()) close()
})

/** One connection whose clock the test holds. */
async function setUp(over: 'TCP' | 'TLS' = 'TCP') {
  const backend = new MemoryUpstream()
  const context = oneRoute([backend])
  const handler = createHandler(context)
  const found = Promise.withResolvers<HttpConnection>()
  const connections = new Map<Socket, HttpConnection>()
  const http = createServer({ shouldUpgradeCallback: (req) => connections.get(req.socket)?.mayUpgrade(req) ?? false })
  http.on('request', (req, res) => connections.get(req.socket)?.take(req, res))
  http.on('upgrade', (req, socket, head) => connections.get(socket as Socket)?.upgrade(req, head))
  const open = (socket: Socket, transport: Socket) => {
    const client = new Connection({
      peerAddress: socket.remoteAddress ?? '',
      localPort: 0,
      tls: null,
      trusted: new AddressRanges([]),
    })
    const connection = new HttpConnection(socket, transport, client, {
      handler,
      refuse: createRefuse(context),
      route: (_req, _res, serve) => serve(),
      draining: () => false,
      closed: (closed) => connections.delete(closed),
    })
    connections.set(socket, connection)
    http.emit('connection', socket)
    found.resolve(connection)
  }
  const leaf = over === 'TCP' ? undefined : await makeLeaf(await makeCa(), { names: ['app.test'] })
  const server = createNetServer({ allowHalfOpen: true }, (transport) => {
    if (leaf === undefined) {
      open(transport, transport)
      return
    }
    transport.on('error', () => {})
    const secureContext = createSecureContext({ cert: leaf.certPem, key: leaf.keyPem })
    const secure = new TLSSocket(transport, { isServer: true, secureContext })
    secure.once('secure', () => open(secure, transport))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const client = await RawClient.connect(
    typeof address === 'object' && address !== null ? address.port : 0,
    over === 'TCP' ? undefined : { rejectUnauthorized: false },
  )
  const connection = await found.promise
  closing.push(
    () => context.close(),
    () => server.close(),
    () => connection.destroy(),
    () => client.destroy(),
  )
  return { backend, context, client, connection, later: (ms: number) => connection.watch(performance.now() + ms) }
}

it('answers 408 to a body that does not flow, and aborts the backend', async () => {
  const { backend, client, later } = await setUp()
  await client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\nabc')
  const script = await backend.next()
  await backend.until(() => script.body === 'abc')
  later(9_000)
  expect(script.aborted).toBe(false)
  later(11_000)
  const answer = await client.answer('POST')
  expect(answer.status).toBe(408)
  expect(script.aborted).toBe(true)
  await client.closed()
})

it('lets a body flow slowly, and a client wait for a slow backend', async () => {
  const { backend, client, later } = await setUp()
  await client.send(`POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10000\r\n\r\n${'x'.repeat(5_000)}`)
  const script = await backend.next()
  await backend.until(() => script.body.length === 5_000)
  later(11_000)
  await client.send('x'.repeat(5_000))
  await backend.until(() => script.bodyEnded)
  later(3_600_000)
  expect(script.aborted).toBe(false)
  script.answer(200)
  expect((await client.answer('POST')).status).toBe(200)
})

const HANDSHAKE =
  'GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

it.each([
  ['TCP', 'a request', 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n'],
  ['TLS', 'a request', 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n'],
  ['TLS', 'HTTP/1.0', 'GET / HTTP/1.0\r\nHost: app.test\r\n\r\n'],
  ['TCP', 'a handshake that the backend does not take', HANDSHAKE],
] as const)('cuts a client that takes nothing of its answer, over %s: %s', async (over, _, text) => {
  const { backend, client, context, later } = await setUp(over)
  await client.send(text)
  const script = await backend.next()
  script.head(200, [], null)
  // More than all buffers of the kernel hold.
  for (let part = 0; part < 32; part += 1) script.chunk(Buffer.alloc(1_048_576))
  await new Promise((resolve) => setTimeout(resolve, 50))
  later(0)
  later(29_000)
  expect(script.aborted).toBe(false)
  later(31_000)
  await backend.until(() => script.aborted)
  expect(context.records[0]).toMatchObject({ status: 200, aborted: true })
  expect(context.faults).toEqual([])
})

it('cuts an HTTP/1.0 answer over TLS that the backend breaks off', async () => {
  const { backend, client, context } = await setUp('TLS')
  await client.send('GET / HTTP/1.0\r\nHost: app.test\r\n\r\n')
  const script = await backend.next()
  script.head(200, [], null)
  script.chunk('abc')
  await client.head()
  script.fail({ answered: true })
  await client.closed()
  expect(context.faults).toEqual([])
})

it('does not keep a connection for a rest of a body that never comes', async () => {
  const { backend, client, later } = await setUp()
  await client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nabc')
  const script = await backend.next()
  await backend.until(() => script.body === 'abc')
  script.answer(400)
  expect((await client.answer('POST')).status).toBe(400)
  later(11_000)
  await client.closed()
})

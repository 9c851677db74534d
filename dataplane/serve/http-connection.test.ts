import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { AddressRanges } from '../../model/address.ts'
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
async function setUp() {
  const backend = new MemoryUpstream()
  const context = oneRoute([backend])
  const handler = createHandler(context)
  const found = Promise.withResolvers<HttpConnection>()
  const connections = new Map<Socket, HttpConnection>()
  const server = createServer((req, res) => connections.get(req.socket)?.take(req, res))
  server.prependListener('connection', (socket: Socket) => {
    const client = new Connection({
      peerAddress: socket.remoteAddress ?? '',
      localPort: 0,
      tls: null,
      trusted: new AddressRanges([]),
    })
    const connection = new HttpConnection(socket, client, {
      handler,
      refuse: createRefuse(context),
      route: (_req, _res, serve) => serve(),
      draining: () => false,
      closed: (closed) => connections.delete(closed),
    })
    connections.set(socket, connection)
    found.resolve(connection)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const client = await RawClient.connect(typeof address === 'object' && address !== null ? address.port : 0)
  closing.push(
    () => context.close(),
    () => server.close(),
    () => server.closeAllConnections(),
    () => client.destroy(),
  )
  const connection = await found.promise
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

it('cuts a client that takes nothing of its answer', async () => {
  const { backend, client, context, later } = await setUp()
  await client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n')
  const script = await backend.next()
  script.head(200, [], null)
  // More than all buffers of the kernel hold.
  for (let part = 0; part < 32; part += 1) script.chunk(Buffer.alloc(1_048_576))
  await new Promise((resolve) => setTimeout(resolve, 50))
  later(0)
  later(29_000)
  expect(script.aborted).toBe(false)
  later(31_000)
  expect(script.aborted).toBe(true)
  expect(context.records[0]).toMatchObject({ status: 200, aborted: true })
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

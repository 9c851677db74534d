// Floods on one connection: what a client sends for nothing must cost the gateway next to nothing.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, expect, it } from 'vitest'
import { startBackend } from '../support/backend.ts'
import { RawClient } from '../support/raw-client.ts'
import { startBackend as startScripted } from '../support/scripted-backend.ts'
import { createTrial, pause, until } from '../support/trial.ts'
import { route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()
/** The shortest request that the gate would accept. */
const TINY = 'GET / HTTP/1.1\r\nHost:a\r\n\r\n'
/** Bytes that one read of a socket brings at most. */
const READ = 65_536

let parsed = 0
const count = () => {
  parsed += 1
}

afterEach(() => {
  unsubscribe('http.server.request.start', count)
})

/** Counts what node:http makes objects for. Backends must not be node:http, or they count too. */
function watchParser(): void {
  parsed = 0
  subscribe('http.server.request.start', count)
}

async function flood(client: RawClient, requests: number): Promise<void> {
  for (let sent = 0; sent < requests && !client.socket.destroyed; sent += 2_000) {
    await Promise.race([client.send(TINY.repeat(2_000)), pause(500)])
    await pause(1)
  }
}

it('parses nothing more behind a refused request', async () => {
  const gateway = await trial.gateway(world(tenant(['a.test'])))
  const client = await trial.keep(opened(gateway.port))
  await client.raw.send('GET / HTTP/1.1\r\nHost: a b\r\n\r\n')
  expect((await client.raw.head()).status).toBe(400)
  watchParser()
  await flood(client.raw, 60_000)
  expect(parsed).toBeLessThanOrEqual(READ / TINY.length)
})

it('holds a bounded number of requests behind one that is not answered', async () => {
  const slow = await trial.keep(startScripted((socket) => socket.resume()))
  const gateway = await trial.gateway(
    world(tenant(['a.test']), service('slow', [slow.port]), route('r', ['a.test'], [to('slow')])),
  )
  const client = await trial.keep(opened(gateway.port))
  await client.raw.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')
  await until(() => slow.accepted === 1)
  watchParser()
  await flood(client.raw, 60_000)
  expect(parsed).toBeLessThanOrEqual(READ / TINY.length)
  // More than may wait came at once: nothing of them is kept.
  await until(() => gateway.context.leases.size === 0)
  await client.raw.closed()
})

it('does not pass small chunks on one by one', async () => {
  let lines = 0
  const backend = await trial.keep(
    startScripted((socket) => {
      let body = ''
      socket.on('data', (chunk: Buffer) => {
        body += chunk.toString('latin1')
        if (!body.endsWith('\r\n0\r\n\r\n')) return
        lines = body.split('\r\n').length
        socket.end('HTTP/1.1 204 No Content\r\n\r\n')
      })
    }),
  )
  const gateway = await trial.gateway(
    world(tenant(['a.test']), service('b', [backend.port]), route('r', ['a.test'], [to('b')])),
  )
  const client = await trial.keep(opened(gateway.port))
  await client.raw.send(
    `POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\na\r\n'.repeat(20_000)}0\r\n\r\n`,
  )
  expect((await client.raw.answer('POST')).status).toBe(204)
  expect(gateway.context.records[0]).toMatchObject({ requestSize: 20_000 })
  expect(lines).toBeLessThan(500)
})

it('goes on with an answer behind which a CONNECT waits, and answers that too', async () => {
  const size = 20_000_000
  const big = await trial.keep(startBackend('big', (_, res) => res.end(Buffer.alloc(size))))
  const gateway = await trial.gateway(
    world(tenant(['a.test']), service('big', [big.port]), route('r', ['a.test'], [to('big')])),
  )
  const client = await trial.keep(opened(gateway.port))
  await client.raw.send(
    'GET / HTTP/1.1\r\nHost: a.test\r\n\r\nCONNECT a.test:1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc',
  )
  expect((await client.raw.answer()).body.length).toBe(size)
  expect((await client.raw.answer()).status).toBe(405)
  await client.raw.closed()
})

async function opened(port: number): Promise<{ raw: RawClient; close(): void }> {
  const raw = await RawClient.connect(port)
  return { raw, close: () => raw.destroy() }
}

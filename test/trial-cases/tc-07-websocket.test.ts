// TC-07: open sockets live through changes elsewhere, the subprotocol reaches the backend, no request clock runs on.
import { createServer } from 'node:http'
import { expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { makeCa, makeLeaf } from '../support/certificates.ts'
import { startBackend } from '../support/backend.ts'
import { field } from '../support/client-call.ts'
import { RawClient } from '../support/raw-client.ts'
import { createTrial, pause, until } from '../support/trial.ts'
import { certificate, route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()

/** Picks the second protocol offered and echoes. `refuse`: answers 403 and five bytes. */
async function startSockets(refuse = false) {
  const server = createServer()
  const seen: { url: string; protocols: string }[] = []
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][1] ?? false })
  server.on('upgrade', (req, socket, head) => {
    seen.push({ url: req.url ?? '', protocols: String(req.headers['sec-websocket-protocol']) })
    if (refuse) {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nno go')
      return
    }
    sockets.handleUpgrade(req, socket, head, (ws) => ws.on('message', (data, binary) => ws.send(data, { binary })))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return trial.keep({
    port: typeof address === 'object' && address !== null ? address.port : 0,
    seen,
    close: () => {
      for (const ws of sockets.clients) ws.terminate()
      server.close()
      server.closeAllConnections()
    },
  })
}

async function opened(port: number): Promise<{ ws: WebSocket; echo: (text: string) => Promise<string> }> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}/sock?t=a%20b`, ['v1.x', 'v2.x'], { headers: { Host: 'ws.test' } })
  await trial.keep({ close: () => ws.terminate() })
  await new Promise((resolve, reject) => {
    ws.on('open', resolve)
    ws.on('error', reject)
  })
  const echo = (text: string) =>
    new Promise<string>((resolve, reject) => {
      ws.once('message', (data) => resolve(String(data)))
      ws.once('close', () => reject(new Error('closed')))
      ws.send(text)
    })
  return { ws, echo }
}

it('keeps a socket through changes elsewhere and past the request limit', async () => {
  const backend = await startSockets()
  const other = await trial.keep(startBackend('other'))
  const ca = await makeCa()
  const rule = to('ws', '/sock', { timeouts: { request: '300ms' } })
  const build = async (others: readonly string[], endpoints: readonly number[]) =>
    world(
      tenant(['ws.test', 'other.test', 'tls.test']),
      service('ws', [backend.port]),
      service('other', endpoints),
      certificate('cert', await makeLeaf(ca, { names: ['tls.test'] })),
      route('r1', ['ws.test'], [rule]),
      route('tls', ['tls.test'], [to('other')], { tls: { certificateRefs: [{ name: 'cert' }] } }),
      others.map((host) => route(host.replace('.', '-'), [host], [to('other')])),
    )
  const gateway = await trial.gateway(await build([], []))
  const { ws, echo } = await opened(gateway.port)
  expect(ws.protocol).toBe('v2.x')
  expect(backend.seen).toEqual([{ url: '/sock?t=a%20b', protocols: 'v1.x,v2.x' }])
  expect(await echo('one')).toBe('one')
  for (const yaml of [
    await build(['other.test'], []),
    await build(['other.test'], [other.port]),
    await build([], [other.port]),
  ]) {
    await gateway.apply(yaml)
    expect(await echo('still')).toBe('still')
  }
  await pause(500)
  expect(await echo('x'.repeat(300_000))).toBe('x'.repeat(300_000))
  expect(backend.seen.length).toBe(1)
  ws.close(1000)
  await until(() => gateway.context.records.length === 1)
  expect(gateway.context.records[0]).toMatchObject({ status: 101, error: null, aborted: false })
  expect(gateway.context.state.tenant('acme').concurrency.value()).toBe(0)
})

it('passes a refusal with its body', async () => {
  const backend = await startSockets(true)
  const gateway = await trial.gateway(
    world(tenant(['ws.test']), service('ws', [backend.port]), route('r1', ['ws.test'], [to('ws', '/sock')])),
  )
  const client = await RawClient.connect(gateway.port)
  const answer = await client.request(handshake('/sock'))
  expect([answer.status, answer.body.toString()]).toEqual([403, 'no go'])
  expect(field(answer.fields, 'connection')).toBe('close')
  await client.closed()
  client.destroy()
})

it('never tunnels what was not asked for, nor early bytes before the 101', async () => {
  const backend = await startSockets(true)
  const gateway = await trial.gateway(
    world(tenant(['ws.test']), service('ws', [backend.port]), route('r1', ['ws.test'], [to('ws', '/')])),
  )
  const client = await RawClient.connect(gateway.port)
  // A second request behind a handshake that is refused must reach nobody.
  await client.send(`${handshake('/sock')}GET /smuggled HTTP/1.1\r\nHost: ws.test\r\n\r\n`)
  expect((await client.answer()).status).toBe(403)
  expect(await client.rest()).toBe('')
  client.destroy()
  expect(backend.seen.map(({ url }) => url)).toEqual(['/sock'])
  for (const [change, wanted] of [
    ['Sec-WebSocket-Version: 8', 'Sec-WebSocket-Version: 13'],
    ['Sec-WebSocket-Key: short', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='],
  ] as const) {
    const wrong = await RawClient.connect(gateway.port)
    expect((await wrong.request(handshake('/sock').replace(wanted, change))).status).toBe(400)
    wrong.destroy()
  }
  expect(backend.seen.length).toBe(1)
})

it('says goodbye in a drain', async () => {
  const backend = await startSockets()
  const gateway = await trial.gateway(
    world(tenant(['ws.test']), service('ws', [backend.port]), route('r1', ['ws.test'], [to('ws')])),
  )
  const { ws, echo } = await opened(gateway.port)
  expect(await echo('one')).toBe('one')
  const closed = new Promise<number>((resolve) => ws.on('close', resolve))
  expect(await gateway.drain(100)).toEqual({ finished: 0, cut: 1 })
  expect(await closed).toBe(1001)
})

it('ends with its tenant', async () => {
  const backend = await startSockets()
  const build = (suspended: boolean) =>
    world(tenant(['ws.test'], { suspended }), service('ws', [backend.port]), route('r1', ['ws.test'], [to('ws')]))
  const gateway = await trial.gateway(build(false))
  const { ws, echo } = await opened(gateway.port)
  expect(await echo('one')).toBe('one')
  const closed = new Promise<number>((resolve) => ws.on('close', resolve))
  await gateway.apply(build(true))
  expect(await closed).toBe(1001)
})

function handshake(target: string): string {
  return (
    `GET ${target} HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  )
}

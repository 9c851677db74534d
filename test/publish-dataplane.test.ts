import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { type Dataplane, startDataplane } from '../dataplane/main.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { PeerCaller } from '../peer/call.ts'
import { connectPeer } from '../peer/connect.ts'
import { startBackend } from './support/backend.ts'
import { certificateFacts, makeCa, makeLeaf } from './support/certificates.ts'
import { PublishWorld, sealedPool, sealedShard, snapshotOf, until } from './support/publish-world.ts'
import { makeBackend, makeHost, makeHostTls, makeRoute } from './support/shard.ts'

const stops: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

async function startPlane(): Promise<Dataplane> {
  const plane = await startDataplane({
    workers: 1,
    host: '127.0.0.1',
    port: 0,
    tlsPort: 0,
    adminPort: null,
    accessLog: 'off',
  })
  stops.push(() => plane.stop())
  return plane
}

function get(port: number, host: string, secure = false): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, headers: { host }, agent: false as const }
    const request = secure
      ? httpsRequest({ ...options, servername: host, rejectUnauthorized: false })
      : httpRequest(options)
    request.on('error', reject)
    request.on('response', (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => resolve(`${response.statusCode} ${body}`))
    })
    request.end()
  })
}

test('a real dataplane serves what was pushed, keys and endpoints included, and after a restart what served last', async () => {
  const world = await PublishWorld.start()
  stops.push(() => world.stop())
  const [first, second] = await Promise.all([startBackend('first'), startBackend('second', undefined, '127.0.0.2')])
  stops.push(first.close, second.close)
  const ca = await makeCa()
  const leaf = await makeLeaf(ca, { names: ['acme.example.com'] })
  const facts = certificateFacts(leaf, ['acme.example.com'])
  const snapshot = (endpoints: readonly string[], port: number): Snapshot => {
    const pool = sealedPool('acme', 'web', endpoints, port)
    return snapshotOf(
      [
        sealedShard('acme', 'a', {
          hosts: [
            makeHost('acme.example.com', {
              tls: makeHostTls({ certificates: [facts.fingerprint], plainHTTP: 'Serve' }),
            }),
          ],
          routes: [
            makeRoute('acme', 'a', { action: { type: 'forward', backends: [makeBackend('web', { pool: pool.id })] } }),
          ],
          certificates: new Map([[facts.fingerprint, facts]]),
        }),
      ],
      [pool],
    )
  }
  const controller = await world.controller()
  await controller.publisher.publish(snapshot(['127.0.0.1'], first.port), 1)
  const folder = join(world.folder, 'memory')
  const plane = await startPlane()
  expect(plane.sources.ready()).toBe(false)
  const pod = await world.pod([controller], { uid: 'real', target: plane, lastGoodFolder: folder })
  await until(() => plane.sources.ready())
  expect(await get(plane.ports.http, 'acme.example.com')).toBe('200 first')
  expect(await get(plane.ports.https ?? 0, 'acme.example.com', true)).toBe('200 first')
  await until(() => controller.publisher.acknowledgements().length === 1)

  // The short road.
  await controller.publisher.publish(snapshot(['127.0.0.2'], second.port), 2)
  expect(await get(plane.ports.http, 'acme.example.com')).toBe('200 second')

  // What a controller may read, and no key in it.
  const caller = new PeerCaller(() =>
    connectPeer({
      host: '127.0.0.1',
      port: pod.receiver.port,
      credentials: controller.credentials,
      check: () => undefined,
      timeout: 3_000,
    }),
  )
  const read = (path: string) => caller.json({ method: 'GET', path, timeout: 5_000, idle: 5_000, maxAnswer: 1_000_000 })
  expect(await read('/status?tenant=acme')).toMatchObject({ sequence: 2, ready: true, tenants: [{ tenant: 'acme' }] })
  expect(await read('/explain?url=http://acme.example.com/')).toMatchObject({})
  expect(JSON.stringify(await read('/snapshot'))).not.toContain('PRIVATE KEY')
  const metrics = await caller.stream(
    { method: 'GET', path: '/metrics?tenant=nobody', timeout: 5_000, idle: 5_000, maxAnswer: 1_000_000 },
    async (stream) => (await stream.toArray()).join(''),
  )
  expect(metrics).toContain('# TYPE')
  expect(metrics).not.toContain('tenant="acme"')
  caller.close()

  // One that is refused by the threads keeps what it had.
  const [shard] = snapshot(['127.0.0.2'], second.port).shards.values()
  const bad = sealedShard('acme', 'b', {
    ...shard,
    routes: [makeRoute('acme', 'b', { filters: [{ policy: 'nonesuch', config: {}, origins: [] }] })],
  })
  await controller.publisher.publish(snapshotOf([bad], [...snapshot(['127.0.0.2'], second.port).pools.values()]), 3)
  expect(controller.publisher.acknowledgements()[0]?.refused).toMatchObject([{ tenant: 'acme' }])
  expect(await get(plane.ports.http, 'acme.example.com')).toBe('200 second')

  await pod.stop()
  await plane.stop()
  const again = await startPlane()
  await world.pod([], { uid: 'real', target: again, lastGoodFolder: folder })
  expect(again.sources.ready()).toBe(true)
  expect(await get(again.ports.https ?? 0, 'acme.example.com', true)).toBe('200 second')
})

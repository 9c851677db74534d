// Which calls a push takes: two for a small change, one where only endpoints changed, three for a large one or for a pod of
// a release that knows no shorter road.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import { afterEach, expect, test } from 'vitest'
import { PUSH_PATHS } from '../model/push.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { PublishWorld, rootOf, sealedPool, sealedShard, snapshotOf, until } from './support/publish-world.ts'

const ends: (() => void | Promise<void>)[] = []

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A pod that has the first of the sets, and the calls for each further one. */
async function startPushed(first: Snapshot) {
  const world = await PublishWorld.start()
  ends.push(() => world.stop())
  const controller = await world.controller()
  await controller.publisher.publish(first, 1)
  const pod = await world.pod([controller])
  await until(() => controller.publisher.acknowledgements().length === 1)
  const calls: string[] = []
  const listen = (message: unknown) => {
    const { request } = message as { request: { path: string } }
    if (request.path.startsWith('/push/')) calls.push(request.path.replace(/\?fence.*/, ''))
  }
  subscribe('http.client.request.start', listen)
  ends.push(() => void unsubscribe('http.client.request.start', listen))
  let sequence = 1
  return async (next: Snapshot) => {
    calls.length = 0
    await controller.publisher.publish(next, ++sequence)
    expect(pod.receiver.staging.active.root).toBe(rootOf(next))
    return [...calls]
  }
}

const { manifest, change, changeAndActivate, content, activate, endpoints } = PUSH_PATHS
const pool = (address: string) => sealedPool('acme', 'web', [address])

test('a few tenants go in one call, more in two, endpoints in one, much in three', async () => {
  const push = await startPushed(snapshotOf([sealedShard('acme', 'a'), sealedShard('blog', 'a')], [pool('10.0.0.1')]))
  expect(await push(snapshotOf([sealedShard('acme', 'b'), sealedShard('blog', 'a')], [pool('10.0.0.2')]))).toEqual([
    changeAndActivate,
  ])
  expect(await push(snapshotOf([sealedShard('acme', 'b'), sealedShard('blog', 'a')], [pool('10.0.0.3')]))).toEqual([
    endpoints,
  ])
  expect(await push(snapshotOf([sealedShard('acme', 'b')], [pool('10.0.0.3')]))).toEqual([changeAndActivate])
  const some = (host: string) => Array.from({ length: 5 }, (_, index) => sealedShard(`tenant-${index}`, host))
  expect(await push(snapshotOf(some('a')))).toEqual([change, activate])
  expect(await push(snapshotOf([...some('b').slice(0, 4), ...some('a').slice(4)]))).toEqual([changeAndActivate])
  expect(await push(snapshotOf(some('c')))).toEqual([change, activate])
  const much = Array.from({ length: 2_500 }, (_, index) => sealedShard(`tenant-${index}`, 'a'))
  expect(await push(snapshotOf(much))).toEqual([manifest, content, activate])
})

test('a pod of a release that does not activate by itself is told to', async () => {
  const forget = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance }
    fastify.addHook('preHandler', async ({ query }) => {
      delete (query as { activate?: unknown }).activate
    })
  }
  subscribe('fastify.initialization', forget)
  ends.push(() => void unsubscribe('fastify.initialization', forget))
  const push = await startPushed(snapshotOf([sealedShard('acme', 'a')]))
  expect(await push(snapshotOf([sealedShard('acme', 'b')]))).toEqual([changeAndActivate, activate])
})

test('a pod that knows only the long road is led there', async () => {
  const block = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance }
    fastify.addHook('onRequest', async (request, reply) => {
      if (request.url === changeAndActivate)
        await reply.code(404).send({ error: 'NotFound', message: 'there is nothing here' })
    })
  }
  subscribe('fastify.initialization', block)
  ends.push(() => void unsubscribe('fastify.initialization', block))
  const push = await startPushed(snapshotOf([sealedShard('acme', 'a')]))
  expect(await push(snapshotOf([sealedShard('acme', 'b')]))).toEqual([changeAndActivate, manifest, content, activate])
})

import { afterEach, expect, test } from 'vitest'
import { PublishWorld, rootOf, sealedPool, sealedShard, snapshotOf, until } from './support/publish-world.ts'

let world: PublishWorld | undefined

afterEach(async () => {
  await world?.stop()
  world = undefined
})

test('a pod gets a certificate, the first set by asking, and every later one by push', async () => {
  world = await PublishWorld.start()
  const controller = await world.controller()
  const first = snapshotOf(
    [sealedShard('acme', 'a'), sealedShard('blog', 'a')],
    [sealedPool('acme', 'web', ['10.0.0.1'])],
  )
  expect(await controller.publisher.publish(first, 1)).toEqual([])
  const pod = await world.pod([controller])
  await until(() => pod.dataplane.history.length > 0, 'the first set')
  expect(pod.dataplane.history).toEqual([rootOf(first)])
  await until(() => controller.publisher.acknowledgements().length === 1, 'the acknowledgement')

  const second = snapshotOf([sealedShard('acme', 'b'), sealedShard('blog', 'a')], [...first.pools.values()])
  const answers = await controller.publisher.publish(second, 2)
  expect(answers).toMatchObject([{ pod: `name-of-${pod.uid}`, sequence: 2, version: second.version, refused: [] }])
  expect(pod.dataplane.changes.at(-1)?.shards.map(({ tenant }) => tenant)).toEqual(['acme'])
  expect(pod.dataplane.history.at(-1)).toBe(rootOf(second))

  const third = snapshotOf([...second.shards.values()], [sealedPool('acme', 'web', ['10.0.0.1', '10.0.0.2'])])
  await controller.publisher.publish(third, 3)
  expect(pod.dataplane.changes.at(-1)).toMatchObject({ shards: [], removedTenants: [] })
  expect(pod.dataplane.history.at(-1)).toBe(rootOf(third))

  const fourth = snapshotOf([sealedShard('blog', 'a')])
  await controller.publisher.publish(fourth, 4)
  expect([...pod.dataplane.shards.keys()]).toEqual(['blog'])
  expect(pod.dataplane.pools.size).toBe(0)
  expect(pod.receiver.staging.active).toMatchObject({ fence: 1, sequence: 4, root: rootOf(fourth) })
})

import { afterEach, describe, expect, test } from 'vitest'
import type { Snapshot } from '../model/snapshot.ts'
import { ProxiedPeers } from './support/proxied-peers.ts'
import {
  PublishWorld,
  rootOf,
  sealedPool,
  sealedShard,
  snapshotOf,
  type TestController,
  type TestPod,
  until,
} from './support/publish-world.ts'
import { BentWire } from './support/bent-wire.ts'

const stops: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

interface Wired {
  readonly world: PublishWorld
  readonly controller: TestController
  readonly pod: TestPod
  readonly proxy: BentWire
}

/** A pod whose controller reaches it through a proxy. It has the first of the sets already. */
async function startWired(first: Snapshot): Promise<Wired> {
  const world = await PublishWorld.start()
  stops.push(() => world.stop())
  const peers = new ProxiedPeers(() => performance.now())
  const controller = await world.controller({ leads: true, fence: 1 }, { peers })
  await controller.publisher.publish(first, 1)
  let port = 0
  const proxy = await BentWire.start(() => port)
  stops.push(() => proxy.stop())
  const pod = await world.pod([controller], {
    onPort: (own) => {
      port = own
      peers.detours.set(own, proxy.port)
    },
  })
  await until(() => controller.publisher.pods().some(({ state }) => state === 'current'))
  return { world, controller, pod, proxy }
}

const numbered = (mark: number) =>
  snapshotOf(
    ['acme', 'blog', 'shop', 'wiki'].map((tenant) => sealedShard(tenant, `route-${mark}`)),
    ['acme', 'blog'].map((tenant) => sealedPool(tenant, 'web', [`10.0.${mark % 200}.1`, `10.0.${mark % 200}.2`])),
  )

describe('a publisher that dies', () => {
  test('in the middle of a push, at any byte, leaves the old set or the new one, and the next leader goes on', async () => {
    const { controller, pod, proxy } = await startWired(numbered(0))
    const roots = [rootOf(numbered(0))]
    let sequence = 1
    // What a whole push costs, handshake included.
    proxy.cut()
    await until(() => controller.publisher.pods().every(({ state }) => state === 'current'))
    proxy.reset()
    proxy.cut()
    await controller.publisher.publish(numbered(1), ++sequence)
    await until(() => pod.receiver.staging.active.root === rootOf(numbered(1)))
    await until(() => controller.publisher.pods().every(({ state }) => state === 'current'))
    const whole = proxy.sent
    expect(whole).toBeGreaterThan(2_000)
    roots.push(rootOf(numbered(1)))
    const points = 40
    for (let point = 0; point < points; point++) {
      const next = numbered(point + 2)
      const before = pod.receiver.staging.active.root
      proxy.cut()
      proxy.reset({ cutAfter: Math.floor((whole * point) / points) })
      void controller.publisher.publish(next, ++sequence)
      await until(() => proxy.sent > (proxy.fault.cutAfter ?? 0) || pod.receiver.staging.active.root === rootOf(next))
      expect([before, rootOf(next)]).toContain(pod.receiver.staging.active.root)
      // Another takes over, with what it finds.
      proxy.reset()
      controller.leadership = { leads: true, fence: controller.leadership.fence + 1 }
      await controller.publisher.lead()
      await until(() => pod.receiver.staging.active.fence === controller.leadership.fence, `point ${point}`)
      roots.push(rootOf(next))
      expect(pod.receiver.staging.active.root).toBe(rootOf(next))
    }
    // Every set that was ever active is one that was published, in the order in which they were.
    const order = pod.dataplane.history.map((root) => roots.indexOf(root))
    expect(order).not.toContain(-1)
    expect(order).toEqual([...order].sort((a, b) => a - b))
  }, 120_000)
})

describe('a wire', () => {
  test('that turns bits over makes no difference but time', async () => {
    const { controller, pod, proxy } = await startWired(numbered(0))
    const roots = new Set([rootOf(numbered(0))])
    let sequence = 1
    for (let point = 0; point < 40; point++) {
      const next = numbered(point + 1)
      roots.add(rootOf(next))
      proxy.cut()
      proxy.reset({ flip: 100 * point })
      void controller.publisher.publish(next, ++sequence)
      await until(() => pod.receiver.staging.active.root === rootOf(next), `point ${point}`)
    }
    for (const root of pod.dataplane.history) expect(roots.has(root)).toBe(true)
  }, 60_000)

  test('that swallows everything delays no other pod, and is noticed when it works again', async () => {
    const { world, controller, pod, proxy } = await startWired(numbered(0))
    const other = await world.pod([controller])
    await until(() => controller.publisher.pods().filter(({ state }) => state === 'current').length === 2)
    proxy.reset({ stallAfter: 0 })
    for (let mark = 1; mark <= 5; mark++) {
      const answers = await controller.publisher.publish(numbered(mark), mark + 1)
      expect(answers.map((answer) => answer.pod)).toEqual([`name-of-${other.uid}`])
      expect(other.receiver.staging.active.root).toBe(rootOf(numbered(mark)))
    }
    expect(pod.receiver.staging.active.root).toBe(rootOf(numbered(0)))
    proxy.reset()
    proxy.cut()
    await until(() => pod.receiver.staging.active.root === rootOf(numbered(5)), 'the pod that came back')
  }, 60_000)
})

describe('a leader that was paused', () => {
  test('changes nothing when it wakes, and what was published meanwhile stays', async () => {
    const world = await PublishWorld.start()
    stops.push(() => world.stop())
    const old = await world.controller({ leads: true, fence: 1 })
    const young = await world.controller({ leads: false, fence: 1 })
    await old.publisher.publish(numbered(1), 1)
    await young.publisher.publish(numbered(1), 1)
    const pods = await Promise.all([world.pod([old, young]), world.pod([old, young])])
    await until(() => old.publisher.pods().filter(({ state }) => state === 'current').length === 2)
    await until(() => young.publisher.pods().length === 2)
    young.leadership = { leads: true, fence: 2 }
    await young.publisher.lead()
    await young.publisher.publish(numbered(2), 2)
    for (const { receiver } of pods) expect(receiver.staging.active).toMatchObject({ fence: 2, sequence: 2 })
    // It does not know yet that its time is over.
    await old.publisher.publish(numbered(3), 900)
    await until(() => old.publisher.pods().every(({ failures }) => failures >= 2))
    for (const { problem } of old.publisher.pods()) expect(problem).toContain('newer (fence 2, sequence 2)')
    await young.publisher.publish(numbered(4), 3)
    for (const { dataplane, receiver } of pods) {
      expect(receiver.staging.active).toMatchObject({ fence: 2, sequence: 3, root: rootOf(numbered(4)) })
      expect(dataplane.history).not.toContain(rootOf(numbered(3)))
    }
  })
})

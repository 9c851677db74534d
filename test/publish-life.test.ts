import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { CURRENT_FORMAT, type FormatWriter } from '../controller/publish/content.ts'
import { PUSH_PATHS } from '../model/push.ts'
import { hashOfShard } from '../model/push-shard.ts'
import { EMPTY_ROOT } from '../model/root-hash.ts'
import type { TenantShard } from '../model/snapshot.ts'
import { secureOptions } from '../peer/identify.ts'
import { makeHost, makeMatch, makeRoute } from './support/shard.ts'
import {
  PublishWorld,
  RELEASE,
  rootOf,
  sealedPool,
  sealedShard,
  sha256,
  snapshotOf,
  type TestController,
  type TestPod,
  until,
} from './support/publish-world.ts'

const DAY = 86_400_000
const stops: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

async function startWorld(shift = 0): Promise<PublishWorld> {
  const world = await PublishWorld.start(shift)
  stops.push(() => world.stop())
  return world
}

const numbered = (mark: number) =>
  snapshotOf(
    ['acme', 'blog'].map((tenant) => sealedShard(tenant, `v${mark}`)),
    [sealedPool('acme', 'web', [`10.0.0.${mark % 250}`])],
  )

const allCurrent = (controller: TestController, count: number) => () =>
  controller.publisher.pods().filter(({ state }) => state === 'current').length === count

describe('a pod', () => {
  test('that is new while there is no leader gets its first set from a standby, and later ones from whoever leads then', async () => {
    const world = await startWorld()
    const standby = await world.controller({ leads: false, fence: 7 })
    await standby.publisher.publish(numbered(1), 40)
    const pod = await world.pod([standby])
    await until(() => pod.dataplane.history.length === 1, 'the first set')
    expect(pod.receiver.staging.active).toMatchObject({ fence: 7, sequence: 0, root: rootOf(numbered(1)) })
    await until(() => standby.peers.all().length === 1)
    standby.leadership = { leads: true, fence: 8 }
    await standby.publisher.lead()
    expect(pod.receiver.staging.active).toMatchObject({ fence: 8, sequence: 40, root: rootOf(numbered(1)) })
    await standby.publisher.publish(numbered(2), 41)
    expect(pod.receiver.staging.active).toMatchObject({ fence: 8, sequence: 41, root: rootOf(numbered(2)) })
  })

  test('whose container restarts serves what it served, though no controller answers, and catches up with the next push', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    const folder = join(world.folder, 'memory')
    await controller.publisher.publish(numbered(1), 1)
    const pod = await world.pod([controller], { uid: 'same', lastGoodFolder: folder })
    await until(() => pod.dataplane.history.length === 1)
    await until(allCurrent(controller, 1))
    await controller.publisher.publish(numbered(2), 2)
    await pod.stop()
    const orphan = await world.pod([], { uid: 'same', lastGoodFolder: folder })
    expect(orphan.dataplane.history).toEqual([rootOf(numbered(2))])
    await orphan.stop()
    await controller.publisher.publish(numbered(3), 3)
    const back = await world.pod([controller], { uid: 'same', lastGoodFolder: folder })
    expect(back.dataplane.history[0]).toBe(rootOf(numbered(2)))
    await until(() => back.receiver.staging.active.root === rootOf(numbered(3)))
    expect(back.dataplane.history).toEqual([rootOf(numbered(2)), rootOf(numbered(3))])
    // What it had is not sent again.
    expect(back.dataplane.changes.at(-1)?.shards).toHaveLength(2)
  })

  test('that comes while sets change all the time has a whole one from its first moment', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    let mark = 1
    const roots = [rootOf(numbered(mark))]
    await controller.publisher.publish(numbered(mark), mark)
    let going = true
    const edits = (async () => {
      while (going) {
        mark++
        roots.push(rootOf(numbered(mark)))
        await controller.publisher.publish(numbered(mark), mark)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })()
    const pods: TestPod[] = []
    for (let count = 0; count < 6; count++) {
      pods.push(await world.pod([controller]))
      await new Promise((resolve) => setTimeout(resolve, 60))
    }
    await until(() => pods.every(({ dataplane }) => dataplane.history.length > 3))
    going = false
    await edits
    await until(() => pods.every(({ receiver }) => receiver.staging.active.root === rootOf(numbered(mark))))
    for (const { dataplane } of pods) {
      const order = dataplane.history.map((root) => roots.indexOf(root))
      expect(order).not.toContain(-1)
      expect(order).toEqual([...order].sort((a, b) => a - b))
    }
  }, 60_000)

  test('is told at once what was left out while its leader did not lead for a moment, and is not waited for meanwhile', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    await controller.publisher.publish(numbered(1), 1)
    const pod = await world.pod([controller])
    await until(allCurrent(controller, 1))
    // The publication begins, and before anything is sent the lease has run out.
    const publication = controller.publisher.publish(numbered(2), 2)
    controller.leadership = { leads: false, fence: 1 }
    const from = performance.now()
    await publication
    expect(performance.now() - from).toBeLessThan(5_000)
    controller.leadership = { leads: true, fence: 1 }
    await controller.publisher.publish(numbered(2), 2)
    await until(() => pod.receiver.staging.active.root === rootOf(numbered(2)), 'the set that was left out')
  })

  test('that lost its way is brought back by the next heartbeat or its own call', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    await controller.publisher.publish(numbered(1), 1)
    const pod = await world.pod([controller])
    await until(allCurrent(controller, 1))
    controller.peers.prove({ uid: pod.uid, name: 'x', address: '127.0.0.1', port: pod.receiver.port }, EMPTY_ROOT)
    await until(allCurrent(controller, 1))
    expect(pod.dataplane.changes).toHaveLength(1)
  })
})

describe('the authority of the release', () => {
  test('is replaced, with all certificates under it, while sets are published without one failure', async () => {
    // Made half a year ago: its time to be replaced has come.
    const world = await startWorld(-184 * DAY)
    const first = world.bundle
    world.shift = -1.5 * DAY
    const controller = await world.controller()
    let podShift = -1.5 * DAY
    const pods = await Promise.all(
      [1, 2, 3].map(() => world.pod([controller], { lookEvery: 20, now: () => Date.now() + podShift })),
    )
    let mark = 1
    await controller.publisher.publish(numbered(mark), mark)
    await until(allCurrent(controller, 3))
    let going = true
    const failures: string[] = []
    const edits = (async () => {
      while (going) {
        mark++
        const answers = await controller.publisher.publish(numbered(mark), mark)
        const problems = controller.publisher.pods().map(({ problem }) => problem)
        if (answers.length !== 3) failures.push(JSON.stringify(problems))
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    })()
    const serials = () => pods.map(({ receiver }) => receiver.certificate())

    // The new one is shown, and signs nothing yet.
    await world.authority.maintain()
    expect(world.bundle).toContain(first)
    await controller.renew()
    await until(() => pods.every(({ receiver }) => receiver.authorities().length > first.length))
    // It signs: the controller first, then every pod.
    world.shift = 0
    await controller.renew()
    const before = serials()
    podShift = 25 * DAY
    await until(() => serials().every((serial, index) => serial !== before[index]))
    podShift = 0
    // A request that is under way would be signed by the clock of later.
    await new Promise((resolve) => setTimeout(resolve, 300))
    // The former one has no leaf left that lives.
    world.shift = 61 * DAY
    await world.authority.maintain()
    expect(world.bundle).not.toContain(first)
    controller.credentials = { ...controller.credentials, authorities: world.bundle }
    controller.listener.renew(controller.credentials)
    await until(() => pods.every(({ receiver }) => receiver.authorities() === world.bundle))
    const from = mark
    await until(() => mark > from + 5)
    going = false
    await edits
    expect(failures).toEqual([])
    for (const { receiver } of pods) expect(receiver.staging.active.root).toBe(rootOf(numbered(mark)))
  }, 60_000)
})

describe('the authority of the release, when somebody asks for another', () => {
  test('every pod has a leaf of the new one before the former is gone, and a pod that comes meanwhile too', async () => {
    const world = await startWorld()
    const first = world.bundle
    const controller = await world.controller()
    const pods = await Promise.all([1, 2].map(() => world.pod([controller], { lookEvery: 20 })))
    await controller.publisher.publish(numbered(1), 1)
    await until(allCurrent(controller, 2))
    const serials = () => pods.map(({ receiver }) => receiver.certificate())
    const before = serials()
    world.store.request = { word: 'now', overlap: 600_000 }
    await world.authority.maintain()
    await until(() => pods.every(({ receiver }) => receiver.authorities() === world.bundle))
    pods.push(await world.pod([controller], { lookEvery: 20 }))
    await until(allCurrent(controller, 3))
    expect(serials().slice(0, 2)).toEqual(before)
    const settled = serials()
    world.shift = 301_000
    await world.authority.maintain()
    await until(() => serials().every((serial, index) => serial !== settled[index]))
    const renewed = serials()
    await controller.renew()
    await controller.publisher.publish(numbered(2), 2)
    world.shift = 601_000
    await world.authority.maintain()
    expect(world.bundle).not.toContain(first)
    controller.credentials = { ...controller.credentials, authorities: world.bundle }
    controller.listener.renew(controller.credentials)
    await until(() => pods.every(({ receiver }) => receiver.authorities() === world.bundle))
    await controller.publisher.publish(numbered(3), 3)
    await until(allCurrent(controller, 3))
    expect(controller.publisher.pods().map(({ failures }) => failures)).toEqual([0, 0, 0])
    // Once is enough: nobody asks again and again.
    expect(serials()).toEqual(renewed)
  }, 30_000)
})

describe('an authority that took the place of another at once', () => {
  test('gives the pods that run certificates of its own', async () => {
    const world = await startWorld()
    const first = await world.controller()
    const controllers = [`127.0.0.1:${first.listener.port}`]
    const pod = await world.pod([first], { lookEvery: 20, controllers })
    await first.publisher.publish(numbered(1), 1)
    await until(allCurrent(first, 1))
    const before = pod.receiver.certificate()
    await first.stop()
    await world.replaceAuthority()
    const second = await world.controller({ leads: true, fence: 2 })
    controllers.splice(0, 1, `127.0.0.1:${second.listener.port}`)
    await until(() => pod.receiver.certificate() !== before)
    await second.publisher.publish(numbered(2), 2)
    await until(allCurrent(second, 1))
    expect(pod.receiver.staging.active.root).toBe(rootOf(numbered(2)))
  }, 30_000)
})

describe('a pod that lies', () => {
  const answers: Record<string, (path: string, body: string) => { status?: number; text: string }> = {
    'speaks no JSON': () => ({ text: 'hello' }),
    'answers with everything at once': () => ({ text: '['.repeat(100_000) }),
    'answers without an end': () => ({ text: 'x'.repeat(70 * 1024 * 1024) }),
    'claims to have what nobody published': (path) => ({
      text: JSON.stringify(
        path === PUSH_PATHS.manifest
          ? { active: name(9), formats: [1], lacksShards: [], lacksPools: [], refused: null }
          : { active: name(9), refused: [] },
      ),
    }),
    'claims a fence above all': (path) => ({
      text: JSON.stringify(
        path === PUSH_PATHS.manifest
          ? {
              active: { ...name(9), fence: Number.MAX_SAFE_INTEGER },
              formats: [1],
              lacksShards: [],
              lacksPools: [],
              refused: { reason: 'Stale', message: 'I know better' },
            }
          : {},
      ),
    }),
    'asks for everything again and again': (path) => ({
      text: JSON.stringify(
        path === PUSH_PATHS.manifest
          ? {
              active: name(0),
              formats: [1],
              lacksShards: Array.from({ length: 90_000 }, () => 'acme'),
              lacksPools: ['nothing'],
              refused: null,
            }
          : { shards: 0, pools: 0, complete: false },
      ),
    }),
    'refuses every base': (path) => ({
      text: JSON.stringify(
        path === PUSH_PATHS.manifest
          ? { active: name(3), formats: [1], lacksShards: [], lacksPools: [], refused: { reason: 'Base', message: '' } }
          : {},
      ),
    }),
    'reads formats that nobody writes': (path) => ({
      text: JSON.stringify(
        path === PUSH_PATHS.manifest
          ? {
              active: name(3),
              formats: [77],
              lacksShards: [],
              lacksPools: [],
              refused: { reason: 'Format', message: '' },
            }
          : {},
      ),
    }),
    fails: () => ({ status: 500, text: '{}' }),
  }
  const name = (mark: number) => ({
    fence: 1,
    sequence: mark,
    version: '',
    endpointsRevision: '',
    root: String(mark).repeat(64),
  })

  test.each(Object.keys(answers))('and %s delays and misleads nobody else', async (what) => {
    const world = await startWorld()
    const controller = await world.controller()
    const honest = await world.pod([controller])
    await controller.publisher.publish(numbered(1), 1)
    await until(allCurrent(controller, 1))
    const { credentials } = await world.authority.issue(
      { release: RELEASE, role: 'dataplane', uid: 'liar' },
      '127.0.0.1',
    )
    let calls = 0
    const server = createServer({ ...secureOptions(credentials), requestCert: true }, (request, response) => {
      calls++
      let body = ''
      request.on('data', (chunk: Buffer) => {
        if (body.length < 100_000) body += chunk.toString()
      })
      request.on('end', () => {
        const { status = 200, text } = answers[what]?.(request.url?.split('?')[0] ?? '', body) ?? { text: '' }
        response.writeHead(status, { 'content-type': 'application/json' }).end(text)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    stops.push(async () => {
      server.closeAllConnections()
      server.close()
    })
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    controller.peers.list([{ uid: 'liar', name: 'liar', address: '127.0.0.1', port }])
    for (let mark = 2; mark <= 6; mark++) {
      const acknowledged = await controller.publisher.publish(numbered(mark), mark)
      expect(acknowledged.map(({ pod }) => pod)).toEqual([`name-of-${honest.uid}`])
      expect(honest.receiver.staging.active.root).toBe(rootOf(numbered(mark)))
    }
    await until(() => controller.publisher.pods().some(({ failures }) => failures > 0))
    expect(calls).toBeGreaterThan(0)
    expect(controller.publisher.acknowledgements()).toHaveLength(1)
  })
})

describe('a tenant with many Routes', () => {
  /** 300 Routes with a host each, one of them marked. */
  const large = (mark: number) => {
    const names = Array.from(
      { length: 300 },
      (_, index) => `r-${String(index).padStart(3, '0')}${index === 150 ? `-${mark}` : ''}`,
    )
    return snapshotOf([
      sealedShard('acme', '', {
        routes: names.map((name) => makeRoute('acme', name)),
        hosts: names.map((name, route) => makeHost(`${name}.acme.test`, { matches: [makeMatch('/', { route })] })),
      }),
    ])
  }

  test('is sent what one edit changed, in every set, and a container that restarts has all of it', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    const folder = join(world.folder, 'memory')
    const pod = await world.pod([controller], { uid: 'same', lastGoodFolder: folder })
    await controller.publisher.publish(large(1), 1)
    await until(allCurrent(controller, 1))
    for (let mark = 2; mark <= 40; mark++) {
      const before = controller.publisher.sentBytes
      const answers = await controller.publisher.publish(large(mark), mark)
      expect(answers).toHaveLength(1)
      expect(controller.publisher.sentBytes - before).toBeLessThan(4_000)
      expect(pod.dataplane.shards.get('acme')).toEqual(large(mark).shards.get('acme'))
    }
    await pod.stop()
    const journal = await readFile(join(folder, 'last-good.ndjson'), 'utf8')
    const wholes = journal.split('\n').filter((line) => line.startsWith('{"shard"'))
    // Now and then the whole, so that a start has few changes to apply.
    expect(wholes.length).toBeGreaterThanOrEqual(3)
    expect(wholes.length).toBeLessThan(8)
    const orphan = await world.pod([], { uid: 'same', lastGoodFolder: folder })
    expect(orphan.dataplane.history).toEqual([rootOf(large(40))])
    expect(orphan.dataplane.shards.get('acme')).toEqual(large(40).shards.get('acme'))
    await orphan.stop()
    // A crash in the middle of a line, and a change of something that is not there, leave what was whole before.
    for (const torn of [
      '{"change":{"tenant":"ac',
      `${journal.split('\n').find((line) => line.startsWith('{"change"'))}\n`,
    ]) {
      await writeFile(join(folder, 'last-good.ndjson'), journal + torn)
      const again = await world.pod([], { uid: 'same', lastGoodFolder: folder })
      expect(again.dataplane.history).toEqual([rootOf(large(40))])
      await again.stop()
    }
  })

  test('is sent whole where the pod cannot use what changed', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    const pod = await world.pod([controller])
    await controller.publisher.publish(large(1), 1)
    await until(allCurrent(controller, 1))
    // Something else serves than what is held: a tenant whose newest shard was refused.
    pod.dataplane.shards.set('acme', sealedShard('acme', 'former'))
    const before = controller.publisher.sentBytes
    const answers = await controller.publisher.publish(large(2), 2)
    expect(answers).toHaveLength(1)
    expect(controller.publisher.sentBytes - before).toBeGreaterThan(50_000)
    expect(pod.dataplane.shards.get('acme')).toEqual(large(2).shards.get('acme'))
    expect([...controller.publisher.failures.values()]).toEqual([0, 0, 0, 0])
  })
})

describe('two releases that meet', () => {
  /** The next format, in which shards say who wrote them. */
  const next: FormatWriter = {
    format: 2,
    shardHash: (shard) => JSON.parse(nextLine(shard)).shard.hash,
    poolHash: ({ hash }) => hash,
    shardLine: (shard) => nextLine(shard),
    poolLine: CURRENT_FORMAT.poolLine,
  }

  function nextLine(shard: TenantShard): string {
    const { shard: wire } = JSON.parse(CURRENT_FORMAT.shardLine(shard)) as { shard: Record<string, unknown> }
    const { hash: _, ...rest }: Record<string, unknown> = { ...wire, writer: 'next' }
    return JSON.stringify({ shard: { ...rest, hash: hashOfShard(rest, sha256) } })
  }

  test.each([
    ['a newer controller, a pod of before', [next, CURRENT_FORMAT], [1], undefined],
    ['a controller of before, a newer pod', [CURRENT_FORMAT], [2, 1], undefined],
    ['a newer controller that cannot go back, a pod of before', [next], [1], 'none of which this controller writes'],
  ] as const)('%s', async (_, writers, formats, problem) => {
    const world = await startWorld()
    const controller = await world.controller({ leads: true, fence: 1 }, { writers })
    await controller.publisher.publish(numbered(1), 1)
    const pod = await world.pod([controller], { formats })
    if (problem !== undefined) {
      await until(() => controller.publisher.pods().some((state) => state.problem.includes(problem)))
      expect(pod.dataplane.history).toEqual([])
      return
    }
    await until(allCurrent(controller, 1))
    for (let mark = 2; mark <= 4; mark++) {
      const answers = await controller.publisher.publish(numbered(mark), mark)
      expect(answers).toHaveLength(1)
      expect(pod.dataplane.history.at(-1)).toBe(rootOf(numbered(mark)))
    }
    // Difference after difference, not everything each time.
    expect(pod.dataplane.changes.at(-1)?.shards).toHaveLength(2)
  })

  test('in which one writes what the other does not know: that tenant is refused by name, the rest moves on', async () => {
    const world = await startWorld()
    const strange: FormatWriter = { ...next, format: 1 }
    const controller = await world.controller({ leads: true, fence: 1 }, { writers: [strange] })
    await controller.publisher.publish(numbered(1), 1)
    const pod = await world.pod([controller])
    await until(allCurrent(controller, 1))
    const [acknowledgement] = controller.publisher.acknowledgements()
    expect(acknowledgement?.refused.map(({ tenant }) => tenant)).toEqual(['acme', 'blog'])
    expect(acknowledgement?.refused[0]?.message).toContain('writer is not known here')
    expect(pod.dataplane.shards.size).toBe(0)
  })
})

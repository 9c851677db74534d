import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SnapshotContent } from '../../controller/publish/content.ts'
import type { PushManifest } from '../../model/push.ts'
import { hashOfShard, poolLine, shardLine } from '../../model/push-shard.ts'
import { EMPTY_ROOT } from '../../model/root-hash.ts'
import { poolKey, type Snapshot } from '../../model/snapshot.ts'
import {
  FakeDataplane,
  RELEASE,
  rootOf,
  sealedPool,
  sealedShard,
  sha256,
  snapshotOf,
} from '../../test/support/publish-world.ts'
import { ContentRefused, Staging } from './staging.ts'

const line = (text: string) => ({ text, value: JSON.parse(text) as unknown })

function start(options: { dataplane?: FakeDataplane; formats?: readonly number[]; monotonic?: () => number } = {}) {
  const dataplane = options.dataplane ?? new FakeDataplane()
  const { formats, monotonic } = options
  const staging = new Staging({
    release: RELEASE,
    target: dataplane,
    digest: sha256,
    ...(formats === undefined ? {} : { formats }),
    ...(monotonic === undefined ? {} : { monotonic }),
  })
  return { dataplane, staging }
}

/** The manifest of a whole set. */
function manifestOf(
  snapshot: Snapshot,
  fence: number,
  sequence: number,
  rest: Partial<PushManifest> = {},
): PushManifest {
  const content = new SnapshotContent(sha256)
  content.take(snapshot)
  return { ...content.manifest(RELEASE, { fence, sequence }, content.difference(null)), ...rest }
}

async function push(staging: Staging, snapshot: Snapshot, fence: number, sequence: number) {
  const manifest = manifestOf(snapshot, fence, sequence)
  const answer = await staging.propose(manifest)
  for (const key of answer.lacksPools) {
    const pool = snapshot.pools.get(key)
    if (pool !== undefined) staging.accept(manifest, line(poolLine(pool)))
  }
  for (const tenant of answer.lacksShards) {
    const shard = snapshot.shards.get(tenant)
    if (shard !== undefined) staging.accept(manifest, line(shardLine(shard)))
  }
  return await staging.activate(manifest, manifest.root)
}

const acme = sealedShard('acme', 'a')
const blog = sealedShard('blog', 'a')
const web = sealedPool('acme', 'web', ['10.0.0.1'])
const two = snapshotOf([acme, blog], [web])

describe('a set', () => {
  test('names by one root what controller and pod have, however they came by it', async () => {
    const { dataplane, staging } = start()
    await push(staging, two, 1, 1)
    expect(staging.active.root).toBe(rootOf(two))
    const edited = snapshotOf([sealedShard('acme', 'b')], [])
    await push(staging, edited, 1, 2)
    expect(staging.active.root).toBe(rootOf(edited))
    await push(staging, snapshotOf([], []), 1, 3)
    expect(staging.active.root).toBe(EMPTY_ROOT)
    expect(dataplane.history).toEqual([rootOf(two), rootOf(edited), EMPTY_ROOT])
  })

  test('is active only when the last line of it is there', async () => {
    const { dataplane, staging } = start()
    const manifest = manifestOf(two, 1, 1)
    await staging.propose(manifest)
    for (const text of [poolLine(web), shardLine(acme)]) {
      staging.accept(manifest, line(text))
      await expect(staging.activate(manifest, manifest.root)).rejects.toMatchObject({ code: 'Incomplete' })
    }
    expect(dataplane.history).toEqual([])
    staging.accept(manifest, line(shardLine(blog)))
    await staging.activate(manifest, manifest.root)
    expect(dataplane.history).toEqual([rootOf(two)])
  })

  test('may come twice, line by line and as a whole', async () => {
    const { dataplane, staging } = start()
    const manifest = manifestOf(two, 1, 1)
    await staging.propose(manifest)
    for (const text of [shardLine(acme), shardLine(acme), poolLine(web), shardLine(blog), poolLine(web)]) {
      staging.accept(manifest, line(text))
    }
    const first = await staging.activate(manifest, manifest.root)
    expect(await staging.activate(manifest, manifest.root)).toEqual(first)
    expect(await staging.propose(manifest)).toMatchObject({ lacksShards: [], lacksPools: [], refused: null })
    expect(await staging.activate(manifest, manifest.root)).toEqual(first)
    expect(dataplane.changes).toHaveLength(1)
  })

  test('that was damaged on its way is dropped, whole', async () => {
    for (const [text, code] of [
      [shardLine(acme).replace('10485760', '10485761'), 'Damaged'],
      [shardLine(acme).replace(acme.hash, blog.hash), 'Damaged'],
      [poolLine(web).replace('10.0.0.1', '10.0.0.2'), 'Damaged'],
      ['{"shard":null}', 'Damaged'],
      ['{"shard":{"tenant":"acme"}}', 'Damaged'],
      ['7', 'Damaged'],
      ['{"pool":{}}', 'Damaged'],
      ['{}', 'Damaged'],
      [shardLine(sealedShard('acme', 'other')), 'NotAsked'],
      [shardLine(sealedShard('nobody', 'a')), 'NotAsked'],
    ] as const) {
      const { dataplane, staging } = start()
      const manifest = manifestOf(two, 1, 1)
      await staging.propose(manifest)
      staging.accept(manifest, line(shardLine(blog)))
      expect(() => staging.accept(manifest, line(text))).toThrow(expect.objectContaining({ code }))
      expect(() => staging.accept(manifest, line(shardLine(acme)))).toThrow(
        expect.objectContaining({ code: 'Superseded' }),
      )
      await expect(staging.activate(manifest, manifest.root)).rejects.toMatchObject({ code: 'Superseded' })
      await push(staging, two, 1, 1)
      expect(dataplane.history).toEqual([rootOf(two)])
    }
  })

  test('goes on where a former push of it broke off', async () => {
    const { staging } = start()
    const manifest = manifestOf(two, 1, 1)
    await staging.propose(manifest)
    staging.accept(manifest, line(shardLine(blog)))
    const again = manifestOf(two, 2, 1)
    expect((await staging.propose(again)).lacksShards).toEqual(['acme'])
  })

  test('that is older than what is active, or on its way, is refused', async () => {
    let now = 0
    const { staging } = start({ monotonic: () => now })
    await push(staging, two, 5, 7)
    const other = snapshotOf([acme])
    for (const [fence, sequence] of [
      [5, 6],
      [4, 900],
      [5, 7],
      [0, 0],
    ] as const) {
      const { refused, active } = await staging.propose(manifestOf(other, fence, sequence))
      expect(refused?.reason).toBe('Stale')
      expect(active).toMatchObject({ fence: 5, sequence: 7 })
    }
    await staging.propose(manifestOf(other, 6, 2))
    expect((await staging.propose(manifestOf(two, 6, 1))).refused?.reason).toBe('Stale')
    expect((await staging.propose(manifestOf(two, 5, 9))).refused?.reason).toBe('Stale')
    // Of one fence, only as long as somebody goes on with it.
    now = 6_000
    expect((await staging.propose(manifestOf(two, 5, 9))).refused?.reason).toBe('Stale')
    expect((await staging.propose(manifestOf(two, 6, 1))).refused).toBeNull()
  })

  test('of another release, of a format that is not read, or that does not add up, is refused', async () => {
    const { staging } = start()
    const reasons = async (rest: Partial<PushManifest>) =>
      (await staging.propose(manifestOf(two, 1, 1, rest))).refused?.reason
    expect(await reasons({ release: 'other' })).toBe('Release')
    expect(await reasons({ format: 2 })).toBe('Format')
    expect(await reasons({ root: rootOf(snapshotOf([acme])) })).toBe('Root')
    expect(await reasons({ base: rootOf(two) })).toBe('Base')
    expect(await reasons({ shards: [['acme', acme.hash]] })).toBe('Root')
    expect(await reasons({})).toBeUndefined()
  })

  test('in which names come twice counts each once', async () => {
    const { staging } = start()
    const whole = manifestOf(two, 1, 1)
    const doubled = { ...whole, shards: [...whole.shards, ...whole.shards], pools: [...whole.pools, ...whole.pools] }
    expect((await staging.propose(doubled)).refused).toBeNull()
  })

  test('that the dataplane throws at is asked for anew, all of it, and takes away what is not in it', async () => {
    const { dataplane, staging } = start()
    await push(staging, two, 1, 1)
    const { deliver } = dataplane
    dataplane.deliver = async () => {
      throw new Error('no memory')
    }
    const next = snapshotOf([sealedShard('acme', 'b')])
    await expect(push(staging, next, 1, 2)).rejects.toThrow('no memory')
    dataplane.deliver = deliver
    await push(staging, next, 1, 2)
    expect(dataplane.changes.at(-1)).toMatchObject({ removedTenants: ['blog'], removedPools: [poolKey(web.id)] })
    expect(dataplane.history.at(-1)).toBe(rootOf(next))
  })

  test('of endpoints alone takes one step, and changes nothing where more is needed', async () => {
    const { dataplane, staging } = start()
    await push(staging, two, 1, 1)
    const moved = sealedPool('acme', 'web', ['10.0.0.9'])
    const next = snapshotOf([acme, blog], [moved])
    const content = new SnapshotContent(sha256)
    content.take(two)
    content.take(next)
    const manifest = content.manifest(RELEASE, { fence: 1, sequence: 2 }, content.difference(rootOf(two)))
    expect(manifest).toMatchObject({ base: rootOf(two), shards: [], pools: [[poolKey(web.id), moved.hash]] })
    expect(await staging.applyEndpoints({ manifest, pools: [] })).toMatchObject({ type: 'refused' })
    expect(staging.active.sequence).toBe(1)
    expect(await staging.applyEndpoints({ manifest, pools: [moved] })).toMatchObject({
      type: 'active',
      acknowledgement: { active: { sequence: 2, root: rootOf(next) } },
    })
    expect(dataplane.pools.get(poolKey(web.id))).toEqual(moved)
    const late = { ...manifest, base: rootOf(two), sequence: 3 }
    expect(await staging.applyEndpoints({ manifest: late, pools: [moved] })).toMatchObject({
      type: 'refused',
      answer: { refused: { reason: 'Base' } },
    })
  })
})

describe('whatever is sent, in whatever order', () => {
  const tenants = ['acme', 'blog', 'shop']
  const published = Array.from({ length: 6 }, (_, mark) =>
    snapshotOf(
      tenants.slice(mark % 2).map((tenant, index) => sealedShard(tenant, `v${(mark * (index + 1)) % 4}`)),
      mark % 3 === 0 ? [] : [sealedPool('shop', 'web', [`10.0.0.${mark}`])],
    ),
  )
  const roots = published.map(rootOf)
  const step = fc.record({
    what: fc.constantFrom('propose', 'content', 'content', 'content', 'activate', 'whole'),
    set: fc.nat(published.length - 1),
    fence: fc.integer({ min: 1, max: 3 }),
    pick: fc.nat(1_000),
    damage: fc.boolean(),
  })

  test('only whole sets that were published become active, and time never goes back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { dataplane, staging } = start()
        let before = staging.active
        for (const { what, set, fence, pick, damage } of steps) {
          const snapshot = published[set]
          if (snapshot === undefined) continue
          // A position stands for one set, as publishers have it.
          const position = { fence, sequence: set + 1 }
          try {
            if (what === 'propose') await staging.propose(manifestOf(snapshot, fence, set + 1))
            else if (what === 'activate') await staging.activate(position, rootOf(snapshot))
            else if (what === 'whole') await push(staging, snapshot, fence, set + 1)
            else {
              const lines = [
                ...[...snapshot.shards.values()].map(shardLine),
                ...[...snapshot.pools.values()].map(poolLine),
              ]
              const text = lines[pick % lines.length] ?? ''
              staging.accept(position, line(damage && pick % 5 === 0 ? text.replace(/(\d)"/, '$19"') : text))
            }
          } catch (error) {
            expect(error).toBeInstanceOf(ContentRefused)
          }
          const now = staging.active
          expect(now.fence * 100 + now.sequence).toBeGreaterThanOrEqual(before.fence * 100 + before.sequence)
          before = now
        }
        for (const root of dataplane.history) expect(roots).toContain(root)
        if (dataplane.history.length > 0) expect(staging.active.root).toBe(dataplane.history.at(-1))
      }),
      { numRuns: 300 },
    )
  })
})

describe('what this build does not know', () => {
  /** A line of a shard as a later release would write it, with its true hash. */
  function later(tenant: string, mark: string, change: (shard: Record<string, unknown>) => void) {
    const { shard } = JSON.parse(shardLine(sealedShard(tenant, mark))) as { shard: Record<string, unknown> }
    change(shard)
    shard['hash'] = hashOfShard(shard, sha256)
    return { text: JSON.stringify({ shard }), hash: String(shard['hash']) }
  }

  async function offer(staging: Staging, sequence: number, texts: readonly string[], manifestSet: Snapshot) {
    const manifest = manifestOf(manifestSet, 1, sequence)
    await staging.propose(manifest)
    for (const text of texts) staging.accept(manifest, line(text))
    return await staging.activate(manifest, manifest.root)
  }

  test.each([
    [
      'a field',
      (shard: Record<string, unknown>) => Object.assign(shard, { mirror: { percent: 5 } }),
      'mirror is not known here',
    ],
    [
      'a word',
      (shard: Record<string, unknown>) => Object.assign((shard['routes'] as object[])[0] ?? {}, { balance: 'Maglev' }),
      'routes[0].balance is "Maglev", which is not known here',
    ],
    [
      'an action',
      (shard: Record<string, unknown>) =>
        Object.assign((shard['routes'] as object[])[0] ?? {}, { action: { type: 'mirror' } }),
      'routes[0].action.type is "mirror", which is not known here',
    ],
  ])('%s refuses that tenant by name, which keeps what it had; the others move on', async (_, change, message) => {
    const { dataplane, staging } = start()
    await push(staging, two, 1, 1)
    const unknown = later('acme', 'b', change)
    const moved = sealedShard('blog', 'b')
    const set = snapshotOf([{ ...acme, hash: unknown.hash }, moved], [web])
    const { refused, active } = await offer(staging, 2, [unknown.text, shardLine(moved)], set)
    expect(refused).toEqual([{ tenant: 'acme', message: expect.stringContaining(message) }])
    expect(active.root).toBe(rootOf(set))
    expect(dataplane.shards.get('acme')).toEqual(acme)
    expect(dataplane.shards.get('blog')).toEqual(moved)
    // It is not sent again, and not forgotten.
    expect((await staging.propose(manifestOf(set, 1, 3))).lacksShards).toEqual([])
    // Until the tenant goes back to what is understood.
    await push(staging, snapshotOf([sealedShard('acme', 'c'), moved], [web]), 1, 4)
    expect(staging.acknowledgement.refused).toEqual([])
    expect(dataplane.shards.get('acme')).toEqual(sealedShard('acme', 'c'))
  })

  test('in a pool keeps the whole tenant as it was, until the pool is understood', async () => {
    const { dataplane, staging } = start()
    await push(staging, two, 1, 1)
    const { canonicalText } = await import('../../model/canonical.ts')
    const endpoints = [{ address: '10.0.0.7', port: 1, zone: '', state: 'slow' }]
    const hash = sha256(canonicalText([web.id, endpoints]))
    const strange = JSON.stringify({ pool: { id: web.id, hash, endpoints } })
    const shard = sealedShard('acme', 'b')
    const set = snapshotOf([shard, blog], [{ ...web, hash }])
    const { refused } = await offer(staging, 2, [strange, shardLine(shard)], set)
    expect(refused).toEqual([
      { tenant: 'acme', message: expect.stringContaining('endpoints[0].state is "slow", which is not known here') },
    ])
    expect(dataplane.shards.get('acme')).toEqual(acme)
    expect(dataplane.pools.get(poolKey(web.id))).toEqual(web)
    const good = sealedPool('acme', 'web', ['10.0.0.8'])
    await push(staging, snapshotOf([shard, blog], [good]), 1, 3)
    expect(staging.acknowledgement.refused).toEqual([])
    expect(dataplane.shards.get('acme')).toEqual(shard)
    expect(dataplane.pools.get(poolKey(web.id))).toEqual(good)
  })

  test('does not stay behind with a tenant that goes', async () => {
    const { dataplane, staging } = start()
    await push(staging, two, 1, 1)
    const unknown = later('acme', 'b', (shard) => Object.assign(shard, { mirror: 1 }))
    await offer(staging, 2, [unknown.text], snapshotOf([{ ...acme, hash: unknown.hash }, blog], [web]))
    await push(staging, snapshotOf([blog]), 1, 3)
    expect(staging.acknowledgement.refused).toEqual([])
    expect([...dataplane.shards.keys()]).toEqual(['blog'])
    expect(dataplane.pools.size).toBe(0)
  })
})

// A change on its way to a worker: what arrives is the shard, over the boundary of threads; and a worker that has not what
// it is a change of is given the whole, and refuses nothing.
import { describe, expect, test } from 'vitest'
import { sealShard } from '../controller/compile/seal.ts'
import { applyChange, changeLine } from '../model/shard-change.ts'
import type { TenantShard } from '../model/snapshot.ts'
import { createDigest } from '../peer/digest.ts'
import { FILTERS } from '../policies/filters.ts'
import { createAllocator } from '../test/support/shared-state.ts'
import { makeHost, makeMatch, makeRoute, makeShard } from '../test/support/shard.ts'
import { Activation } from './activation.ts'
import { packChange, unpackChange } from './worker-change.ts'
import type { TenantItem } from './worker-messages.ts'
import type { WorkerMember } from './worker-pool.ts'

const digest = createDigest()

/** A tenant with these Routes, a host each; `marked` has another timeout. */
function shardOf(names: readonly string[], marked = '', before?: TenantShard): TenantShard {
  const routes = names.map((name) =>
    makeRoute('acme', name, {
      timeouts: { request: name === marked ? 1 : null, backendRequest: 1, connect: 1, idle: 1 },
    }),
  )
  const hosts = names.map((name, route) => makeHost(`${name}.acme.test`, { matches: [makeMatch('/', { route })] }))
  const { hash: _, ...shard } = makeShard('acme', { routes, hosts })
  return sealShard(shard, digest, before)
}

/** What a pod that serves `from` makes of a change to `to`: it shares what did not change. */
function received(from: TenantShard, to: TenantShard): TenantShard {
  const line = JSON.parse(changeLine(from, to, digest) ?? '') as { change: unknown }
  const applied = applyChange(line, () => from, digest)
  if (applied === undefined) throw new Error('not applied')
  return applied.shard
}

const NAMES = ['a', 'c', 'd', 'e', 'f', 'g', 'h', 'i']

describe('a change', () => {
  test.each([
    ['an edit', NAMES, 'd', 1, 0],
    ['a Route that comes, before all others', ['A', ...NAMES], '', 1, 1],
    ['a Route that goes', NAMES.slice(1), '', 0, 0],
  ] as const)('%s arrives as the shard, and no more is sent', (_, names, marked, routes, hosts) => {
    const from = shardOf(NAMES)
    const to = received(from, shardOf(names, marked, from))
    const change = packChange(from, to)
    if (change === undefined) throw new Error('sent whole')
    expect(change.routes).toHaveLength(routes)
    expect(change.hosts).toHaveLength(hosts)
    const copy = structuredClone(from)
    expect(unpackChange(copy, structuredClone(change))).toEqual(to)
  })

  test('of what was received whole is sent whole, and of something else is not taken', () => {
    const from = shardOf(NAMES)
    expect(packChange(undefined, from)).toBeUndefined()
    expect(packChange(from, shardOf(NAMES, 'd'))).toBeUndefined()
    const change = packChange(from, received(from, shardOf(NAMES, 'd', from)))
    if (change === undefined) throw new Error('sent whole')
    expect(() => unpackChange(undefined, change)).toThrow('not there')
    expect(() => unpackChange(shardOf(NAMES, 'a'), change)).toThrow('not there')
  })
})

test('a worker that has not what a change is of is given the whole, and nothing is refused', async () => {
  const asked: TenantItem[] = []
  const ask = (order: { readonly type: string; readonly tenants?: readonly TenantItem[] }) => {
    const items = order.tenants ?? []
    asked.push(...items)
    const refused = items.filter(({ change }) => change !== null).map(({ tenant }) => ({ tenant, message: 'lost it' }))
    return Promise.resolve(order.type === 'prepare' ? { type: 'prepared', request: 0, refused } : { type: 'committed' })
  }
  const activation = new Activation({
    state: createAllocator({ workers: 1, now: () => performance.now() }),
    filters: FILTERS,
    serving: () => [{ ask } as unknown as WorkerMember],
    whole: () => Promise.resolve(),
  })
  const activate = (shard: TenantShard, sequence: number) => {
    const shards = new Map([[shard.tenant, shard.hash]])
    const manifest = { format: 1, sequence, version: `${sequence}`, endpointsRevision: '', shards, pools: new Map() }
    return activation.activate({ manifest, shards: [shard], pools: [], removedTenants: [], removedPools: [] })
  }
  const first = shardOf(NAMES)
  await activate(first, 1)
  const second = received(first, shardOf(NAMES, 'd', first))
  expect((await activate(second, 2)).refused).toEqual([])
  expect(asked.map(({ shard, change }) => [shard !== null, change !== null])).toEqual([
    [true, false],
    [false, true],
    [true, false],
  ])
  expect(activation.shard('acme')).toBe(second)
})

test('a worker that starts while others build has what they built once it serves', async () => {
  const serving: WorkerMember[] = []
  const member = (orders: string[], slow: number) =>
    ({
      ask: async (order: { readonly type: string; readonly tenants?: readonly TenantItem[] }) => {
        await new Promise((resolve) => setTimeout(resolve, slow))
        orders.push(
          [order.type, ...(order.tenants ?? []).map(({ shard, change }) => (shard ?? change)?.hash)].join(' '),
        )
        return { type: 'prepared', request: 0, refused: [] }
      },
    }) as unknown as WorkerMember
  const activation = new Activation({
    state: createAllocator({ workers: 2, now: () => performance.now() }),
    filters: FILTERS,
    serving: () => [...serving],
    whole: () => Promise.resolve(),
  })
  const activate = (shard: TenantShard, sequence: number) => {
    const shards = new Map([[shard.tenant, shard.hash]])
    const manifest = { format: 1, sequence, version: `${sequence}`, endpointsRevision: '', shards, pools: new Map() }
    return activation.activate({ manifest, shards: [shard], pools: [], removedTenants: [], removedPools: [] })
  }
  serving.push(member([], 20))
  const first = shardOf(NAMES)
  const second = shardOf(['other'])
  await activate(first, 1)
  const late: string[] = []
  const activated = activate(second, 2)
  await new Promise((resolve) => setTimeout(resolve, 10))
  const newcomer = member(late, 1)
  const caughtUp = activation.catchUp(newcomer, () => {
    serving.push(newcomer)
    return Promise.resolve()
  })
  await Promise.all([activated, caughtUp])
  expect(late).toEqual([`prepare ${second.hash}`, 'commit'])
})

test.each([
  ['one worker swaps as soon as it has built', 1, false, ['prepare and commit']],
  ['one that refuses is told to go on without', 1, true, ['prepare and commit', 'commit']],
  ['several swap when all have built', 2, false, ['prepare', 'prepare', 'commit', 'commit']],
] as const)('%s', async (_, workers, refuses, expected) => {
  const orders: string[] = []
  const refused = refuses ? [{ tenant: 'acme', message: 'no' }] : []
  const ask = (order: { readonly type: string; readonly commit?: object | null }) => {
    const commits = order.type === 'prepare' && order.commit !== null
    orders.push(commits ? 'prepare and commit' : order.type)
    if (order.type === 'commit') return Promise.resolve({ type: 'committed', request: 0 })
    return Promise.resolve({ type: 'prepared', request: 0, refused, committed: commits && !refuses })
  }
  const activation = new Activation({
    state: createAllocator({ workers, now: () => performance.now() }),
    filters: FILTERS,
    serving: () => Array.from({ length: workers }, () => ({ ask }) as unknown as WorkerMember),
    whole: () => Promise.resolve(),
  })
  const shard = shardOf(NAMES)
  const shards = new Map([[shard.tenant, shard.hash]])
  const manifest = { format: 1, sequence: 1, version: '1', endpointsRevision: '', shards, pools: new Map() }
  const change = { manifest, shards: [shard], pools: [], removedTenants: [], removedPools: [] }
  expect((await activation.activate(change)).refused).toHaveLength(refused.length)
  expect(orders).toEqual(expected)
  expect(activation.shard('acme')).toBe(refuses ? undefined : shard)
})

// The main thread's side of the shared state: gives tenants memory, hands out what workers need to find it, takes back
// what the configuration no longer names, gives back what dead workers held. Workers never allocate anything but the
// growth of their key tables. main.ts makes one; activation, the watchdog and /metrics call it.
import type { LimiterId } from '../../model/filter.ts'
import { tupleKey } from '../../model/resources.ts'
import { poolKey, routeKey, type Pool, type RouteId, type TenantShard } from '../../model/snapshot.ts'
import { levelSizes } from './key-table.ts'
import type { HashSeed } from './key-table-hash.ts'
import type { PoolGrant, StateRoot, TenantGrant } from './shared-state-grants.ts'
import { createLayout, type Layout } from './shared-state-layout.ts'
import { TenantMemory, type ArenaBudget, type LimiterSlot, type Slot } from './shared-state-memory.ts'
import { createViews, type Views } from './shared-state-metrics.ts'

/** A limiter that a program of a tenant uses, found out by building it once (state-needs.ts). */
export interface LimiterNeed {
  readonly id: LimiterId
}

/** What the state of one tenant consists of, for readers in the main thread. */
export interface TenantRecord {
  readonly tenant: string
  readonly memory: TenantMemory
  readonly routes: Map<string, RouteRecord>
  readonly limiters: Map<string, LimiterRecord>
  readonly pools: Map<string, PoolRecord>
  /** The limits in force, for gauges. Undefined until the first shard is active. */
  shard: TenantShard | undefined
  releasedAt: number | undefined
}

export interface RouteRecord {
  readonly id: RouteId
  readonly slot: Slot
}

export interface LimiterRecord {
  readonly id: LimiterId
  readonly slot: LimiterSlot
}

export interface PoolRecord {
  pool: Pool
  readonly endpoints: Map<string, EndpointRecord>
}

export interface EndpointRecord {
  readonly address: string
  readonly port: number
  readonly slot: Slot
}

/** Everything that main allocates. */
export class StateAllocator {
  readonly root: StateRoot
  readonly layout: Layout
  readonly tenants = new Map<string, TenantRecord>()
  readonly pod: Views
  readonly unowned: Views
  readonly #sizes: readonly number[]
  readonly #budget: ArenaBudget
  readonly #now: () => number

  constructor(options: {
    readonly workers: number
    readonly policies: readonly string[]
    readonly seed: HashSeed
    readonly epoch: bigint
    /** Monotonic milliseconds. */
    readonly now: () => number
    /** Buckets of one limiter. */
    readonly maxKeys?: number
    /** Arenas that may grow; further ones are small and fixed. */
    readonly growableArenas?: number
  }) {
    const { workers, policies, seed, epoch } = options
    const maxKeys = options.maxKeys ?? 65_536
    this.layout = createLayout(workers, policies)
    const pod = new SharedArrayBuffer(this.layout.podWords * 8)
    const unowned = new SharedArrayBuffer(this.layout.rootWords * 8)
    this.root = { pod, unowned, workers, policies, seed, maxKeys, epoch }
    this.pod = createViews(pod)
    this.unowned = createViews(unowned)
    this.#sizes = levelSizes(maxKeys)
    this.#budget = { growable: options.growableArenas ?? 16_384 }
    this.#now = options.now
  }

  /**
   * Places for everything that a shard's program uses. Nothing of the state before is given up yet: the shard may be
   * refused. `settle` does that. `endpoints` is how many the tenant's pools will need, so that one page holds it all.
   */
  grantTenant(shard: TenantShard, limiters: readonly LimiterNeed[], endpoints = 0): TenantGrant {
    const { routeWords, limiterWords, endpointWords } = this.layout
    const record = this.#record(
      shard.tenant,
      shard.routes.length * routeWords + limiters.length * limiterWords + endpoints * endpointWords,
    )
    const now = this.#now()
    for (const { id } of shard.routes) {
      const key = routeKey(id)
      if (!record.routes.has(key)) record.routes.set(key, { id, slot: record.memory.give('route', now) })
    }
    for (const { id } of limiters) {
      const key = tupleKey(id.origin)
      if (!record.limiters.has(key)) record.limiters.set(key, { id, slot: record.memory.giveLimiter(now) })
    }
    return this.tenantGrant(shard)
  }

  /** The places that a tenant has, for a worker that knows nothing yet. `shard` was granted before. */
  tenantGrant(shard: TenantShard): TenantGrant {
    const record = this.#record(shard.tenant, 0)
    const routes = new Int32Array(shard.routes.length * 3)
    shard.routes.forEach(({ id }, index) => {
      const slot = record.routes.get(routeKey(id))?.slot
      if (slot !== undefined) writePlace(routes, index, slot)
    })
    return {
      tenant: shard.tenant,
      pages: [...record.memory.pages],
      arenas: [...record.memory.arenas],
      limiters: [...record.limiters.values()].map(({ id, slot }) => ({
        id,
        page: slot.page,
        at: slot.at,
        generation: slot.generation,
        arena: slot.arena,
        table: slot.table,
      })),
      routes,
    }
  }

  /** Places for the endpoints of a pool. Those that it no longer has are released. */
  grantPool(pool: Pool): PoolGrant {
    const record = this.#record(pool.id.tenant, pool.endpoints.length * this.layout.endpointWords)
    const key = poolKey(pool.id)
    const now = this.#now()
    let present = record.pools.get(key)
    if (present === undefined) {
      present = { pool, endpoints: new Map() }
      record.pools.set(key, present)
    }
    present.pool = pool
    const named = new Set<string>()
    for (const { address, port } of pool.endpoints) {
      const endpointKey = tupleKey([address, String(port)])
      named.add(endpointKey)
      const endpoint = present.endpoints.get(endpointKey)
      if (endpoint !== undefined) endpoint.slot.releasedAt = undefined
      else present.endpoints.set(endpointKey, { address, port, slot: record.memory.give('endpoint', now) })
    }
    for (const [endpointKey, { slot }] of present.endpoints) if (!named.has(endpointKey)) slot.releasedAt ??= now
    return this.poolGrant(pool)
  }

  /** The places that a pool has. `pool` was granted before. */
  poolGrant(pool: Pool): PoolGrant {
    const record = this.#record(pool.id.tenant, 0)
    const present = record.pools.get(poolKey(pool.id))
    const endpoints = new Int32Array(pool.endpoints.length * 3)
    pool.endpoints.forEach(({ address, port }, index) => {
      const slot = present?.endpoints.get(tupleKey([address, String(port)]))?.slot
      if (slot !== undefined) writePlace(endpoints, index, slot)
    })
    return { tenant: pool.id.tenant, pages: [...record.memory.pages], endpoints }
  }

  /** A shard is active in all workers: what its tenant had before and it does not name is released. */
  settle(shard: TenantShard, limiters: readonly LimiterNeed[]): void {
    const record = this.tenants.get(shard.tenant)
    if (record === undefined) return
    record.shard = shard
    record.releasedAt = undefined
    release(record.routes, new Set(shard.routes.map(({ id }) => routeKey(id))), this.#now())
    release(record.limiters, new Set(limiters.map(({ id }) => tupleKey(id.origin))), this.#now())
  }

  /** A tenant is served no longer. Its state stays for the grace period, in case it comes back. */
  releaseTenant(name: string): void {
    const record = this.tenants.get(name)
    if (record !== undefined) record.releasedAt ??= this.#now()
  }

  /** A pool is gone. */
  releasePool(tenant: string, key: string): void {
    const pool = this.tenants.get(tenant)?.pools.get(key)
    if (pool !== undefined) for (const { slot } of pool.endpoints.values()) slot.releasedAt ??= this.#now()
  }

  /** Bytes of shared memory that is allocated. */
  bytes(): number {
    let bytes = this.root.pod.byteLength + this.root.unowned.byteLength
    for (const { memory } of this.tenants.values()) bytes += memory.bytes()
    return bytes
  }

  #record(tenant: string, words: number): TenantRecord {
    let record = this.tenants.get(tenant)
    if (record === undefined) {
      record = {
        tenant,
        memory: new TenantMemory(this.layout, this.#sizes, this.#budget, words),
        routes: new Map(),
        limiters: new Map(),
        pools: new Map(),
        shard: undefined,
        releasedAt: undefined,
      }
      this.tenants.set(tenant, record)
    }
    return record
  }
}

function release(records: ReadonlyMap<string, { readonly slot: Slot }>, named: ReadonlySet<string>, now: number): void {
  for (const [key, { slot }] of records) {
    if (named.has(key)) slot.releasedAt = undefined
    else slot.releasedAt ??= now
  }
}

function writePlace(places: Int32Array, index: number, slot: Slot): void {
  places[index * 3] = slot.page
  places[index * 3 + 1] = slot.at
  places[index * 3 + 2] = slot.generation
}

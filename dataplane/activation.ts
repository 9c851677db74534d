// Makes a change active in all workers: memory is given out, every worker builds what changed, and only when all have,
// all swap; a lone worker swaps as soon as it has built. A tenant that any of them cannot build keeps what it had
// everywhere. main.ts owns one; receive.ts feeds it.
import { poolKey, type Pool, type TenantShard } from '../model/snapshot.ts'
import type { Filters } from './build/chain.ts'
import type { Acknowledgement, Change, Held, Refused } from './receive.ts'
import { acknowledge } from './receive.ts'
import type { LimiterNeed, StateAllocator } from './runtime/shared-state-allocator.ts'
import { findNeeds } from './state-needs.ts'
import { packChange } from './worker-change.ts'
import { packShard, type PoolItem, type Refusal, type Removals, type TenantItem } from './worker-messages.ts'
import { OrderFailed, WorkerGone, type WorkerMember } from './worker-pool.ts'
import { Turn } from './turn.ts'

/** A shard that serves, and the limiters that its program uses. */
interface ActiveTenant {
  readonly shard: TenantShard
  readonly needs: readonly LimiterNeed[]
}

/** What one message carries: little enough to be taken in within a few milliseconds. */
interface Slice {
  readonly pools: readonly Pool[]
  readonly tenants: readonly TenantShard[]
}

/** Rough work of one slice, in endpoints. */
const SLICE_WORK = 1_000
const ROUTE_WORK = 10
const MATCH_WORK = 4
/** A worker that died while it built is waited for this long before the next try. Milliseconds. */
const RECOVERY = 10_000
const ATTEMPTS = 5
const DEATHS = 2

/** See the head of this file. Activations follow each other; workers that start are brought up to date in between. */
export class Activation implements Held {
  sequence = 0
  version = ''
  endpointsRevision = ''
  /** Milliseconds since the epoch when the newest snapshot became active, 0 for never. */
  activeSince = 0
  readonly #state: StateAllocator
  readonly #filters: Filters
  readonly #serving: () => readonly WorkerMember[]
  readonly #whole: (milliseconds: number) => Promise<void>
  readonly #active = new Map<string, ActiveTenant>()
  readonly #pools = new Map<string, Pool>()
  readonly #refused = new Map<string, { readonly hash: string; readonly message: string }>()
  readonly #activations = new Turn()
  /** Held by whoever is in conversation with workers. */
  readonly #conversation = new Turn()

  /**
   * @param serving the workers that are up to date.
   * @param whole resolves when all workers are, or after so many milliseconds.
   */
  constructor(options: {
    readonly state: StateAllocator
    readonly filters: Filters
    readonly serving: () => readonly WorkerMember[]
    readonly whole: (milliseconds: number) => Promise<void>
  }) {
    this.#state = options.state
    this.#filters = options.filters
    this.#serving = options.serving
    this.#whole = options.whole
  }

  holdsShard(tenant: string, hash: string): boolean {
    const refused = this.#refused.get(tenant)
    return refused === undefined ? this.#active.get(tenant)?.shard.hash === hash : refused.hash === hash
  }

  holdsPool(key: string, hash: string): boolean {
    return this.#pools.get(key)?.hash === hash
  }

  tenants(): Iterable<string> {
    return new Set([...this.#active.keys(), ...this.#refused.keys()])
  }

  pools(): Iterable<string> {
    return this.#pools.keys()
  }

  refused(): readonly Refused[] {
    return [...this.#refused].map(([tenant, { message }]) => ({ tenant, message }))
  }

  /** The shard of a tenant that serves. */
  shard(tenant: string): TenantShard | undefined {
    return this.#active.get(tenant)?.shard
  }

  /** The shards that serve. */
  shards(): ReadonlyMap<string, TenantShard> {
    return new Map([...this.#active].map(([tenant, { shard }]) => [tenant, shard]))
  }

  /** The pools in use, by poolKey. */
  activePools(): ReadonlyMap<string, Pool> {
    return this.#pools
  }

  /** One after the other. */
  async inTurn<Result>(run: () => Promise<Result>): Promise<Result> {
    const done = await this.#activations.take()
    try {
      return await run()
    } finally {
      done()
    }
  }

  /** Makes a change active. Only inside `inTurn`. */
  async activate(change: Change): Promise<Acknowledgement> {
    const refused = new Map<string, string>()
    const needs = await this.#findNeeds(change.shards, refused)
    const shards = change.shards.filter(({ tenant }) => needs.has(tenant))
    const removed = this.#removals(change)
    const { done, committed } = await this.#prepare(change.pools, shards, needs, refused, removed)
    try {
      if (!committed) await this.#commit(removed, shards, refused)
    } finally {
      done()
    }
    this.#settle(change, needs, refused)
    return acknowledge(this)
  }

  /** Brings a worker that has just started up to date, then lets `ready` open its listeners and count it in. */
  async catchUp(member: WorkerMember, ready: () => Promise<void>): Promise<void> {
    const done = await this.#conversation.take()
    try {
      const tenants = [...this.#active.values()].map(({ shard }) => shard)
      const refused: string[] = []
      for (const slice of slicesOf([...this.#pools.values()], tenants, new Set())) {
        const report = await member.ask(this.#order(slice), 'prepared')
        // It served before; a worker that cannot build it now serves the rest.
        for (const { tenant } of report.refused) refused.push(tenant)
      }
      await member.ask({ type: 'commit', refused, removed: { tenants: [], pools: [] } }, 'committed')
      await ready()
    } finally {
      done()
    }
  }

  async #findNeeds(
    shards: readonly TenantShard[],
    refused: Map<string, string>,
  ): Promise<Map<string, readonly LimiterNeed[]>> {
    const needs = new Map<string, readonly LimiterNeed[]>()
    let from = performance.now()
    for (const shard of shards) {
      try {
        needs.set(shard.tenant, findNeeds(shard, this.#filters))
      } catch (error) {
        refused.set(shard.tenant, error instanceof Error ? error.message : String(error))
      }
      if (performance.now() - from < 10) continue
      await new Promise((resolve) => setImmediate(resolve))
      from = performance.now()
    }
    return needs
  }

  /**
   * Has every worker build. A worker that dies meanwhile points at the slice that it had; alone, twice, it is proven.
   * Resolves with the conversation still held: a worker that started between this and the commit would be brought up to
   * what serves now, and then be told to commit what it never built. A lone worker that is given everything at once has
   * committed already.
   */
  async #prepare(
    pools: readonly Pool[],
    shards: readonly TenantShard[],
    needs: ReadonlyMap<string, readonly LimiterNeed[]>,
    refused: Map<string, string>,
    removed: Removals,
  ): Promise<{ readonly done: () => void; readonly committed: boolean }> {
    const endpoints = new Map<string, number>()
    for (const { id, endpoints: list } of pools) {
      endpoints.set(id.tenant, (endpoints.get(id.tenant) ?? 0) + list.length)
    }
    for (const shard of shards) {
      this.#state.grantTenant(shard, needs.get(shard.tenant) ?? [], endpoints.get(shard.tenant))
    }
    for (const pool of pools) this.#state.grantPool(pool)
    const deaths = new Map<string, number>()
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const left = shards.filter(({ tenant }) => !refused.has(tenant))
      const done = await this.#conversation.take()
      let fatal: readonly TenantShard[][] | undefined
      let committed = false
      try {
        const slices = slicesOf(pools, left, new Set(deaths.keys()))
        const members = this.#serving()
        const commit = members.length === 1 && slices.length === 1 ? removed : null
        const results = await Promise.all(members.map((member) => this.#build(member, slices, refused, commit)))
        fatal = results.flatMap(({ diedAt }) => (diedAt === undefined ? [] : [[...diedAt]]))
        committed = results.every((result) => result.committed)
      } finally {
        if (fatal?.length !== 0) done()
      }
      if (fatal.length === 0) return { done, committed }
      for (const tenants of fatal) {
        for (const { tenant } of tenants) deaths.set(tenant, (deaths.get(tenant) ?? 0) + 1)
        const [only] = tenants
        if (tenants.length === 1 && only !== undefined && (deaths.get(only.tenant) ?? 0) >= DEATHS) {
          refused.set(only.tenant, 'workers died while they built it')
        }
      }
      await this.#whole(RECOVERY)
    }
    for (const [tenant] of deaths) refused.set(tenant, 'workers kept dying while they built it')
    return { done: await this.#conversation.take(), committed: false }
  }

  /** Has one worker build all slices. Returns the tenants of the slice that it died at, and whether it committed. */
  async #build(
    member: WorkerMember,
    slices: readonly Slice[],
    refused: Map<string, string>,
    commit: Removals | null,
  ): Promise<{ readonly diedAt?: readonly TenantShard[]; readonly committed: boolean }> {
    let first = true
    let committed = false
    for (const slice of slices) {
      try {
        const order = this.#order(slice, this.#active)
        const report = await member.ask({ ...order, first, commit }, 'prepared')
        committed = report.committed
        const changed = new Set(order.tenants.flatMap(({ tenant, change }) => (change === null ? [] : [tenant])))
        const sure = report.refused.filter(({ tenant }) => !changed.has(tenant))
        const unclear = report.refused.flatMap(({ tenant }) => (changed.has(tenant) ? [tenant] : []))
        const whole = unclear.length === 0 ? [] : await this.#buildWhole(member, slice, new Set(unclear))
        for (const { tenant, message } of [...sure, ...whole]) refused.set(tenant, message)
      } catch (error) {
        if (error instanceof WorkerGone) return { diedAt: slice.tenants, committed: false }
        if (!(error instanceof OrderFailed)) throw error
        for (const { tenant } of slice.tenants) refused.set(tenant, error.message)
      }
      first = false
    }
    return { committed }
  }

  /** A worker may not have what a change is of: it is given the whole before anything is refused. */
  async #buildWhole(member: WorkerMember, { tenants }: Slice, names: ReadonlySet<string>): Promise<readonly Refusal[]> {
    const left = { pools: [], tenants: tenants.filter(({ tenant }) => names.has(tenant)) }
    return (await member.ask(this.#order(left), 'prepared')).refused
  }

  /** @param present what the worker serves, so that it need be told only what changed. */
  #order(slice: Slice, present?: ReadonlyMap<string, ActiveTenant>) {
    return {
      type: 'prepare',
      first: false,
      commit: null,
      pools: slice.pools.map((pool): PoolItem => ({ pool, grant: this.#state.poolGrant(pool) })),
      tenants: slice.tenants.map((shard): TenantItem => {
        const { tenant } = shard
        const grant = this.#state.tenantGrant(shard)
        const change = packChange(present?.get(tenant)?.shard, shard)
        if (change === undefined) return { tenant, grant, shard: packShard(shard), change: null }
        return { tenant, grant, shard: null, change }
      }),
    } as const
  }

  #removals({ removedTenants, removedPools }: Change): Removals {
    const pools = removedPools.flatMap((key) => {
      const pool = this.#pools.get(key)
      return pool === undefined ? [] : [{ tenant: pool.id.tenant, key }]
    })
    return { tenants: removedTenants, pools }
  }

  async #commit(
    removed: Removals,
    shards: readonly TenantShard[],
    refused: ReadonlyMap<string, string>,
  ): Promise<void> {
    const order = {
      type: 'commit',
      refused: shards.filter(({ tenant }) => refused.has(tenant)).map(({ tenant }) => tenant),
      removed,
    } as const
    // Whoever dies now starts again from what is active after this.
    await Promise.allSettled(this.#serving().map((member) => member.ask(order, 'committed')))
  }

  #settle(
    change: Change,
    needs: ReadonlyMap<string, readonly LimiterNeed[]>,
    refused: ReadonlyMap<string, string>,
  ): void {
    for (const tenant of change.removedTenants) {
      this.#active.delete(tenant)
      this.#refused.delete(tenant)
      this.#state.releaseTenant(tenant)
    }
    for (const shard of change.shards) {
      const message = refused.get(shard.tenant)
      const present = this.#active.get(shard.tenant)
      if (message === undefined) {
        const active = { shard, needs: needs.get(shard.tenant) ?? [] }
        this.#active.set(shard.tenant, active)
        this.#refused.delete(shard.tenant)
        this.#state.settle(shard, active.needs)
      } else {
        this.#refused.set(shard.tenant, { hash: shard.hash, message })
        // What the refused shard was given goes back in time.
        if (present === undefined) this.#state.releaseTenant(shard.tenant)
        else this.#state.settle(present.shard, present.needs)
      }
    }
    // A tenant that went back to the shard that serves is refused no longer.
    for (const [tenant] of this.#refused) {
      if (change.manifest.shards.get(tenant) === this.#active.get(tenant)?.shard.hash) this.#refused.delete(tenant)
    }
    for (const key of change.removedPools) {
      const pool = this.#pools.get(key)
      if (pool !== undefined) this.#state.releasePool(pool.id.tenant, key)
      this.#pools.delete(key)
    }
    for (const pool of change.pools) this.#pools.set(poolKey(pool.id), pool)
    this.sequence = change.manifest.sequence
    this.version = change.manifest.version
    this.endpointsRevision = change.manifest.endpointsRevision
    this.activeSince = Date.now()
  }
}

/** Pools first, then tenants; a suspect alone. */
function slicesOf(pools: readonly Pool[], tenants: readonly TenantShard[], suspects: ReadonlySet<string>): Slice[] {
  const slices: Slice[] = []
  let current: { pools: Pool[]; tenants: TenantShard[] } = { pools: [], tenants: [] }
  let work = 0
  const next = () => {
    if (current.pools.length + current.tenants.length > 0) slices.push(current)
    current = { pools: [], tenants: [] }
    work = 0
  }
  for (const pool of pools) {
    work += 4 + pool.endpoints.length
    current.pools.push(pool)
    if (work >= SLICE_WORK) next()
  }
  for (const shard of tenants) {
    if (suspects.has(shard.tenant)) {
      slices.push({ pools: [], tenants: [shard] })
      continue
    }
    work += workOf(shard)
    current.tenants.push(shard)
    if (work >= SLICE_WORK) next()
  }
  next()
  return slices
}

function workOf(shard: TenantShard): number {
  let matches = 0
  for (const host of shard.hosts) matches += host.matches.length
  return 40 + shard.routes.length * ROUTE_WORK + matches * MATCH_WORK
}

// PodState of one worker thread over memory that all workers of the pod share (SharedArrayBuffer). The main thread
// decides where things lie (shared-state-allocator.ts) and hands the places over with each activation; this side only
// counts. Whoever asks for something that was not granted gets an Error, and its tenant is refused.
import { performance } from 'node:perf_hooks'
import type { LimitDecision, Limiter, LimiterId } from '../../model/filter.ts'
import { tupleKey } from '../../model/resources.ts'
import { poolKey, routeKey, type Pool, type PoolId, type RouteId } from '../../model/snapshot.ts'
import { createRule, step, toTicks, type Rule, type Step } from './gcra.ts'
import { KeyTable, levelSizes } from './key-table.ts'
import { KeyHash } from './key-table-hash.ts'
import type { BoundedCount, EndpointState, PodState, RouteMetrics, TenantMetrics, TenantState } from './pod-state.ts'
import { SharedCount, SharedEndpoint } from './shared-state-counts.ts'
import type { LimiterGrant, PoolGrant, StateRoot, TenantGrant } from './shared-state-grants.ts'
import {
  concurrencyPlaces,
  connectionPlaces,
  createLayout,
  GENERATION,
  LIMITER_CELL,
  LIMITER_LEVEL,
  LIMITER_OVERFLOW_CELL,
  LIMITER_OVERFLOWS,
  type Layout,
} from './shared-state-layout.ts'
import { createViews, PodColumn, SharedRouteMetrics, SharedTenantMetrics, type Views } from './shared-state-metrics.ts'

/** What one thread holds: the memory of the pod and its own column in it. */
export interface ThreadMemory {
  readonly root: StateRoot
  readonly layout: Layout
  readonly column: number
  readonly hash: KeyHash
  readonly sizes: readonly number[]
  readonly pod: PodColumn
  readonly now: () => number
}

/** The clock of the pod in this thread: monotonic milliseconds since `epoch`, the same in all threads. */
export function createPodClock(epoch: bigint): () => number {
  // performance.now() starts anew in each thread but runs on the same clock, so one difference is enough.
  const offset = Number(process.hrtime.bigint() - epoch) / 1e6 - performance.now()
  return () => performance.now() + offset
}

/**
 * The state of one worker. `column` is the worker's number, below `root.workers`; `clock` gives the pod's monotonic
 * milliseconds (a test may hand in its own).
 */
export class SharedState implements PodState {
  readonly now: () => number
  readonly unowned: TenantMetrics
  /** What the worker counts for the pod as a whole. */
  readonly pod: PodColumn
  readonly #memory: ThreadMemory
  readonly #tenants = new Map<string, SharedTenant>()

  constructor(root: StateRoot, column: number, clock: () => number = createPodClock(root.epoch)) {
    const layout = createLayout(root.workers, root.policies)
    this.now = clock
    this.pod = new PodColumn(createViews(root.pod), layout, column)
    this.#memory = {
      root,
      layout,
      column,
      hash: new KeyHash(root.seed),
      sizes: levelSizes(root.maxKeys),
      pod: this.pod,
      now: this.now,
    }
    this.unowned = new SharedTenantMetrics(createViews(root.unowned), layout, column, this.pod)
  }

  /** The state of a granted tenant. Throws where it was not granted. */
  tenant(name: string): TenantState {
    const tenant = this.#tenants.get(name)
    if (tenant === undefined) throw new Error(`no state was granted for tenant ${name}`)
    return tenant
  }

  /** Takes a tenant's places in. `routes` are those of the shard that the grant was made for. */
  grantTenant(grant: TenantGrant, routes: readonly RouteId[]): void {
    this.#tenantWith(grant.tenant, grant.pages).grant(grant, routes)
  }

  /** Takes the places of a pool's endpoints in. */
  grantPool(grant: PoolGrant, pool: Pool): void {
    this.#tenantWith(grant.tenant, grant.pages).grantPool(grant, pool)
  }

  /** Forgets a pool, or a tenant. Handles that are still held go on working until their generation changes. */
  dropPool(tenant: string, key: string): void {
    this.#tenants.get(tenant)?.dropPool(key)
  }

  dropTenant(name: string): void {
    this.#tenants.delete(name)
  }

  #tenantWith(name: string, pages: readonly SharedArrayBuffer[]): SharedTenant {
    const [root] = pages
    if (root === undefined) throw new Error(`tenant ${name} was granted no memory`)
    let tenant = this.#tenants.get(name)
    if (tenant === undefined) {
      tenant = new SharedTenant(name, this.#memory, createViews(root))
      this.#tenants.set(name, tenant)
    }
    tenant.seePages(pages)
    return tenant
  }
}

class SharedTenant implements TenantState {
  readonly tenant: string
  readonly concurrency: BoundedCount
  readonly connections: BoundedCount
  readonly metrics: TenantMetrics
  readonly #memory: ThreadMemory
  readonly #pages: Views[]
  #limiters = new Map<string, LimiterMemory>()
  #routes = new Map<string, SharedRouteMetrics>()
  readonly #pools = new Map<string, ReadonlyMap<string, readonly SharedEndpoint[]>>()

  constructor(tenant: string, memory: ThreadMemory, root: Views) {
    const { layout, column } = memory
    this.tenant = tenant
    this.#memory = memory
    this.#pages = [root]
    this.concurrency = new SharedCount(root.words, concurrencyPlaces(column))
    this.connections = new SharedCount(root.words, connectionPlaces(column))
    this.metrics = new SharedTenantMetrics(root, layout, column, memory.pod)
  }

  seePages(pages: readonly SharedArrayBuffer[]): void {
    for (let page = this.#pages.length; page < pages.length; page++) {
      const buffer = pages[page]
      if (buffer !== undefined) this.#pages.push(createViews(buffer))
    }
  }

  grant(grant: TenantGrant, routes: readonly RouteId[]): void {
    const nextRoutes = new Map<string, SharedRouteMetrics>()
    routes.forEach((id, index) => {
      const key = routeKey(id)
      const at = grant.routes[index * 3 + 1] ?? 0
      const generation = grant.routes[index * 3 + 2] ?? 0
      const views = this.#page(grant.routes[index * 3] ?? 0)
      const present = this.#routes.get(key)
      nextRoutes.set(
        key,
        present?.isAt(views, at, generation) === true
          ? present
          : new SharedRouteMetrics(views, at, generation, this.#memory.column),
      )
    })
    const nextLimiters = new Map<string, LimiterMemory>()
    for (const limiter of grant.limiters) {
      const key = tupleKey(limiter.id.origin)
      const present = this.#limiters.get(key)
      const arena = grant.arenas[limiter.arena]
      nextLimiters.set(
        key,
        present !== undefined && present.generation === limiter.generation && present.at === limiter.at
          ? present
          : new LimiterMemory(this.#memory, this.#page(limiter.page), limiter, arena),
      )
    }
    this.#routes = nextRoutes
    this.#limiters = nextLimiters
  }

  grantPool(grant: PoolGrant, pool: Pool): void {
    const key = poolKey(pool.id)
    const present = this.#pools.get(key)
    const endpoints = new Map<string, SharedEndpoint[]>()
    pool.endpoints.forEach(({ address, port }, index) => {
      const views = this.#page(grant.endpoints[index * 3] ?? 0)
      const at = grant.endpoints[index * 3 + 1] ?? 0
      const generation = grant.endpoints[index * 3 + 2] ?? 0
      const old = present?.get(address)?.find((candidate) => candidate.port === port)
      const endpoint =
        old?.isAt(views, at, generation) === true
          ? old
          : new SharedEndpoint(address, port, views, at, generation, this.#memory)
      const ports = endpoints.get(address)
      if (ports === undefined) endpoints.set(address, [endpoint])
      else ports.push(endpoint)
    })
    this.#pools.set(key, endpoints)
  }

  dropPool(key: string): void {
    this.#pools.delete(key)
  }

  limiter(id: LimiterId, rate: { readonly count: number; readonly seconds: number; readonly burst: number }): Limiter {
    const memory = this.#limiters.get(tupleKey(id.origin))
    if (memory === undefined || id.tenant !== this.tenant) {
      throw new Error(`no state was granted for limiter ${id.origin.join('/')} of tenant ${id.tenant}`)
    }
    return new SharedLimiter(createRule(rate), memory)
  }

  endpoint(pool: PoolId, address: string, port: number): EndpointState {
    const endpoint = this.#pools
      .get(poolKey(pool))
      ?.get(address)
      ?.find((candidate) => candidate.port === port)
    if (endpoint === undefined) throw new Error(`no state was granted for endpoint ${address} port ${port}`)
    return endpoint
  }

  route(id: RouteId): RouteMetrics {
    const route = this.#routes.get(routeKey(id))
    if (route === undefined) throw new Error(`no state was granted for route ${id.namespace}/${id.route}`)
    return route
  }

  #page(page: number): Views {
    const views = this.#pages[page]
    if (views === undefined) throw new Error(`tenant ${this.tenant} has no page ${page}`)
    return views
  }
}

/** Where the buckets of one limiter lie, whatever its rate is. */
class LimiterMemory {
  readonly generation: number
  readonly at: number
  readonly #thread: ThreadMemory
  readonly #views: Views
  readonly #table: KeyTable | undefined

  constructor(
    thread: ThreadMemory,
    views: Views,
    grant: LimiterGrant,
    arena: { readonly buffer: SharedArrayBuffer; readonly tables: number } | undefined,
  ) {
    this.generation = grant.generation
    this.at = grant.at
    this.#thread = thread
    this.#views = views
    this.#table =
      arena &&
      new KeyTable({
        buffer: arena.buffer,
        table: grant.table,
        tables: arena.tables,
        sizes: thread.sizes,
        levelWord: views.words,
        levelAt: grant.at * 2 + LIMITER_LEVEL,
      })
  }

  take(rule: Rule, key: string): Step {
    const now = toTicks(this.#thread.now())
    // Swept while an old program still held it: nothing may be written where something else lives now.
    if (Atomics.load(this.#views.words, this.at * 2 + GENERATION) !== this.generation) return step(rule, 0n, now)
    if (key === '') return this.#takeCell(LIMITER_CELL, rule, now)
    const { hash } = this.#thread
    hash.run(key)
    const taken = this.#table?.take(hash.low, hash.high, rule, now)
    if (taken !== undefined) return taken
    Atomics.add(this.#views.words, this.at * 2 + LIMITER_OVERFLOWS, 1)
    return this.#takeCell(LIMITER_OVERFLOW_CELL, rule, now)
  }

  #takeCell(place: number, rule: Rule, now: bigint): Step {
    const arrivals = this.#views.longs
    for (;;) {
      const arrival = Atomics.load(arrivals, this.at + place)
      const result = step(rule, arrival, now)
      if (!result.allowed) return result
      if (Atomics.compareExchange(arrivals, this.at + place, arrival, result.next) === arrival) return result
    }
  }
}

class SharedLimiter implements Limiter {
  readonly #rule: Rule
  readonly #memory: LimiterMemory

  constructor(rule: Rule, memory: LimiterMemory) {
    this.#rule = rule
    this.#memory = memory
  }

  take(key: string): LimitDecision {
    return this.#memory.take(this.#rule, key)
  }
}

// PodState for one thread: explain, tests and tools. Plain maps and numbers, nothing shared, nothing swept.
// Passes the same suite as shared-state.ts (test/contracts/pod-state.ts).
import { performance } from 'node:perf_hooks'
import type { LimitDecision, Limiter, LimiterId } from '../../model/filter.ts'
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import { tupleKey } from '../../model/resources.ts'
import { poolKey, routeKey, type PoolId, type RouteId } from '../../model/snapshot.ts'
import { createRule, step, toTicks, type Rule } from './gcra.ts'
import type { BoundedCount, EndpointState, PodState, RouteMetrics, TenantMetrics, TenantState } from './pod-state.ts'

/** What tests may wish to see of a tenant's counters. */
export interface LocalCounts {
  /** By status. */
  readonly requests: ReadonlyMap<number, number>
  readonly active: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly gatewayErrors: ReadonlyMap<GatewayErrorCode, number>
  readonly upstreamErrors: ReadonlyMap<GatewayErrorCode, number>
  readonly retries: { readonly success: number; readonly failure: number }
  /** By name of the limit or policy. */
  readonly limits: ReadonlyMap<string, { readonly allowed: number; readonly refused: number }>
  readonly policies: ReadonlyMap<string, { readonly allowed: number; readonly refused: number }>
  /** By routeKey, then by status. */
  readonly routes: ReadonlyMap<string, ReadonlyMap<number, number>>
}

/** State of one thread. `read` gives the counters of a tenant, '' for requests that no tenant owns. */
export interface LocalState extends PodState {
  read(tenant: string): LocalCounts
}

/**
 * State in plain memory.
 * @param clock monotonic milliseconds; a test may hand in its own.
 * @param maxKeys buckets that one limiter keeps; further keys share one.
 */
export function createLocalState(
  options: { readonly clock?: () => number; readonly maxKeys?: number } = {},
): LocalState {
  const now = options.clock ?? (() => performance.now())
  const maxKeys = options.maxKeys ?? 65_536
  const tenants = new Map<string, LocalTenant>()
  const find = (name: string) => {
    const present = tenants.get(name)
    if (present !== undefined) return present
    const created = new LocalTenant(name, now, maxKeys)
    tenants.set(name, created)
    return created
  }
  const unowned = new LocalMetrics()
  return {
    now,
    tenant: find,
    unowned,
    read: (tenant) => (tenant === '' ? unowned : find(tenant).metrics).read(),
  }
}

class LocalTenant implements TenantState {
  readonly tenant: string
  readonly concurrency: BoundedCount = new LocalCount()
  readonly connections: BoundedCount = new LocalCount()
  readonly metrics = new LocalMetrics()
  readonly #now: () => number
  readonly #maxKeys: number
  readonly #buckets = new Map<string, Map<string, bigint>>()
  readonly #endpoints = new Map<string, LocalEndpoint>()

  constructor(tenant: string, now: () => number, maxKeys: number) {
    this.tenant = tenant
    this.#now = now
    this.#maxKeys = maxKeys
  }

  limiter(id: LimiterId, rate: { readonly count: number; readonly seconds: number; readonly burst: number }): Limiter {
    const key = tupleKey([id.tenant, ...id.origin])
    const buckets = this.#buckets.get(key) ?? new Map<string, bigint>()
    this.#buckets.set(key, buckets)
    return new LocalLimiter(createRule(rate), buckets, this.#now, this.#maxKeys)
  }

  endpoint(pool: PoolId, address: string, port: number): EndpointState {
    const key = tupleKey([poolKey(pool), address, String(port)])
    const endpoint = this.#endpoints.get(key) ?? new LocalEndpoint(address, port)
    this.#endpoints.set(key, endpoint)
    return endpoint
  }

  route(id: RouteId): RouteMetrics {
    return this.metrics.route(routeKey(id))
  }
}

class LocalLimiter implements Limiter {
  readonly #rule: Rule
  readonly #buckets: Map<string, bigint>
  readonly #now: () => number
  readonly #maxKeys: number

  constructor(rule: Rule, buckets: Map<string, bigint>, now: () => number, maxKeys: number) {
    this.#rule = rule
    this.#buckets = buckets
    this.#now = now
    this.#maxKeys = maxKeys
  }

  take(key: string): LimitDecision {
    const now = toTicks(this.#now())
    // A lone surrogate never stands in a client address or a header, so no caller's key meets the shared one.
    const bucket = key === '' || this.#buckets.has(key) || this.#makeRoom(now) ? key : '\ud800overflow'
    const result = step(this.#rule, this.#buckets.get(bucket) ?? 0n, now)
    if (result.allowed) this.#buckets.set(bucket, result.next)
    return result
  }

  #makeRoom(now: bigint): boolean {
    if (this.#buckets.size < this.#maxKeys) return true
    for (const [key, arrival] of this.#buckets) if (arrival <= now) this.#buckets.delete(key)
    return this.#buckets.size < this.#maxKeys
  }
}

class LocalCount implements BoundedCount {
  #taken = 0

  tryAcquire(bound: number | null): boolean {
    if (bound !== null && this.#taken >= bound) return false
    this.#taken++
    return true
  }

  release(): void {
    this.#taken--
  }

  value(): number {
    return this.#taken
  }
}

class LocalEndpoint implements EndpointState {
  readonly address: string
  readonly port: number
  #inFlight = 0
  #failures = 0
  #ejectedUntil = 0

  constructor(address: string, port: number) {
    this.address = address
    this.port = port
  }

  begin(): void {
    this.#inFlight++
  }

  end(): void {
    this.#inFlight--
  }

  inFlight(): number {
    return this.#inFlight
  }

  failed(): number {
    return ++this.#failures
  }

  succeeded(): void {
    this.#failures = 0
  }

  ejectedUntil(): number {
    return this.#ejectedUntil
  }

  eject(until: number): void {
    this.#ejectedUntil = until
  }
}

class LocalMetrics implements TenantMetrics {
  readonly #requests = new Map<number, number>()
  readonly #gatewayErrors = new Map<GatewayErrorCode, number>()
  readonly #upstreamErrors = new Map<GatewayErrorCode, number>()
  readonly #retries = { success: 0, failure: 0 }
  readonly #limits = new Map<string, Decisions>()
  readonly #policies = new Map<string, Decisions>()
  readonly #routes = new Map<string, Map<number, number>>()
  #active = 0
  #bytesIn = 0
  #bytesOut = 0

  request(
    status: number,
    _durationMs: number,
    _overheadMs: number,
    _upstreamMs: number,
    bytesIn: number,
    bytesOut: number,
  ): void {
    increase(this.#requests, status)
    this.#bytesIn += bytesIn
    this.#bytesOut += bytesOut
  }

  active(delta: 1 | -1): void {
    this.#active += delta
  }

  gatewayError(code: GatewayErrorCode): void {
    increase(this.#gatewayErrors, code)
  }

  upstreamError(code: GatewayErrorCode): void {
    increase(this.#upstreamErrors, code)
  }

  upstreamRetry(result: 'success' | 'failure'): void {
    this.#retries[result]++
  }

  limitDecision(limit: string, decision: 'allowed' | 'refused'): void {
    decide(this.#limits, limit, decision)
  }

  policyDecision(policy: string, decision: 'allowed' | 'refused'): void {
    decide(this.#policies, policy, decision)
  }

  route(key: string): RouteMetrics {
    const requests = this.#routes.get(key) ?? new Map<number, number>()
    this.#routes.set(key, requests)
    return { request: (status) => increase(requests, status) }
  }

  read(): LocalCounts {
    return {
      requests: this.#requests,
      active: this.#active,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      gatewayErrors: this.#gatewayErrors,
      upstreamErrors: this.#upstreamErrors,
      retries: this.#retries,
      limits: this.#limits,
      policies: this.#policies,
      routes: this.#routes,
    }
  }
}

interface Decisions {
  allowed: number
  refused: number
}

function increase<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function decide(counts: Map<string, Decisions>, name: string, decision: 'allowed' | 'refused'): void {
  const decisions = counts.get(name) ?? { allowed: 0, refused: 0 }
  decisions[decision]++
  counts.set(name, decisions)
}

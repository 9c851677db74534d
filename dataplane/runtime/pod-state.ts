// State that the whole pod counts together and that outlives every configuration: limits, requests in flight,
// metrics. Types only. Two implementations pass one suite: local (one thread: explain, tests) and shared (worker
// threads over SharedArrayBuffers, a column for each worker so that a dead one's share is given back).
import type { Limiter, LimiterId } from '../../model/filter.ts'
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { PoolId, RouteId } from '../../model/snapshot.ts'

/** A pod-wide count with a bound. */
export interface BoundedCount {
  /** Takes one place unless `bound` places are taken; exact over all workers. null means no bound (still counted). */
  tryAcquire(bound: number | null): boolean
  release(): void
  value(): number
}

/** Requests in flight at one endpoint, over all workers: LeastConnections reads it, health keeps its ejection in it. */
export interface EndpointState {
  readonly address: string
  readonly port: number
  begin(): void
  end(): void
  inFlight(): number
  /** Consecutive failures over all workers; success sets it to 0. Returns the new count. */
  failed(): number
  succeeded(): void
  /** Ejected until this monotonic millisecond; 0 for not ejected. The same for all workers. */
  ejectedUntil(): number
  eject(until: number): void
}

/** Counters of one tenant, cheap enough for the hot path. */
export interface TenantMetrics {
  /** `status` 0 where the client left before any. Duration in milliseconds, bytes of bodies. */
  request(
    status: number,
    durationMs: number,
    overheadMs: number,
    upstreamMs: number,
    bytesIn: number,
    bytesOut: number,
  ): void
  active(delta: 1 | -1): void
  gatewayError(code: GatewayErrorCode): void
  upstreamError(code: GatewayErrorCode): void
  upstreamRetry(result: 'success' | 'failure'): void
  limitDecision(limit: string, decision: 'allowed' | 'refused'): void
  policyDecision(policy: string, decision: 'allowed' | 'refused'): void
}

export interface RouteMetrics {
  request(status: number, durationMs: number): void
}

/** All state of one tenant on this pod. */
export interface TenantState {
  readonly tenant: string
  readonly concurrency: BoundedCount
  readonly connections: BoundedCount
  readonly metrics: TenantMetrics
  limiter(id: LimiterId, rate: { readonly count: number; readonly seconds: number; readonly burst: number }): Limiter
  endpoint(pool: PoolId, address: string, port: number): EndpointState
  route(id: RouteId): RouteMetrics
}

/** Looked up at build time, never per request. Unused state is swept after a grace period. */
export interface PodState {
  /** Monotonic milliseconds, the same clock in all workers of the pod. */
  now(): number
  tenant(name: string): TenantState
  /** Requests that no tenant owns: unknown hosts, malformed ones. */
  readonly unowned: TenantMetrics
}

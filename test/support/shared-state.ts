// Shared state with one allocator and as many views of it as a test needs, in one thread or several.
import type { LimiterId } from '../../model/filter.ts'
import type { Pool, RouteId, RoutePlan, TenantShard } from '../../model/snapshot.ts'
import type { SharedState } from '../../dataplane/runtime/shared-state.ts'
import { StateAllocator } from '../../dataplane/runtime/shared-state-allocator.ts'
import type { Needs } from '../contracts/pod-state.ts'

/** A route plan that forwards nowhere. */
export function planOf(id: RouteId): RoutePlan {
  return {
    id,
    action: { type: 'unavailable', error: 'NoHealthyEndpoint' },
    rewrite: null,
    requestHeaders: null,
    responseHeaders: null,
    filters: [],
    balance: 'LeastConnections',
    timeouts: { request: null, backendRequest: 15_000, connect: 1_000, idle: 60_000 },
    retry: { attempts: 0, onConnectFailure: false, backoff: 0 },
    passiveHealth: { consecutiveFailures: 5, ejectFor: 30_000, maxEjectedPercent: 50 },
  }
}

/** A shard of these routes and nothing else. */
export function shardOf(tenant: string, routes: readonly RouteId[], hash = 'h'): TenantShard {
  return {
    tenant,
    hash,
    suspended: false,
    limits: { requests: null, concurrency: null, connections: null, bodySize: 10_485_760 },
    hosts: [],
    routes: routes.map(planOf),
    certificates: new Map(),
    authorities: new Map(),
  }
}

/** A pool of ready endpoints. */
export function poolOf(needs: Needs): Pool {
  return {
    id: needs.pool,
    hash: String(needs.endpoints.length),
    endpoints: needs.endpoints.map((endpoint) => ({ ...endpoint, zone: '', state: 'ready' })),
  }
}

/** An allocator with fixed random words. */
export function createAllocator(options: {
  readonly workers: number
  readonly now: () => number
  readonly maxKeys?: number
  readonly epoch?: bigint
}): StateAllocator {
  return new StateAllocator({
    policies: ['access', 'rateLimits'],
    seed: { words: [1, 2, 3, 4] },
    epoch: 0n,
    ...options,
  })
}

/** Grants what a tenant needs to every view. */
export function grantAll(allocator: StateAllocator, views: readonly SharedState[], needs: Needs): void {
  const shard = shardOf(needs.tenant, needs.routes)
  const limiters = needs.limiters.map((id: LimiterId) => ({ id }))
  const pool = poolOf(needs)
  const grant = allocator.grantTenant(shard, limiters, needs.endpoints.length)
  const poolGrant = allocator.grantPool(pool)
  for (const view of views) {
    view.grantTenant(grant, needs.routes)
    view.grantPool(poolGrant, pool)
  }
  allocator.settle(shard, limiters)
}

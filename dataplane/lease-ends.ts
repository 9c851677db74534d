// Which long exchanges of a tenant a new shard ends: those that stand on something it takes away. Pure. Everything else
// goes on through any change of configuration. worker-program.ts asks at every swap.
import type { GatewayErrorCode } from '../model/gateway-error.ts'
import { hostCovers } from '../model/host.ts'
import { poolKey, routeKey, type RoutePlan, type TenantShard } from '../model/snapshot.ts'
import type { Lease } from './runtime/leases.ts'

/** Leases to end, and what a new request of theirs would be answered with. */
export interface Ending {
  readonly reason: GatewayErrorCode
  readonly concerns: (lease: Lease) => boolean
}

/**
 * What ends when `after` takes the place of `before`: everything of a suspended tenant, what runs on a host that is no
 * longer the tenant's, on a route that is gone or may not serve, or through a backend that lost its permission.
 * Certificates and authorities are watched by the TLS table, connection by connection.
 */
export function endingsOf(before: TenantShard | undefined, after: TenantShard): readonly Ending[] {
  if (before === undefined) return []
  if (after.suspended) return [{ reason: 'TenantSuspended', concerns: () => true }]
  const endings: Ending[] = []
  const hosts = new Set(after.hosts.map(({ host }) => host))
  if (before.hosts.some(({ host }) => !hosts.has(host))) {
    endings.push({
      reason: 'NoHost',
      concerns: ({ leaseHost }) =>
        !hosts.has(leaseHost) && !after.hosts.some(({ host }) => hostCovers(host, leaseHost)),
    })
  }
  // The very plan goes on as it was: only the others have to be known by name.
  const kept = new Set(after.routes)
  const changed = before.routes.filter((plan) => !kept.delete(plan))
  const plans = new Map(changed.length === 0 ? [] : [...kept].map((plan) => [routeKey(plan.id), plan]))
  const lost = new Map<string, GatewayErrorCode>()
  for (const plan of changed) {
    const key = routeKey(plan.id)
    const reason = whyNot(plan, plans.get(key))
    if (reason !== undefined) lost.set(key, reason)
  }
  for (const reason of new Set(lost.values())) {
    endings.push({ reason, concerns: ({ route }) => lost.get(routeKey(route)) === reason })
  }
  return endings
}

function whyNot(before: RoutePlan, after: RoutePlan | undefined): GatewayErrorCode | undefined {
  if (after === undefined) return 'NoRoute'
  if (after.action.type === 'unavailable' && after.action.error === 'PolicyNotReady') return 'PolicyNotReady'
  if (before.action.type !== 'forward' || after.action.type !== 'forward') return undefined
  const { backends } = after.action
  const held = before.action.backends.every(({ pool, service }) => {
    if (pool === null) return true
    const key = poolKey(pool)
    if (backends.some((backend) => backend.pool !== null && poolKey(backend.pool) === key)) return true
    // The Route still names the Service but may not reach it any more: a grant was taken back.
    return !backends.some(
      (backend) =>
        backend.pool === null &&
        backend.service.namespace === service.namespace &&
        backend.service.name === service.name &&
        backend.service.port === service.port,
    )
  })
  return held ? undefined : 'NoHealthyEndpoint'
}

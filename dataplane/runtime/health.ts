// Passive health: what real traffic shows of an endpoint puts it out for a while. The state is the pod's (EndpointState),
// so all workers agree; the rule's settings come with each call. balance.ts asks, pools.ts reports.
import type { RoutePlan } from '../../model/snapshot.ts'
import type { EndpointState } from './pod-state.ts'

export type PassiveHealth = RoutePlan['passiveHealth']

/**
 * Whether an endpoint takes traffic. An ejected one does not; one whose time is over is half open: it gets one request
 * at a time, over all workers, until one succeeds.
 */
export function isIn(state: EndpointState, now: number): boolean {
  const until = state.ejectedUntil()
  if (until === 0) return true
  return until <= now && state.inFlight() === 0
}

/**
 * How many of `total` endpoints may be out at once. Rounded down, but one at least (a share that rounds to none would
 * switch ejection off in small pools), and never the last one. 0 percent means none.
 */
export function ejectionBound(total: number, percent: number): number {
  if (percent <= 0) return 0
  return Math.min(Math.max(1, Math.floor((total * percent) / 100)), total - 1)
}

/**
 * An attempt failed. `peers` are the endpoints that share the traffic, this one included. An endpoint that is half open
 * goes out again with its first failure, because its count was never set back.
 */
export function recordFailure(
  state: EndpointState,
  peers: readonly { readonly state: EndpointState }[],
  settings: PassiveHealth,
  now: number,
): void {
  const failures = state.failed()
  if (failures < settings.consecutiveFailures || state.ejectedUntil() > now) return
  let out = 0
  for (const peer of peers) if (peer.state.ejectedUntil() > now) out += 1
  if (out < ejectionBound(peers.length, settings.maxEjectedPercent)) state.eject(now + settings.ejectFor)
}

/** An attempt succeeded. An older request that ends well while the endpoint is out does not bring it back early. */
export function recordSuccess(state: EndpointState, now: number): void {
  const until = state.ejectedUntil()
  if (until > now) return
  state.succeeded()
  if (until !== 0) state.eject(0)
}

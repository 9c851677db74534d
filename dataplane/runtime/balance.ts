// Which endpoint gets the next request: LeastConnections and RoundRobin. One Balancer for each backend of a rule and
// worker; pools.ts makes it. Both pass test/contracts/balancer.ts.
import { compareText } from '../../model/canonical.ts'
import type { EndpointHandle } from '../build/program.ts'
import { isIn } from './health.ts'

/** The endpoints of a pool, each list ordered by address, then port. A change makes new lists. */
export interface EndpointSet {
  readonly ready: readonly EndpointHandle[]
  /** Serving but terminating: used only where no ready one is left. */
  readonly draining: readonly EndpointHandle[]
}

/** Picks endpoints of one backend of a rule. */
export interface Balancer {
  /**
   * The next endpoint that is not in `tried`, or undefined. Ready ones that are in come first, then draining ones that
   * are in; where all are out, they serve anyway, because an answer that may fail beats none.
   */
  pick(endpoints: EndpointSet, tried: readonly EndpointHandle[], now: number): EndpointHandle | undefined
}

/** A balancer of the given algorithm. `start` in [0, 1) sets where it begins, so that workers do not march in step. */
export function createBalancer(algorithm: 'LeastConnections' | 'RoundRobin', start: number): Balancer {
  const choose = algorithm === 'RoundRobin' ? createRoundRobin(start) : createLeastConnections(start)
  return {
    pick(endpoints, tried, now) {
      return (
        choose(endpoints.ready, tried, now, false) ??
        choose(endpoints.draining, tried, now, false) ??
        choose(endpoints.ready, tried, now, true) ??
        choose(endpoints.draining, tried, now, true)
      )
    },
  }
}

/** `anyway`: take ejected ones too. */
type Choose = (
  list: readonly EndpointHandle[],
  tried: readonly EndpointHandle[],
  now: number,
  anyway: boolean,
) => EndpointHandle | undefined

function canTake(endpoint: EndpointHandle, tried: readonly EndpointHandle[], now: number, anyway: boolean): boolean {
  return (tried.length === 0 || !tried.includes(endpoint)) && (anyway || isIn(endpoint.state, now))
}

/**
 * The fewest requests in flight over all workers. The search begins after the endpoint of the last pick, so ties go
 * round; it stops at the first idle one, so a big pool with little traffic costs no more than a small one.
 */
function createLeastConnections(start: number): Choose {
  let next = -1
  return (list, tried, now, anyway) => {
    const count = list.length
    if (count === 0) return undefined
    if (next < 0) next = Math.floor(start * count)
    let best: EndpointHandle | undefined
    let bestIndex = 0
    let fewest = Number.POSITIVE_INFINITY
    for (let step = 0; step < count && fewest > 0; step += 1) {
      const index = (next + step) % count
      const endpoint = list[index]
      if (endpoint === undefined || !canTake(endpoint, tried, now, anyway)) continue
      const inFlight = endpoint.state.inFlight()
      if (inFlight >= fewest) continue
      fewest = inFlight
      best = endpoint
      bestIndex = index
    }
    if (best !== undefined) next = bestIndex + 1
    return best
  }
}

/**
 * Each in turn, in the order of addresses. It remembers the endpoint and not its place: where the set changes, the turn
 * goes on after that address, so no endpoint that stays is passed over or asked twice, however often others flap.
 */
function createRoundRobin(start: number): Choose {
  let last: EndpointHandle | undefined
  let lastList: readonly EndpointHandle[] | undefined
  let lastIndex = -1
  return (list, tried, now, anyway) => {
    const count = list.length
    if (count === 0) return undefined
    let from = lastIndex + 1
    if (last === undefined) from = Math.floor(start * count)
    else if (list !== lastList) from = placeAfter(list, last)
    for (let step = 0; step < count; step += 1) {
      const index = (from + step) % count
      const endpoint = list[index]
      if (endpoint === undefined || !canTake(endpoint, tried, now, anyway)) continue
      last = endpoint
      lastList = list
      lastIndex = index
      return endpoint
    }
    return undefined
  }
}

/** Index of the first endpoint that comes after `last`; the length where none does. */
function placeAfter(list: readonly EndpointHandle[], last: EndpointHandle): number {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const endpoint = list[middle]
    if (endpoint !== undefined && compareEndpoints(endpoint, last) > 0) high = middle
    else low = middle + 1
  }
  return low
}

/** Order of endpoints: by address as text, then port. */
export function compareEndpoints(
  a: { readonly address: string; readonly port: number },
  b: { readonly address: string; readonly port: number },
): number {
  return compareText(a.address, b.address) || a.port - b.port
}

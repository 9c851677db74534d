// The one ordering of matches: Gateway API precedence as a total order. Pure. compile sorts by it once, so that the
// dataplane and explain take the first match that holds and never rank anything themselves.
import { canonicalText, compareText } from './canonical.ts'
import type { MatchPlan, RouteId } from './snapshot.ts'

const PATH_RANK = { Exact: 0, RegularExpression: 1, PathPrefix: 2 } as const

/**
 * Orders two matches of one host: exact path, then pattern, then prefix; longer path first; a method first; more
 * headers first; more query parameters first (Gateway API, HTTPRouteRule.matches). Last ties: namespace and name of the
 * Route, rule, match, never an object's age.
 */
export function compareMatches(a: MatchPlan, aRoute: RouteId, b: MatchPlan, bRoute: RouteId): number {
  return (
    PATH_RANK[a.path.type] - PATH_RANK[b.path.type] ||
    b.path.value.length - a.path.value.length ||
    Number(a.method === null) - Number(b.method === null) ||
    b.headers.length - a.headers.length ||
    b.queryParams.length - a.queryParams.length ||
    compareText(aRoute.namespace, bRoute.namespace) ||
    compareText(aRoute.route, bRoute.route) ||
    aRoute.rule - bRoute.rule ||
    a.index - b.index
  )
}

/** Text that is equal for two matches that hold for exactly the same requests by their own words. */
export function matchIdentity(match: MatchPlan): string {
  return canonicalText([match.path.type, match.path.value, match.method, match.headers, match.queryParams])
}

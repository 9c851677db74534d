// What one Route or Policy comes to by itself, before anything else is looked at. Types only, pure. prepare-route and
// prepare-policy make these, index-objects keeps them, the passes of a tenant combine them.
import type { FieldProblem } from '../../model/decode.ts'
import type { BackendRef, RouteTls } from '../../model/route.ts'
import type { HeaderPlan, MatchPlan, RedirectPlan, RewritePlan, RoutePlan } from '../../model/snapshot.ts'

export type Prepared<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problems: readonly FieldProblem[] }

/** A match without its place. */
export type PreparedMatch = Omit<MatchPlan, 'route' | 'index'>

/** What the filters of a rule come to. */
export interface PreparedFilters {
  readonly rewrite: RewritePlan | null
  readonly redirect: RedirectPlan | null
  readonly requestHeaders: HeaderPlan | null
  readonly responseHeaders: HeaderPlan | null
}

/** A rule with everything decided that the rule itself decides. */
export interface PreparedRule extends PreparedFilters {
  /** '' where it has none. */
  readonly name: string
  readonly matches: readonly PreparedMatch[]
  readonly backendRefs: readonly BackendRef[]
  readonly settings: Pick<RoutePlan, 'balance' | 'timeouts' | 'retry' | 'passiveHealth'>
}

/** A Route whose every rule can be planned. */
export interface PreparedRoute {
  readonly hostnames: readonly string[]
  readonly requires: readonly string[]
  readonly tls: RouteTls | undefined
  readonly rules: readonly PreparedRule[]
}

/** A target: a Route of the namespace, or one rule of it. */
export interface PolicyTarget {
  readonly route: string
  /** '' for all rules. */
  readonly rule: string
}

/** A Policy whose bodies may all stand where it targets. */
export interface PreparedPolicy {
  /** undefined: every Route of the namespace. */
  readonly targets: readonly PolicyTarget[] | undefined
  readonly bodies: Readonly<Record<string, unknown>>
}

// The pass that flattens the Routes in force into RoutePlans and puts their matches on hosts in Gateway API precedence.
// Pure. Every option of a rule is decided here; the dataplane takes the first match that holds.
import { compareText } from '../../model/canonical.ts'
import type { Issue } from '../../model/issue.ts'
import type { ObjectRef } from '../../model/resources.ts'
import { compareMatches, matchIdentity } from '../../model/precedence.ts'
import type { HostPlan, MatchPlan, RoutePlan } from '../../model/snapshot.ts'
import type { PolicyAttacher, RulePolicies } from './attach-policies.ts'
import type { RouteInForce } from './choose-routes.ts'
import { createIssue } from './issues.ts'
import { patternCovers } from '../../model/host.ts'
import type { OwnedHosts } from './own-hosts.ts'
import type { TlsPlanner } from './plan-tls.ts'
import type { PreparedRule } from './prepared.ts'
import { type BackendNeeds, resolveBackends } from './resolve-backends.ts'
import type { TenantView } from './world.ts'

/** A planned rule and where it came from. */
interface PlannedRule {
  readonly plan: RoutePlan
  readonly route: RouteInForce
}

/** What planning a rule needs. */
export interface PlanTools {
  readonly view: TenantView
  readonly policies: PolicyAttacher
  readonly needs: BackendNeeds
  readonly issues: Issue[]
  /** Names of all policies that exist. */
  readonly known: ReadonlySet<string>
}

/** Plans every rule of the Routes in force that have a host, ordered by id. */
export function planRules(routes: readonly RouteInForce[], tools: PlanTools): readonly PlannedRule[] {
  return routes.flatMap((route) =>
    route.hosts.length === 0
      ? []
      : route.form.value.rules.map((rule, index) => ({ route, plan: planRule(route, rule, index, tools) })),
  )
}

function planRule(route: RouteInForce, rule: PreparedRule, index: number, tools: PlanTools): RoutePlan {
  const { view, policies, needs, issues } = tools
  const path = ['spec', 'rules', index]
  const governed = policies.forRule(route, rule.name)
  const backends = resolveBackends(rule, path, route.subject, view, needs, issues)
  return {
    id: {
      tenant: view.tenant.name,
      namespace: route.namespace,
      route: route.name,
      rule: index,
      ruleName: rule.name,
    },
    action: planAction(route, rule, index, governed, backends, tools),
    rewrite: rule.rewrite,
    requestHeaders: rule.requestHeaders,
    responseHeaders: rule.responseHeaders,
    filters: governed.filters,
    ...rule.settings,
  }
}

function planAction(
  route: RouteInForce,
  rule: PreparedRule,
  index: number,
  governed: RulePolicies,
  backends: Extract<RoutePlan['action'], { type: 'forward' }>['backends'],
  tools: PlanTools,
): RoutePlan['action'] {
  const missing = tellMissingPolicies(route, rule, index, governed, tools)
  if (missing || governed.failed.length > 0) return { type: 'unavailable', error: 'PolicyNotReady' }
  if (rule.redirect !== null) return { type: 'redirect', redirect: rule.redirect }
  if (backends.length > 0) return { type: 'forward', backends }
  const message = `spec.rules[${index}] names no backend and redirects nowhere, so it answers 503. Add backendRefs.`
  tools.issues.push(
    createIssue(route.subject, 'degrades', 'BackendNotFound', message, { path: ['spec', 'rules', index] }),
  )
  return { type: 'unavailable', error: 'NoHealthyEndpoint' }
}

/** Whether a policy that the Tenant or the Route requires is not in force on the rule. */
function tellMissingPolicies(
  route: RouteInForce,
  rule: PreparedRule,
  index: number,
  governed: RulePolicies,
  tools: PlanTools,
): boolean {
  const { tenant } = tools.view
  const inForce = new Set(governed.filters.map((filter) => filter.policy))
  const required = new Map<string, string>()
  for (const name of tenant.form.value.requires ?? []) required.set(name, 'The Tenant')
  for (const name of route.form.value.requires) required.set(name, 'The Route')
  let missing = false
  for (const [name, who] of required) {
    if (inForce.has(name)) continue
    missing = true
    const label = rule.name === '' ? `spec.rules[${index}]` : `rule ${rule.name}`
    const what = tools.known.has(name) ? `Attach a Policy with spec.${name}.` : `There is no policy of that name.`
    const message = `${who} requires ${name}, which is not in force on ${label}, so it answers 503. ${what}`
    tools.issues.push(
      createIssue(route.subject, 'degrades', 'PolicyNotReady', message, { path: ['spec', 'rules', index] }),
    )
  }
  return missing
}

/** Plans every host that a Route serves, and the entries that keep wildcards off what is not theirs. Ordered. */
export function planHosts(
  rules: readonly PlannedRule[],
  routes: readonly RouteInForce[],
  owned: OwnedHosts,
  tls: TlsPlanner,
  issues: Issue[],
): readonly HostPlan[] {
  const routesOf = new Map<string, RouteInForce[]>()
  for (const route of routes) for (const host of new Set(route.hosts)) append(routesOf, host, route)
  const rulesOf = new Map<RouteInForce, number[]>()
  rules.forEach(({ route }, index) => {
    append(rulesOf, route, index)
  })
  const shadows = new Shadows()
  const plans = new Map<string, HostPlan>()
  for (const [host, onHost] of routesOf) {
    const places = onHost.flatMap((route) => rulesOf.get(route) ?? [])
    plans.set(host, { host, tls: tls.planHost(host, onHost), matches: orderMatches(host, places, rules, shadows) })
  }
  for (const host of emptyHosts(owned, [...plans.keys()])) {
    if (!plans.has(host)) plans.set(host, { host, tls: null, matches: [] })
  }
  issues.push(...shadows.issues(rules))
  return [...plans.values()].sort((a, b) => compareText(a.host, b.host))
}

/** What must stand in the shard without a Route: see own-hosts. */
function emptyHosts(owned: OwnedHosts, served: readonly string[]): readonly string[] {
  const hosts = [...served, ...owned.anchors]
  return [...owned.anchors, ...owned.holes.filter((hole) => hosts.some((host) => patternCovers(host, hole)))]
}

function orderMatches(
  host: string,
  places: readonly number[],
  rules: readonly PlannedRule[],
  shadows: Shadows,
): readonly MatchPlan[] {
  const matches: { readonly match: MatchPlan; readonly rule: PlannedRule }[] = []
  for (const place of places) {
    const rule = rules[place]
    const prepared = rule?.route.form.value.rules[rule.plan.id.rule]
    if (rule === undefined || prepared === undefined) continue
    prepared.matches.forEach((match, index) => {
      matches.push({ match: { ...match, route: place, index }, rule })
    })
  }
  if (matches.length < 2) return matches.map(({ match }) => match)
  matches.sort((a, b) => compareMatches(a.match, a.rule.plan.id, b.match, b.rule.plan.id))
  const winning: MatchPlan[] = []
  let ties = new Map<string, MatchPlan>()
  matches.forEach(({ match }, index) => {
    const before = matches[index - 1]?.match
    const next = matches[index + 1]?.match
    const afterTie = before !== undefined && isTie(before, match)
    if (!afterTie) ties = new Map()
    // Most matches tie with no other, so that nothing of them need be written out to be compared.
    if (!afterTie && (next === undefined || !isTie(match, next))) {
      winning.push(match)
      return
    }
    const identity = matchIdentity(match)
    const winner = ties.get(identity)
    if (winner === undefined) {
      ties.set(identity, match)
      winning.push(match)
    } else shadows.note(host, match, winner)
  })
  return winning
}

/** Whether only origin orders the two: equal matches always tie. */
function isTie(a: MatchPlan, b: MatchPlan): boolean {
  return (
    a.path.type === b.path.type &&
    a.path.value.length === b.path.value.length &&
    (a.method === null) === (b.method === null) &&
    a.headers.length === b.headers.length &&
    a.queryParams.length === b.queryParams.length
  )
}

/** Matches that can never win, over all hosts: one issue for each. */
class Shadows {
  readonly #lost = new Map<number, Map<number, { readonly hosts: string[]; readonly winners: Set<number> }>>()

  note(host: string, loser: MatchPlan, winner: MatchPlan): void {
    let matches = this.#lost.get(loser.route)
    if (matches === undefined) {
      matches = new Map()
      this.#lost.set(loser.route, matches)
    }
    const lost = matches.get(loser.index)
    if (lost === undefined) matches.set(loser.index, { hosts: [host], winners: new Set([winner.route]) })
    else {
      lost.hosts.push(host)
      lost.winners.add(winner.route)
    }
  }

  issues(rules: readonly PlannedRule[]): readonly Issue[] {
    const issues: Issue[] = []
    for (const [place, matches] of this.#lost) {
      const loser = rules[place]
      if (loser === undefined) continue
      for (const [index, { hosts, winners }] of matches) {
        const causes = new Map<ObjectRef, number>()
        for (const winner of winners) {
          const rule = rules[winner]
          if (rule !== undefined) causes.set(rule.route.indexed.ref, rule.plan.id.rule)
        }
        const names = [...causes].map(([ref, rule]) => `spec.rules[${rule}] of Route ${ref.namespace}/${ref.name}`)
        const message = `The match never wins on ${hosts.sort(compareText).join(', ')}: ${names.sort(compareText).join(', ')} has the same and comes first. Remove one, or make this one more specific.`
        issues.push(
          createIssue(loser.route.subject, 'warns', 'Shadowed', message, {
            path: ['spec', 'rules', loser.plan.id.rule, 'matches', index],
            causes: [...causes.keys()],
          }),
        )
      }
    }
    return issues
  }
}

function append<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}

// Matches of one snapshot as another sees them: how a match reads, and whether a request that it held for still finds
// a rule. Pure. Errs towards "no": what it cannot prove is reported, never passed over.
import { hostCovers } from '../../model/host.ts'
import { matchIdentity } from '../../model/precedence.ts'
import type { HostPlan, MatchPlan, RoutePlan, TenantShard, ValueMatchPlan } from '../../model/snapshot.ts'

/** A match with the host it stands under and the rule it leads to. */
export interface PlacedMatch {
  readonly host: string
  readonly match: MatchPlan
  readonly route: RoutePlan
}

/** All matches of a shard. */
export function placedMatches(shard: TenantShard): readonly PlacedMatch[] {
  return shard.hosts.flatMap((host) =>
    host.matches.flatMap((match) => {
      const route = shard.routes[match.route]
      return route === undefined ? [] : [{ host: host.host, match, route }]
    }),
  )
}

/** `GET /v1/*`, with conditions on headers and query where there are any. */
export function matchText(match: MatchPlan): string {
  const { type, value } = match.path
  const path =
    type === 'PathPrefix' ? `${value.replace(/\/$/, '')}/*` : type === 'RegularExpression' ? `~${value}` : value
  const conditions = [
    ...match.headers.map((header) => `${header.name}: ${header.value}`),
    ...match.queryParams.map((parameter) => `?${parameter.name}=${parameter.value}`),
  ]
  return [match.method ?? '', path, ...conditions].filter(Boolean).join(' ')
}

/** A rule of `shard` that surely holds for everything that `old` held for, or undefined. */
export function successor(shard: TenantShard | undefined, old: PlacedMatch): RoutePlan | undefined {
  const host = shard === undefined ? undefined : hostFor(shard.hosts, old.host)
  const match = host?.matches.find((each) => covers(each, old.match))
  return match === undefined ? undefined : shard?.routes[match.route]
}

/** The host plan that answers for a host: its own, else the narrowest wildcard above it. */
function hostFor(hosts: readonly HostPlan[], host: string): HostPlan | undefined {
  const own = hosts.find((each) => each.host === host)
  if (own !== undefined) return own
  const wide = hosts.filter((each) => each.host.startsWith('*.') && coversHost(each.host, host))
  return wide.sort((a, b) => b.host.length - a.host.length)[0]
}

function coversHost(pattern: string, host: string): boolean {
  return host.startsWith('*.') ? host.slice(1).endsWith(pattern.slice(1)) : hostCovers(pattern, host)
}

function covers(wide: MatchPlan, narrow: MatchPlan): boolean {
  if (matchIdentity(wide) === matchIdentity(narrow)) return true
  if (wide.method !== null && wide.method !== narrow.method) return false
  if (!wide.headers.every((each) => has(narrow.headers, each))) return false
  if (!wide.queryParams.every((each) => has(narrow.queryParams, each))) return false
  return coversPath(wide.path, narrow.path)
}

function has(list: readonly ValueMatchPlan[], wanted: ValueMatchPlan): boolean {
  return list.some((each) => each.name === wanted.name && each.type === wanted.type && each.value === wanted.value)
}

function coversPath(wide: MatchPlan['path'], narrow: MatchPlan['path']): boolean {
  if (wide.type === narrow.type && wide.value === narrow.value) return true
  if (wide.type !== 'PathPrefix') return false
  const prefix = wide.value.replace(/\/$/, '')
  if (prefix === '') return true
  return narrow.type !== 'RegularExpression' && (narrow.value === prefix || narrow.value.startsWith(`${prefix}/`))
}

// A shard told as what changed since another that the pod has: the hosts and rules that are new or say something else, and
// the names of those that went. A line of content like a whole shard, as long as the edit and not as the tenant. Pure.
// controller/publish/content.ts writes it, dataplane/receive/staging.ts reads it; whoever cannot use one asks for the whole.
import { compareText, type Digest } from './canonical.ts'
import { hostShape, isSound, limitsShape, routeShape } from './push-shard.ts'
import { hashHost, hashRoute, hashShard, partsOf, ruleKey, type RuleName } from './shard-hash.ts'
import { compareRules, placeHost } from './shard-parts.ts'
import { fields, flag, list, readShape, type Shape, text, whole } from './shape.ts'
import type { HostPlan, RoutePlan, TenantLimits, TenantShard } from './snapshot.ts'

/** A change. Certificates and authorities stay: where those change, the whole shard is sent. */
export interface ShardChange {
  readonly tenant: string
  /** Hashes of the shard before and after. */
  readonly base: string
  readonly hash: string
  readonly suspended: boolean
  readonly limits: TenantLimits
  /** New or changed. The places in their matches are those of the shard after. */
  readonly hosts: readonly HostPlan[]
  readonly routes: readonly RoutePlan[]
  readonly goneHosts: readonly string[]
  readonly goneRoutes: readonly RuleName[]
}

const MANY = 100_000
/** Names that are compared with each rule rather than written out for all. */
const FEW = 8
const name = text(253)
const hash = text(64, /^[0-9a-f]{64}$/)
const changeShape: Shape<ShardChange> = fields({
  tenant: name,
  base: hash,
  hash,
  suspended: flag(),
  limits: limitsShape,
  hosts: list(hostShape, MANY),
  routes: list(routeShape, MANY),
  goneHosts: list(name, MANY),
  goneRoutes: list(fields({ namespace: name, route: name, rule: whole(0) }), MANY),
})

/** The line that leads from one shard to another, without its end; undefined where the whole shard is as well sent. */
export function changeLine(from: TenantShard, to: TenantShard, digest: Digest): string | undefined {
  const change = changeOf(from, to, {
    route: (a, b) => hashRoute(a, digest) === hashRoute(b, digest),
    host: (a, b) => hashHost(a, from.routes, digest) === hashHost(b, to.routes, digest),
  })
  return change === undefined ? undefined : JSON.stringify({ change })
}

/** How parts of two shards are found to say the same. */
export interface Likeness {
  route(a: RoutePlan, b: RoutePlan): boolean
  /** But for the places of their rules. */
  host(a: HostPlan, b: HostPlan): boolean
}

/** What leads from one shard to another; undefined where the whole shard is as well sent. */
export function changeOf(from: TenantShard, to: TenantShard, alike: Likeness): ShardChange | undefined {
  if (!sameKeys(from.certificates, to.certificates) || !sameKeys(from.authorities, to.authorities)) return undefined
  // The very objects first, which are nearly all: only the others have to be known by name.
  const leftRoutes = new Set(from.routes)
  const newRoutes = to.routes.filter((route) => !leftRoutes.delete(route))
  const formerRoutes = new Map([...leftRoutes].map((route) => [ruleKey(route.id), route]))
  const routes = newRoutes.filter((route) => {
    const key = ruleKey(route.id)
    const former = formerRoutes.get(key)
    formerRoutes.delete(key)
    return former === undefined || !alike.route(former, route)
  })
  const leftHosts = new Set(from.hosts)
  // The same matches may lead elsewhere in another list of rules.
  const newHosts = to.hosts.filter((host) => !leftHosts.delete(host) || !alike.host(host, host))
  const formerHosts = new Map([...leftHosts].map((host) => [host.host, host]))
  const hosts = newHosts.filter((host) => {
    const former = formerHosts.get(host.host)
    formerHosts.delete(host.host)
    return former === undefined || !alike.host(former, host)
  })
  if (2 * (hosts.length + routes.length) > to.hosts.length + to.routes.length) return undefined
  return {
    tenant: to.tenant,
    base: from.hash,
    hash: to.hash,
    suspended: to.suspended,
    limits: to.limits,
    hosts,
    routes,
    goneHosts: [...formerHosts.keys()],
    goneRoutes: [...formerRoutes.values()].map(({ id: { namespace, route, rule } }) => ({ namespace, route, rule })),
  }
}

/** Whether a parsed line is a change, usable or not. */
export function isChange(parsed: unknown): parsed is { readonly change: unknown } {
  return typeof parsed === 'object' && parsed !== null && 'change' in parsed
}

/** What a change led to, and the hash of what it was applied to. */
export interface AppliedChange {
  readonly base: string
  readonly shard: TenantShard
}

/**
 * The shard that a parsed change leads to, its hash checked; undefined where it cannot be used: it is damaged or not
 * known, or it is a change of something else than `shardOf` has.
 */
export function applyChange(
  parsed: { readonly change: unknown },
  shardOf: (tenant: string) => TenantShard | undefined,
  digest: Digest,
): AppliedChange | undefined {
  const read = readShape(changeShape, parsed.change)
  if (typeof read === 'string') return undefined
  const change = read.value
  const from = shardOf(change.tenant)
  if (from === undefined || from.hash !== change.base) return undefined
  const shard = mergeChange(from, change, digest)
  if (shard === undefined || !isSound(shard) || hashShard(partsOf(shard), digest) !== change.hash) return undefined
  return { base: change.base, shard }
}

/**
 * The shard that a change leads to, not checked; undefined where a match of it would lead nowhere. What does not change is
 * the same object, or has its hash in the memory of the digest.
 */
export function mergeChange(from: TenantShard, change: ShardChange, digest?: Digest): TenantShard | undefined {
  const routes = mergeRoutes(from, change)
  const hosts = mergeHosts(from, change, routes, digest)
  if (hosts === undefined) return undefined
  const { tenant, hash, suspended, limits } = change
  return { ...from, tenant, hash, suspended, limits, hosts, routes }
}

function mergeRoutes(from: TenantShard, { routes, goneRoutes }: ShardChange): readonly RoutePlan[] {
  const left = placesNamed(from.routes, [...goneRoutes, ...routes.map(({ id }) => id)])
  const merged = from.routes.filter((_, place) => !left.has(place))
  // Of two of one name the last counts.
  for (const route of new Map(routes.map((route) => [ruleKey(route.id), route])).values()) merged.push(route)
  return merged.sort(compareRules)
}

function mergeHosts(
  from: TenantShard,
  { hosts, goneHosts }: ShardChange,
  routes: readonly RoutePlan[],
  digest: Digest | undefined,
): readonly HostPlan[] | undefined {
  const left = new Map(from.hosts.map((host) => [host.host, host]))
  for (const host of goneHosts) left.delete(host)
  for (const { host } of hosts) left.delete(host)
  const places = placesAfter(from.routes, routes)
  const merged: HostPlan[] = [...hosts]
  for (const host of left.values()) {
    const placed = placeHost(host, places, digest)
    if (placed === undefined) return undefined
    merged.push(placed)
  }
  return merged.sort((a, b) => compareText(a.host, b.host))
}

/** The places of the rules of these names. A few are looked for, more are found by name. */
function placesNamed(routes: readonly RoutePlan[], names: readonly RuleName[]): ReadonlySet<number> {
  const keys = names.length > FEW ? new Set(names.map(ruleKey)) : undefined
  const places = new Set<number>()
  routes.forEach(({ id }, place) => {
    const isNamed = keys === undefined ? names.some((name) => isSameRule(name, id)) : keys.has(ruleKey(id))
    if (isNamed) places.add(place)
  })
  return places
}

function isSameRule(a: RuleName, b: RuleName): boolean {
  return a.rule === b.rule && a.route === b.route && a.namespace === b.namespace
}

/** Where each rule of a list is in another, found by name where it is another object; undefined where it is not. */
function placesAfter(before: readonly RoutePlan[], after: readonly RoutePlan[]): readonly (number | undefined)[] {
  const places = new Map(after.map((route, place) => [route, place]))
  const kept = new Set(before)
  const named = new Map(after.flatMap((route, place) => (kept.has(route) ? [] : [[ruleKey(route.id), place] as const])))
  return before.map((route) => places.get(route) ?? named.get(ruleKey(route.id)))
}

function sameKeys(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  if (a.size !== b.size) return false
  for (const key of a.keys()) if (!b.has(key)) return false
  return true
}

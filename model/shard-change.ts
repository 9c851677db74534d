// A shard told as what changed since another that the pod has: the hosts and rules that are new or say something else, and
// the names of those that went. A line of content like a whole shard, as long as the edit and not as the tenant. Pure.
// controller/publish/content.ts writes it, dataplane/receive/staging.ts reads it; whoever cannot use one asks for the whole.
import { compareText, type Digest } from './canonical.ts'
import { hostShape, limitsShape, routeShape } from './push-shard.ts'
import { hashHost, hashRoute, hashShard, partsOf, ruleKey } from './shard-hash.ts'
import { placeHost } from './shard-parts.ts'
import { fields, flag, list, readShape, type Shape, text, whole } from './shape.ts'
import type { HostPlan, RoutePlan, TenantLimits, TenantShard } from './snapshot.ts'

/** A change. Certificates and authorities stay: where those change, the whole shard is sent. */
interface ShardChange {
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
  readonly goneRoutes: readonly { readonly namespace: string; readonly route: string; readonly rule: number }[]
}

const MANY = 100_000
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
  if (!sameKeys(from.certificates, to.certificates) || !sameKeys(from.authorities, to.authorities)) return undefined
  const formerRoutes = new Map(from.routes.map((route) => [ruleKey(route.id), route]))
  const routes = to.routes.filter((route) => {
    const key = ruleKey(route.id)
    const former = formerRoutes.get(key)
    formerRoutes.delete(key)
    return former === undefined || (former !== route && hashRoute(former, digest) !== hashRoute(route, digest))
  })
  const formerHosts = new Map(from.hosts.map((host) => [host.host, host]))
  const hosts = to.hosts.filter((host) => {
    const former = formerHosts.get(host.host)
    formerHosts.delete(host.host)
    return former === undefined || hashHost(former, from.routes, digest) !== hashHost(host, to.routes, digest)
  })
  if (2 * (hosts.length + routes.length) > to.hosts.length + to.routes.length) return undefined
  const change: ShardChange = {
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
  return JSON.stringify({ change })
}

/** Whether a parsed line is a change, usable or not. */
export function isChange(parsed: unknown): parsed is { readonly change: unknown } {
  return typeof parsed === 'object' && parsed !== null && 'change' in parsed
}

/**
 * The shard that a parsed change leads to, its hash checked; undefined where it cannot be used: it is damaged or not
 * known, or it is a change of something else than `shardOf` has.
 */
export function applyChange(
  parsed: { readonly change: unknown },
  shardOf: (tenant: string) => TenantShard | undefined,
  digest: Digest,
): TenantShard | undefined {
  const read = readShape(changeShape, parsed.change)
  if (typeof read === 'string') return undefined
  const change = read.value
  const from = shardOf(change.tenant)
  if (from === undefined || from.hash !== change.base) return undefined
  const routes = mergeRoutes(from, change)
  const hosts = mergeHosts(from, change, routes, digest)
  if (hosts === undefined) return undefined
  const { tenant, hash, suspended, limits } = change
  const shard = { ...from, tenant, hash, suspended, limits, hosts, routes }
  return hashShard(partsOf(shard), digest) === hash ? shard : undefined
}

function mergeRoutes(from: TenantShard, { routes, goneRoutes }: ShardChange): readonly RoutePlan[] {
  const merged = new Map(from.routes.map((route) => [ruleKey(route.id), route]))
  for (const id of goneRoutes) merged.delete(ruleKey({ ...id, tenant: from.tenant, ruleName: '' }))
  for (const route of routes) merged.set(ruleKey(route.id), route)
  return [...merged.values()].sort(
    ({ id: a }, { id: b }) => compareText(a.namespace, b.namespace) || compareText(a.route, b.route) || a.rule - b.rule,
  )
}

function mergeHosts(
  from: TenantShard,
  { hosts, goneHosts }: ShardChange,
  routes: readonly RoutePlan[],
  digest: Digest,
): readonly HostPlan[] | undefined {
  const left = new Map(from.hosts.map((host) => [host.host, host]))
  for (const host of goneHosts) left.delete(host)
  for (const { host } of hosts) left.delete(host)
  const places = new Map(routes.map((route, place) => [ruleKey(route.id), place]))
  const merged: HostPlan[] = [...hosts]
  for (const host of left.values()) {
    const placed = placeHost(host, from.routes, places, digest)
    if (placed === undefined) return undefined
    merged.push(placed)
  }
  return merged.sort((a, b) => compareText(a.host, b.host))
}

function sameKeys(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  if (a.size !== b.size) return false
  for (const key of a.keys()) if (!b.has(key)) return false
  return true
}

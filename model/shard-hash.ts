// The hash of a shard, as both ends take it: over its head and over the hashes of its hosts and routes, each of which is
// taken once for as long as it is the same object (Digest.memory), so that one edited Route of a tenant with thousands costs one Route.
// Pure: what is remembered only saves time. A match names its route by position; its hash names it by id, so that a Route
// that comes or goes changes no other host.
import { canonicalText, compareText, type Digest } from './canonical.ts'
import type { HostPlan, RoutePlan, TenantShard } from './snapshot.ts'

/** A shard without its hash, as it is or as it came: nothing of it is believed. */
export interface ShardParts {
  /** Everything but what follows. */
  readonly head: Readonly<Record<string, unknown>>
  readonly hosts: readonly unknown[]
  readonly routes: readonly unknown[]
  /** Fingerprints, in any order. */
  readonly certificates: readonly string[]
  readonly authorities: readonly string[]
}

/** The parts of a shard. */
export function partsOf(shard: Omit<TenantShard, 'hash'> & { readonly hash?: string }): ShardParts {
  const { hash: _, hosts, routes, certificates, authorities, ...head } = shard
  return { head, hosts, routes, certificates: [...certificates.keys()], authorities: [...authorities.keys()] }
}

/** The hash of a shard, in lower-case hex. */
export function hashShard({ head, hosts, routes, certificates, authorities }: ShardParts, digest: Digest): string {
  return digest(
    canonicalText([
      head,
      [...certificates].sort(compareText),
      [...authorities].sort(compareText),
      hosts.map((host) => hashHost(host, routes, digest)),
      routes.map((route) => hashRoute(route, digest)),
    ]),
  )
}

/** The hash of a host of a shard with these routes. */
export function hashHost(host: unknown, routes: readonly unknown[], digest: Digest): string {
  if (!isObject(host)) return digest(canonicalText(host))
  const matches: unknown = Reflect.get(host, 'matches')
  const list: readonly unknown[] = Array.isArray(matches) ? matches : []
  const known = digest.memory?.hosts.get(host)
  // The very ids: what they say need not be written out.
  if (known !== undefined && list.every((match, index) => leadsTo(match, routes, known.ids[index]))) return known.hash
  const leads = list.map((match) => leadOf(match, routes))
  const text = leads.join('\n')
  const hash = known?.leads === text ? known.hash : digest(canonicalText(named(host, matches, leads)))
  digest.memory?.hosts.set(host, { leads: text, ids: list.map((match) => idOf(match, routes)), hash })
  return hash
}

/** The hash of a rule. */
export function hashRoute(route: unknown, digest: Digest): string {
  if (!isObject(route)) return digest(canonicalText(route))
  const known = digest.memory?.routes.get(route)
  if (known !== undefined) return known
  const hash = digest(canonicalText(route))
  digest.memory?.routes.set(route, hash)
  return hash
}

/** `after` is `before` with other positions of the same routes: it has the same hash, which need not be taken again. */
export function inheritHash(before: HostPlan, after: HostPlan, digest: Digest): void {
  const known = digest.memory?.hosts.get(before)
  if (known !== undefined) digest.memory?.hosts.set(after, known)
}

/** What names a rule within its tenant. */
export type RuleName = Pick<RoutePlan['id'], 'namespace' | 'route' | 'rule'>

/** The name as text: in maps, and where a match leads. The canonical text, made by the engine at once. */
export function ruleKey({ namespace, route, rule }: RuleName): string {
  return JSON.stringify([namespace, route, rule])
}

function named(host: object, matches: unknown, leads: readonly string[]): object {
  if (!Array.isArray(matches)) return host
  const list: readonly unknown[] = matches
  return { ...host, matches: list.map((match, index) => (isObject(match) ? { ...match, route: leads[index] } : match)) }
}

function leadsTo(match: unknown, routes: readonly unknown[], id: unknown): boolean {
  return isObject(id) && idOf(match, routes) === id
}

function idOf(match: unknown, routes: readonly unknown[]): unknown {
  const position: unknown = isObject(match) ? Reflect.get(match, 'route') : undefined
  const route = typeof position === 'number' ? routes[position] : undefined
  return isObject(route) ? Reflect.get(route, 'id') : undefined
}

// Whatever is no position of a route stands for itself, and no text that stands for a route reads like it.
function leadOf(match: unknown, routes: readonly unknown[]): string {
  const id = idOf(match, routes)
  if (!isObject(id)) return `? ${canonicalText(isObject(match) ? Reflect.get(match, 'route') : undefined)}`
  const namespace: unknown = Reflect.get(id, 'namespace')
  const name: unknown = Reflect.get(id, 'route')
  const rule: unknown = Reflect.get(id, 'rule')
  if (typeof namespace === 'string' && typeof name === 'string' && Number.isInteger(rule)) {
    return ruleKey({ namespace, route: name, rule: Number(rule) })
  }
  return canonicalText([namespace, name, rule])
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

// What two shards of one tenant have in common: the hosts and rules that say the same. Pure. Compile hands on the objects
// of the former shard where nothing changed, so that hashes and differences cost what changed; shard-change.ts makes and
// applies differences with the same words.
import { compareText, type Digest } from './canonical.ts'
import { samePlain } from './same-plain.ts'
import { inheritHash } from './shard-hash.ts'
import type { HostPlan, MatchPlan, RoutePlan, TenantShard } from './snapshot.ts'

type Lists = Pick<TenantShard, 'hosts' | 'routes'>

/** The same lists, made of the objects of `before` wherever those say the same. All lists are in the order of their names. */
export function shareParts(before: Lists, { hosts, routes }: Lists, digest: Digest): Lists {
  const formerRoute = walk(before.routes, compareRules)
  const formerHost = walk(before.hosts, (a, b) => compareText(a.host, b.host))
  return {
    routes: routes.map((route) => {
      const former = formerRoute(route)
      return former !== undefined && samePlain(former, route) ? former : route
    }),
    hosts: hosts.map((host) => {
      const former = formerHost(host)
      if (former === undefined || !leadsAlike(former, before.routes, host, routes)) return host
      if (former.matches.every(({ route }, index) => route === host.matches[index]?.route)) return former
      inheritHash(former, host, digest)
      return host
    }),
  }
}

/** The order of the rules of a shard. */
export function compareRules({ id: a }: RoutePlan, { id: b }: RoutePlan): number {
  return compareText(a.namespace, b.namespace) || compareText(a.route, b.route) || a.rule - b.rule
}

/** Finds in an ordered list what has the same place in the order, asked in that order; out of order it finds less. */
function walk<Item>(list: readonly Item[], compare: (a: Item, b: Item) => number): (like: Item) => Item | undefined {
  let at = 0
  return (like) => {
    for (;;) {
      const item = list[at]
      if (item === undefined) return undefined
      const order = compare(item, like)
      if (order === 0) return item
      if (order > 0) return undefined
      at++
    }
  }
}

/** The host with its matches on the places that their rules have now; undefined where one of them leads nowhere. */
export function placeHost(
  host: HostPlan,
  places: readonly (number | undefined)[],
  digest: Digest | undefined,
): HostPlan | undefined {
  if (host.matches.every(({ route }) => places[route] === route)) return host
  const matches: MatchPlan[] = []
  for (const match of host.matches) {
    const place = places[match.route]
    if (place === undefined) return undefined
    matches.push({ ...match, route: place })
  }
  const placed = { ...host, matches }
  if (digest !== undefined) inheritHash(host, placed, digest)
  return placed
}

// The same, but for the places that the rules have.
function leadsAlike(
  a: HostPlan,
  routesOfA: readonly RoutePlan[],
  b: HostPlan,
  routesOfB: readonly RoutePlan[],
): boolean {
  if (a.matches.length !== b.matches.length || !samePlain(a.tls, b.tls)) return false
  return a.matches.every((match, index) => {
    const other = b.matches[index]
    if (other === undefined) return false
    const idOfA = routesOfA[match.route]?.id
    const idOfB = routesOfB[other.route]?.id
    if (idOfA === undefined || idOfB === undefined) return false
    return (
      idOfA.namespace === idOfB.namespace &&
      idOfA.route === idOfB.route &&
      idOfA.rule === idOfB.rule &&
      samePlain(match, match.route === other.route ? other : { ...other, route: match.route })
    )
  })
}

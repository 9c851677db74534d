// Two compiled worlds, tenant by tenant: what changes, what breaks, what becomes looser. Pure. `atrium diff` prints it.
import { compareText } from '../../model/canonical.ts'
import { type RouteId, type RoutePlan, routeKey, type Snapshot, type TenantShard } from '../../model/snapshot.ts'
import { changeText, fieldChanges } from './fields.ts'
import { matchText, placedMatches, successor } from './matches.ts'

/** One line about one thing. */
export interface DiffEntry {
  readonly sign: '+' | '-' | '~'
  /** `acme-prod/shop rule api`, `limits`, `host shop.acme.example.com`. */
  readonly what: string
  readonly detail: string
  /** Requests that were answered before are not any more. */
  readonly breaks: boolean
}

/** One tenant that differs. */
export interface TenantDiff {
  readonly tenant: string
  readonly state: 'new' | 'gone' | 'changes'
  readonly entries: readonly DiffEntry[]
  readonly hosts: { readonly added: readonly string[]; readonly removed: readonly string[] }
  /** Certificates or authorities that came or went. */
  readonly certificates: number
  /** What became more permissive, in words. */
  readonly loosened: readonly string[]
}

export interface SnapshotDiff {
  readonly tenants: readonly TenantDiff[]
  readonly unchanged: number
  /** Pools whose endpoints differ, of tenants that have both. */
  readonly pools: number
}

/** Compares two snapshots; only tenants whose shard hash differs are looked into. */
export function compareSnapshots(before: Snapshot, after: Snapshot): SnapshotDiff {
  const names = [...new Set([...before.shards.keys(), ...after.shards.keys()])].sort(compareText)
  const tenants: TenantDiff[] = []
  for (const tenant of names) {
    const old = before.shards.get(tenant)
    const next = after.shards.get(tenant)
    if (old?.hash !== next?.hash) tenants.push(compareShards(tenant, old, next))
  }
  const pools = [...after.pools].filter(
    ([key, pool]) => (before.pools.get(key)?.hash ?? pool.hash) !== pool.hash,
  ).length
  return { tenants, unchanged: names.length - tenants.length, pools }
}

function compareShards(tenant: string, old: TenantShard | undefined, next: TenantShard | undefined): TenantDiff {
  const hostsOf = (shard: TenantShard | undefined) => shard?.hosts.map((plan) => plan.host) ?? []
  const missing = (from: readonly string[], list: readonly string[]) => from.filter((host) => !list.includes(host))
  const materialOf = (shard: TenantShard | undefined) => [
    ...(shard?.certificates.keys() ?? []),
    ...(shard?.authorities.keys() ?? []),
  ]
  const [oldMaterial, newMaterial] = [materialOf(old), materialOf(next)]
  const removed = missing(hostsOf(old), hostsOf(next))
  return {
    tenant,
    state: old === undefined ? 'new' : next === undefined ? 'gone' : 'changes',
    entries: [...tenantEntries(old, next), ...hostEntries(old, next), ...routeEntries(old, next)],
    hosts: { added: missing(hostsOf(next), hostsOf(old)), removed },
    certificates: missing(oldMaterial, newMaterial).length + missing(newMaterial, oldMaterial).length,
    loosened: [...looserLimits(old, next), ...looserHosts(old, next), ...looserRoutes(old, next)],
  }
}

function tenantEntries(old: TenantShard | undefined, next: TenantShard | undefined): DiffEntry[] {
  if (old === undefined || next === undefined) return []
  const changes = fieldChanges({ limits: old.limits }, { limits: next.limits })
  const entries = changes.map(
    (change): DiffEntry => ({ sign: '~', what: 'tenant', detail: changeText(change), breaks: false }),
  )
  if (old.suspended !== next.suspended) {
    const detail = next.suspended ? 'suspended: every request answers 503' : 'no longer suspended'
    entries.push({ sign: '~', what: 'tenant', detail, breaks: next.suspended })
  }
  return entries
}

function hostEntries(old: TenantShard | undefined, next: TenantShard | undefined): DiffEntry[] {
  return (next?.hosts ?? []).flatMap((plan) => {
    const before = old?.hosts.find((each) => each.host === plan.host)
    if (before === undefined) return []
    const changes = fieldChanges({ tls: before.tls }, { tls: plan.tls })
    return changes.map(
      (change): DiffEntry => ({ sign: '~', what: `host ${plan.host}`, detail: changeText(change), breaks: false }),
    )
  })
}

function routeEntries(old: TenantShard | undefined, next: TenantShard | undefined): DiffEntry[] {
  const before = byKey(old)
  const after = byKey(next)
  const entries: DiffEntry[] = []
  for (const [key, plan] of before) {
    const now = after.get(key)
    if (now === undefined) entries.push(...removedRule(plan, old, next))
    else entries.push(...changedRule(plan, now, old, next))
  }
  for (const [key, plan] of after) {
    if (before.has(key)) continue
    const where = placedMatchesOf(next, plan).map(({ host, match }) => `${host}${spaced(matchText(match))}`)
    entries.push({ sign: '+', what: ruleText(plan.id), detail: `new: ${shortList(where)}`, breaks: false })
  }
  return entries
}

function removedRule(plan: RoutePlan, old: TenantShard | undefined, next: TenantShard | undefined): DiffEntry[] {
  const matches = placedMatchesOf(old, plan)
  const lost = matches.filter((match) => successor(next, match) === undefined)
  if (lost.length > 0) {
    const detail = `${shortList(lost.map(({ host, match }) => `${host}${spaced(matchText(match))}`))} answers 404`
    return [{ sign: '-', what: ruleText(plan.id), detail, breaks: true }]
  }
  const heirs = new Set(matches.flatMap((match) => successor(next, match)?.id ?? []).map(ruleText))
  const detail = heirs.size === 0 ? 'gone, it had no match' : `gone, served by ${shortList([...heirs])}`
  return [{ sign: '-', what: ruleText(plan.id), detail, breaks: false }]
}

function changedRule(
  plan: RoutePlan,
  now: RoutePlan,
  old: TenantShard | undefined,
  next: TenantShard | undefined,
): DiffEntry[] {
  const what = ruleText(plan.id)
  const entries = fieldChanges(comparable(plan), comparable(now)).map((change): DiffEntry => {
    const closed = change.path === 'action.type' && change.after === 'unavailable'
    return {
      sign: '~',
      what,
      detail: closed ? 'serves nothing any more: answers 503' : changeText(change),
      breaks: closed,
    }
  })
  const [was, is] = [matchWords(old, plan), matchWords(next, now)]
  for (const { words, placed } of was) {
    if (is.some((each) => each.words === words)) continue
    const heir = successor(next, placed)
    const detail =
      heir === undefined ? `${words} answers 404` : `${words} no longer here, served by ${ruleText(heir.id)}`
    entries.push({ sign: '~', what, detail, breaks: heir === undefined })
  }
  for (const { words } of is) {
    if (!was.some((each) => each.words === words))
      entries.push({ sign: '~', what, detail: `also ${words}`, breaks: false })
  }
  return entries
}

function matchWords(shard: TenantShard | undefined, plan: RoutePlan) {
  return placedMatchesOf(shard, plan).map((placed) => ({
    placed,
    words: `${placed.host}${spaced(matchText(placed.match))}`,
  }))
}

function placedMatchesOf(shard: TenantShard | undefined, plan: RoutePlan) {
  return shard === undefined ? [] : placedMatches(shard).filter((placed) => placed.route === plan)
}

/** The plan without its identity, its filters by name so that one that comes or goes reads as such. */
function comparable(plan: RoutePlan): unknown {
  const { id: _, filters, action, ...rest } = plan
  const forward = action.type === 'forward'
  const backends = forward
    ? Object.fromEntries(
        action.backends.map((each) => [
          `${each.service.namespace}/${each.service.name}:${each.service.port}`,
          { weight: each.weight, resolved: each.pool !== null },
        ]),
      )
    : undefined
  return {
    ...rest,
    action: forward ? { type: action.type } : action,
    backends,
    policies: Object.fromEntries(filters.map((filter) => [filter.policy, filter.config])),
  }
}

function looserLimits(old: TenantShard | undefined, next: TenantShard | undefined): string[] {
  if (old === undefined || next === undefined) return []
  const loosened: string[] = []
  const perSecond = (limit: TenantShard['limits']['requests']) =>
    limit === null ? Number.POSITIVE_INFINITY : limit.count / limit.seconds
  const bound = (limit: number | null) => limit ?? Number.POSITIVE_INFINITY
  if (perSecond(next.limits.requests) > perSecond(old.limits.requests)) loosened.push('limits.requests')
  else if (bound(next.limits.requests?.burst ?? null) > bound(old.limits.requests?.burst ?? null)) {
    loosened.push('limits.requests.burst')
  }
  if (bound(next.limits.concurrency) > bound(old.limits.concurrency)) loosened.push('limits.concurrency')
  if (bound(next.limits.connections) > bound(old.limits.connections)) loosened.push('limits.connections')
  if (next.limits.bodySize > old.limits.bodySize) loosened.push('limits.bodySize')
  return loosened
}

function looserHosts(old: TenantShard | undefined, next: TenantShard | undefined): string[] {
  const ranks = { Serve: 0, Redirect: 1, Refuse: 2 }
  return (next?.hosts ?? []).flatMap(({ host, tls }) => {
    const before = old?.hosts.find((each) => each.host === host)
    if (before === undefined || before.tls === null) return []
    const loosened: string[] = []
    const client = before.tls.clientValidation
    if (client !== null && (tls?.clientValidation ?? null) === null) loosened.push(`client certificates of ${host}`)
    else if (client?.mode === 'Require' && tls?.clientValidation?.mode === 'Optional') {
      loosened.push(`client certificates of ${host}`)
    }
    if (before.tls.minVersion === '1.3' && tls?.minVersion !== '1.3') loosened.push(`TLS version of ${host}`)
    if (ranks[tls?.plainHTTP ?? 'Serve'] < ranks[before.tls.plainHTTP]) loosened.push(`plain HTTP of ${host}`)
    return loosened
  })
}

/** Rules that keep existing and lose a policy altogether. Bodies that became looser are found from the objects. */
function looserRoutes(old: TenantShard | undefined, next: TenantShard | undefined): string[] {
  const before = byKey(old)
  return [...byKey(next)].flatMap(([key, plan]) => {
    const lost = (before.get(key)?.filters ?? []).filter(
      (filter) => !plan.filters.some((each) => each.policy === filter.policy),
    )
    return lost.map((filter) => `${filter.policy} gone from ${ruleText(plan.id)}`)
  })
}

function byKey(shard: TenantShard | undefined): ReadonlyMap<string, RoutePlan> {
  return new Map(shard?.routes.map((plan) => [routeKey(plan.id), plan]) ?? [])
}

/** `acme-prod/shop rule api`, by position where the rule has no name. */
function ruleText(id: RouteId): string {
  return `${id.namespace}/${id.route} rule ${id.ruleName === '' ? id.rule : id.ruleName}`
}

function spaced(text: string): string {
  return text.startsWith('/') ? text : ` ${text}`
}

function shortList(items: readonly string[]): string {
  const [first = 'nothing', ...rest] = items
  return rest.length === 0 ? first : rest.length === 1 ? `${first}, ${rest[0]}` : `${first} and ${rest.length} more`
}

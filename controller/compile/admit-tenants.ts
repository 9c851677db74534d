// The second pass, global: which Tenants are in force, and which namespaces each of them owns. Pure. A namespace belongs
// to one tenant: an exact name beats a selector, a holder's claim beats a newcomer, and where nobody holds it and two
// ask for it neither gets it.
import { compareText } from '../../model/canonical.ts'
import type { Issue } from '../../model/issue.ts'
import type { LastGood } from '../../model/resources.ts'
import type { TenantSpec } from '../../model/tenant.ts'
import { type ClaimIndex, Handovers } from './claim-index.ts'
import type { CrossEffect, WantedClaim } from './compile-types.ts'
import type { Form, Indexed, IndexedCluster } from './indexed.ts'
import { createIssue, type Subject } from './issues.ts'
import { NamespaceLabels } from './select-namespaces.ts'

/** A Tenant in force: its newest form, or its last good one. */
export interface TenantForm {
  readonly name: string
  readonly indexed: Indexed<TenantSpec>
  readonly form: Form<TenantSpec>
}

export interface TenantAdmission {
  /** Ordered by name. */
  readonly forms: readonly TenantForm[]
  /** Tenants without a form that could be used. */
  readonly rejected: readonly Indexed<TenantSpec>[]
  /** Namespace to tenant. */
  readonly owners: ReadonlyMap<string, string>
  /** Namespaces by tenant, ordered. */
  readonly namespaces: ReadonlyMap<string, readonly string[]>
  readonly issues: readonly Issue[]
  readonly claims: readonly WantedClaim[]
  readonly effects: readonly CrossEffect[]
  readonly lastGood: readonly LastGood[]
}

/** One tenant's wish for one namespace. */
interface Wish {
  readonly tenant: TenantForm
  /** Place in spec.namespaces; undefined where the selector asks. */
  readonly index: number | undefined
}

/** Admits Tenants and deals out namespaces. */
export function admitTenants(cluster: IndexedCluster, claims: ClaimIndex): TenantAdmission {
  const forms: TenantForm[] = []
  const rejected: Indexed<TenantSpec>[] = []
  const issues: Issue[] = []
  const lastGood: LastGood[] = []
  for (const [name, indexed] of cluster.tenants) {
    const subject = tenantSubject(name, indexed)
    for (const { path, message } of indexed.problems) {
      issues.push(createIssue(subject, 'rejects', 'Invalid', message, { path }))
    }
    const form = indexed.newest ?? indexed.good
    if (form === undefined) {
      rejected.push(indexed)
      continue
    }
    if (indexed.newest === undefined && indexed.good !== undefined) {
      lastGood.push(indexed.good.entry)
      issues.push(createIssue(subject, 'degrades', 'KeptLastGood', keptMessage(indexed.good.generation)))
    }
    forms.push({ name, indexed, form })
  }
  const dealt = dealNamespaces(forms, cluster, claims)
  return { forms, rejected, lastGood, ...dealt, issues: [...issues, ...dealt.issues] }
}

/** Words for an object whose last good form serves. */
export function keptMessage(generation: number): string {
  return `The newest form is rejected; the last good one, generation ${generation}, goes on serving.`
}

export function tenantSubject(name: string, indexed: Indexed<TenantSpec>): Subject {
  return { object: indexed.ref, generation: indexed.generation, tenant: name }
}

type Dealt = Pick<TenantAdmission, 'owners' | 'namespaces' | 'issues' | 'claims' | 'effects'>

function dealNamespaces(forms: readonly TenantForm[], cluster: IndexedCluster, claims: ClaimIndex): Dealt {
  const wishes = collectWishes(forms, cluster)
  const owners = new Map<string, string>()
  const namespaces = new Map<string, string[]>(forms.map(({ name }) => [name, []]))
  const issues: Issue[] = []
  const wanted: WantedClaim[] = []
  const handovers = new Handovers('NamespaceHandedOver')
  for (const namespace of [...wishes.keys()].sort(compareText)) {
    const askers = wishes.get(namespace) ?? []
    const holder = claims.namespaceHolder(namespace)
    const owner = ownerAmong(askers, holder)
    if (owner !== undefined) {
      owners.set(namespace, owner)
      namespaces.get(owner)?.push(namespace)
      wanted.push({ what: 'namespace', name: namespace, tenant: owner })
    }
    for (const asker of askers) {
      const { name } = asker.tenant
      if (name !== owner) issues.push(namespaceIssue(namespace, asker, askers, owner ?? holder))
      for (const other of askers)
        if (compareText(name, other.tenant.name) < 0) handovers.relate(name, other.tenant.name)
    }
  }
  return { owners, namespaces, issues, claims: wanted, effects: handovers.effects() }
}

/** By namespace, one wish for each tenant; an exact name stands for the selector too. */
function collectWishes(forms: readonly TenantForm[], cluster: IndexedCluster): ReadonlyMap<string, readonly Wish[]> {
  const wishes = new Map<string, Wish[]>()
  const add = (namespace: string, wish: Wish) => {
    const list = wishes.get(namespace)
    if (list === undefined) wishes.set(namespace, [wish])
    else if (list.at(-1)?.tenant !== wish.tenant) list.push(wish)
  }
  let labels: NamespaceLabels | undefined
  for (const tenant of forms) {
    const { namespaces = [], namespaceSelector } = tenant.form.value
    namespaces.forEach((namespace, index) => {
      add(namespace, { tenant, index })
    })
    if (namespaceSelector === undefined) continue
    labels ??= new NamespaceLabels(cluster.namespaces)
    for (const namespace of labels.select(namespaceSelector)) add(namespace, { tenant, index: undefined })
  }
  return wishes
}

/** `holder` has a claim, whether it still asks or not: what it let go stays held until the claim has expired. */
function ownerAmong(askers: readonly Wish[], holder: string | undefined): string | undefined {
  const exact = askers.filter((wish) => wish.index !== undefined)
  const strongest = exact.length > 0 ? exact : askers
  if (strongest.some((wish) => wish.tenant.name === holder)) return holder
  // An exact name beats a selector even where the selector's tenant holds the namespace: labels are set by others.
  const holderAsks = askers.some((wish) => wish.tenant.name === holder)
  if (holder !== undefined && !holderAsks) return undefined
  const first = strongest[0]
  return strongest.length === 1 && first !== undefined ? first.tenant.name : undefined
}

function namespaceIssue(namespace: string, asker: Wish, askers: readonly Wish[], owner: string | undefined): Issue {
  const { tenant, index } = asker
  const path = index === undefined ? ['spec', 'namespaceSelector'] : ['spec', 'namespaces', index]
  const others = askers.filter((wish) => wish !== asker).map((wish) => wish.tenant.name)
  const message =
    owner === undefined
      ? `Namespace ${namespace} is asked for by another Tenant too and held by none, so neither gets it. Remove it from one of them.`
      : `Namespace ${namespace} is held by another Tenant, so this one does not get it. Remove it here, or have the holder release it.`
  const note = owner === undefined ? `asked for by ${others.join(', ')}` : `held by ${owner}`
  // A selector that loses to an exact name is how the two are meant to work together.
  const severity = index === undefined && owner !== undefined ? 'warns' : 'degrades'
  return createIssue(tenantSubject(tenant.name, tenant.indexed), severity, 'NamespaceClaimed', message, {
    path,
    platformNote: note,
  })
}

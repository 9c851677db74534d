// Joins the two global passes into one admitted tenant each, and keeps the identity of those that came out the same: an
// edit of one Tenant must not make 10,000 others compile again. Pure. Called by compile.ts.
import { canonicalText, compareText } from '../../model/canonical.ts'
import type { Issue } from '../../model/issue.ts'
import type { Claim, LastGood } from '../../model/resources.ts'
import type { TenantSpec } from '../../model/tenant.ts'
import { admitTenants } from './admit-tenants.ts'
import { ClaimIndex } from './claim-index.ts'
import type { CrossEffect, WantedClaim } from './compile-types.ts'
import type { Form, Indexed, IndexedCluster } from './indexed.ts'
import { compareIssues } from './issues.ts'
import { type OwnedHosts, ownHosts } from './own-hosts.ts'

/** A tenant in force with all that it owns. */
export interface AdmittedTenant {
  readonly name: string
  readonly indexed: Indexed<TenantSpec>
  readonly form: Form<TenantSpec>
  /** Ordered. */
  readonly namespaces: readonly string[]
  readonly hosts: OwnedHosts
  /** What admission has to say about the Tenant. */
  readonly issues: readonly Issue[]
}

export interface Admission {
  readonly cluster: IndexedCluster
  readonly claimed: readonly Claim[]
  /** Ordered by name. */
  readonly tenants: ReadonlyMap<string, AdmittedTenant>
  readonly rejected: readonly { readonly indexed: Indexed<TenantSpec>; readonly issues: readonly Issue[] }[]
  /** Namespace to tenant. */
  readonly owners: ReadonlyMap<string, AdmittedTenant>
  readonly claims: readonly WantedClaim[]
  readonly effects: readonly CrossEffect[]
  readonly lastGood: readonly LastGood[]
}

/** Runs the global passes; hands `previous` back where neither Tenants, Namespaces nor claims changed. */
export function admit(cluster: IndexedCluster, claimed: readonly Claim[], previous: Admission | undefined): Admission {
  if (previous !== undefined && previous.cluster === cluster && previous.claimed === claimed) return previous
  const claims = new ClaimIndex(claimed)
  const admitted = admitTenants(cluster, claims)
  const hosts = ownHosts(admitted.forms, claims)
  const issues = groupIssues([...admitted.issues, ...hosts.issues])
  const tenants = new Map<string, AdmittedTenant>()
  const owners = new Map<string, AdmittedTenant>()
  for (const { name, indexed, form } of admitted.forms) {
    const fresh: AdmittedTenant = {
      name,
      indexed,
      form,
      namespaces: admitted.namespaces.get(name) ?? [],
      hosts: hosts.byTenant.get(name) ?? NOTHING_OWNED,
      issues: issues.get(name) ?? [],
    }
    const before = previous?.tenants.get(name)
    const tenant = before !== undefined && isSame(before, fresh) ? before : fresh
    tenants.set(name, tenant)
    for (const namespace of tenant.namespaces) owners.set(namespace, tenant)
  }
  const sameOwners = previous !== undefined && isSameOwners(previous.owners, owners)
  return {
    cluster,
    claimed,
    tenants,
    rejected: admitted.rejected.map((indexed) => ({ indexed, issues: issues.get(indexed.ref.name) ?? [] })),
    owners: sameOwners ? previous.owners : owners,
    claims: [...admitted.claims, ...hosts.claims].sort(compareClaims),
    effects: [...admitted.effects, ...hosts.effects],
    lastGood: admitted.lastGood,
  }
}

const NOTHING_OWNED: OwnedHosts = { patterns: [], refused: [], anchors: [], holes: [] }

function groupIssues(issues: readonly Issue[]): ReadonlyMap<string, readonly Issue[]> {
  const groups = new Map<string, Issue[]>()
  for (const issue of issues) {
    const group = groups.get(issue.object.name)
    if (group === undefined) groups.set(issue.object.name, [issue])
    else group.push(issue)
  }
  for (const group of groups.values()) group.sort(compareIssues)
  return groups
}

function isSame(before: AdmittedTenant, now: AdmittedTenant): boolean {
  return (
    before.indexed === now.indexed &&
    before.form === now.form &&
    sameTexts(before.namespaces, now.namespaces) &&
    sameHosts(before.hosts, now.hosts) &&
    (before.issues.length + now.issues.length === 0 || canonicalText(before.issues) === canonicalText(now.issues))
  )
}

function sameHosts(before: OwnedHosts, now: OwnedHosts): boolean {
  return (
    sameTexts(before.refused, now.refused) &&
    sameTexts(before.anchors, now.anchors) &&
    sameTexts(before.holes, now.holes) &&
    before.patterns.length === now.patterns.length &&
    before.patterns.every((each, index) => {
      const other = now.patterns[index]
      return (
        other !== undefined &&
        each.pattern === other.pattern &&
        sameTexts(each.carved, other.carved) &&
        sameTexts(each.lost, other.lost)
      )
    })
  )
}

function sameTexts(before: readonly string[], now: readonly string[]): boolean {
  return before.length === now.length && before.every((text, index) => text === now[index])
}

function isSameOwners(before: ReadonlyMap<string, AdmittedTenant>, now: ReadonlyMap<string, AdmittedTenant>): boolean {
  if (before.size !== now.size) return false
  for (const [namespace, tenant] of now) if (before.get(namespace) !== tenant) return false
  return true
}

function compareClaims(a: WantedClaim, b: WantedClaim): number {
  return compareText(a.what, b.what) || compareText(a.name, b.name) || compareText(a.tenant, b.tenant)
}

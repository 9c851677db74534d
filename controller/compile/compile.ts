// compile: from a bag of objects to a sealed snapshot, issues and claims. Pure. This file is the contents page of the
// passes; the loop calls it for every change, the command line once. The previous result only makes it faster.
//
//   index-objects     decode every object inside its own fence
//   admission         admit-tenants (namespaces), own-hosts (hosts), both by claims; global
//   compile-tenant    choose-routes, attach-policies, resolve-backends, plan-routes, plan-tls; then resolve-endpoints
//   judge-namespace   what no tenant's passes look at
//   seal-snapshot     canonical order, hashes, versions
import { createDecoders } from '../../model/decode.ts'
import type { ResourceSet } from '../../model/resources.ts'
import { type Admission, admit } from './admission.ts'
import { collectResult } from './collect-result.ts'
import { compileTenant, type TenantChange, type TenantTools } from './compile-tenant.ts'
import type { CompileResult, CompileSettings } from './compile-types.ts'
import { EndpointRule } from './endpoint-rule.ts'
import type { IndexTools } from './index-kind.ts'
import { indexObjects } from './index-objects.ts'
import type { NamespaceChange, WorldIndex } from './indexed.ts'
import { judgeNamespace, type VerdictChange } from './judge-namespace.ts'
import { Memo } from './memo.ts'
import { PodHolders } from './pod-holders.ts'
import { sealSnapshot } from './seal-snapshot.ts'

/** Compiles `resources`. Never throws for what is in them. `previous` may be any earlier result with these settings. */
export function compile(resources: ResourceSet, settings: CompileSettings, previous?: CompileResult): CompileResult {
  const before = Memo.of(previous, settings)
  const tools = before?.tools ?? createTools(settings)
  const { index, changes } = indexObjects(resources, tools, before?.index)
  const admission = admit(index.cluster, resources.claims, before?.admission)
  const { holders, changed } = (before?.holders ?? new PodHolders()).with(changes)
  const tenantTools: TenantTools = {
    world: { index, tenants: admission.tenants, owners: admission.owners },
    namespaces: index.namespaces,
    policies: settings.policies,
    rule: tools.endpointRule,
    holders,
    changedAddresses: changed,
    digest: settings.digest,
  }
  const tenantChanges = compileTenants(affectedTenants(admission, changes, changed, before), tenantTools, before)
  const verdictChanges = judgeNamespaces(index, changes, admission, before)
  return collectResult(before, {
    settings,
    tools,
    index,
    admission,
    holders,
    tenantChanges,
    verdictChanges,
    ...sealSnapshot(tenantChanges, settings.digest, before),
  })
}

function createTools(settings: CompileSettings): IndexTools {
  return {
    decoders: createDecoders(settings.policies),
    policies: settings.policies,
    endpointRule: new EndpointRule(settings.allowEndpoints, settings.ownAddresses),
  }
}

/** Tenants that may come out differently: a superset, compileTenant finds out. */
function affectedTenants(
  admission: Admission,
  changes: readonly NamespaceChange[],
  changedAddresses: ReadonlySet<string>,
  before: Memo | undefined,
): ReadonlySet<string> {
  if (before === undefined) return new Set(admission.tenants.keys())
  const names = new Set<string>()
  if (admission !== before.admission) {
    for (const [name, tenant] of admission.tenants) if (before.admission.tenants.get(name) !== tenant) names.add(name)
    for (const name of before.admission.tenants.keys()) if (!admission.tenants.has(name)) names.add(name)
  }
  for (const { name } of changes) {
    const owner = admission.owners.get(name)
    if (owner !== undefined) names.add(owner.name)
  }
  for (const name of before.borrowers) names.add(name)
  if (changedAddresses.size === 0) return names
  for (const { plan, endpoints } of before.tenants.values) {
    if (endpoints.believed.some((address) => changedAddresses.has(address))) names.add(plan.tenant.name)
  }
  return names
}

function compileTenants(
  names: ReadonlySet<string>,
  tools: TenantTools,
  before: Memo | undefined,
): readonly TenantChange[] {
  const changes: TenantChange[] = []
  for (const name of names) {
    const former = before?.tenants.get(name)
    const tenant = tools.world.tenants.get(name)
    const after = tenant === undefined ? undefined : compileTenant(tenant, tools, former)
    if (after !== former) changes.push({ name, before: former, after })
  }
  return changes
}

function judgeNamespaces(
  index: WorldIndex,
  changes: readonly NamespaceChange[],
  admission: Admission,
  before: Memo | undefined,
): readonly VerdictChange[] {
  const names = new Set(changes.map((change) => change.name))
  if (before !== undefined && before.admission.owners !== admission.owners) {
    for (const name of index.namespaces.names) {
      if (before.admission.owners.get(name)?.name !== admission.owners.get(name)?.name) names.add(name)
    }
  }
  const verdicts: VerdictChange[] = []
  for (const name of names) {
    const indexed = index.namespaces.get(name)
    const former = before?.verdicts.get(name)
    const tenant = admission.owners.get(name)?.name ?? ''
    const after = indexed === undefined ? undefined : judgeNamespace(indexed, tenant, former)
    if (after !== former) verdicts.push({ name, before: former, after })
  }
  return verdicts
}

// compile: from a bag of objects to a sealed snapshot, issues and claims. Pure. This file is the contents page of the
// passes; the loop calls it for every change, the command line once. The previous result only makes it faster.
//
//   index-objects     decode every object inside its own fence
//   admission         admit-tenants (namespaces), own-hosts (hosts), both by claims; global
//   compile-tenant    choose-routes, attach-policies, resolve-backends, plan-routes, plan-tls; then resolve-endpoints
//   judge-namespace   what no tenant's passes look at
//   seal              canonical order, hashes, versions
import { createDecoders } from '../../model/decode.ts'
import type { ResourceSet } from '../../model/resources.ts'
import { SNAPSHOT_FORMAT } from '../../model/snapshot.ts'
import type { Pool, TenantShard } from '../../model/snapshot.ts'
import { type Admission, admit } from './admission.ts'
import { collectResult } from './collect-result.ts'
import { compileTenant, type TenantResult, type TenantTools } from './compile-tenant.ts'
import type { CompileResult, CompileSettings } from './compile-types.ts'
import { EndpointRule } from './endpoint-rule.ts'
import type { IndexTools } from './index-kind.ts'
import { indexObjects } from './index-objects.ts'
import type { WorldIndex } from './indexed.ts'
import { judgeNamespace, type NamespaceVerdict } from './judge-namespace.ts'
import { Memo } from './memo.ts'
import { PodHolders, type PodsChange } from './pod-holders.ts'
import { hashRoot } from './seal.ts'

/** Compiles `resources`. Never throws for what is in them. `previous` may be any earlier result with these settings. */
export function compile(resources: ResourceSet, settings: CompileSettings, previous?: CompileResult): CompileResult {
  const before = Memo.of(previous, settings)
  const tools = before?.tools ?? createTools(settings)
  const index = indexObjects(resources, tools, before?.index)
  const admission = admit(index.cluster, resources.claims, before?.admission)
  const { holders, changed } = (before?.holders ?? new PodHolders()).with(changedPods(index, before?.index))
  const tenants = compileTenants(
    admission,
    {
      world: { index, owners: admission.owners },
      namespaces: index.namespaces,
      policies: settings.policies,
      rule: tools.endpointRule,
      holders,
      changedAddresses: changed,
      digest: settings.digest,
    },
    before,
  )
  const verdicts = judgeNamespaces(index, admission, before)
  const sealed = sealSnapshot(tenants, settings, before)
  const memo = new Memo({ settings, tools, index, admission, holders, tenants, verdicts, ...sealed })
  return collectResult(memo, previous)
}

function createTools(settings: CompileSettings): IndexTools {
  return {
    decoders: createDecoders(settings.policies),
    policies: settings.policies,
    endpointRule: new EndpointRule(settings.allowEndpoints, settings.ownAddresses),
  }
}

function compileTenants(
  admission: Admission,
  tools: TenantTools,
  before: Memo | undefined,
): ReadonlyMap<string, TenantResult> {
  const tenants = new Map<string, TenantResult>()
  for (const tenant of admission.tenants.values()) {
    tenants.set(tenant.name, compileTenant(tenant, tools, before?.tenants.get(tenant.name)))
  }
  return tenants
}

function judgeNamespaces(
  index: WorldIndex,
  admission: Admission,
  before: Memo | undefined,
): ReadonlyMap<string, NamespaceVerdict> {
  const verdicts = new Map<string, NamespaceVerdict>()
  for (const [name, indexed] of index.namespaces) {
    const tenant = admission.owners.get(name)?.name ?? ''
    verdicts.set(name, judgeNamespace(indexed, tenant, before?.verdicts.get(name)))
  }
  return verdicts
}

/** Namespaces whose Pods changed. */
function changedPods(index: WorldIndex, before: WorldIndex | undefined): readonly PodsChange[] {
  const changes: PodsChange[] = []
  for (const [namespace, { pods }] of index.namespaces) {
    const former = before?.namespaces.get(namespace)?.pods
    if (former !== pods) changes.push({ namespace, before: former, after: pods })
  }
  if (before !== undefined) {
    for (const [namespace, { pods }] of before.namespaces) {
      if (!index.namespaces.has(namespace)) changes.push({ namespace, before: pods, after: undefined })
    }
  }
  return changes
}

function sealSnapshot(tenants: ReadonlyMap<string, TenantResult>, settings: CompileSettings, before: Memo | undefined) {
  const changedShards: string[] = []
  const changedPools: string[] = []
  let sameNames = before !== undefined && before.tenants.size === tenants.size
  for (const [name, result] of tenants) {
    const former = before?.tenants.get(name)
    if (former === result) continue
    if (former === undefined) sameNames = false
    if (former?.plan.shard !== result.plan.shard) changedShards.push(name)
    if (former?.endpoints.hash !== result.endpoints.hash) changedPools.push(name)
  }
  const { digest } = settings
  const keys = () => tenants.keys()
  const shardRoot = hashRoot(
    { get: (name) => tenants.get(name)?.plan.shard.hash, keys },
    digest,
    sameNames ? before?.shardRoot : undefined,
    changedShards,
  )
  const poolRoot = hashRoot(
    { get: (name) => tenants.get(name)?.endpoints.hash, keys },
    digest,
    sameNames ? before?.poolRoot : undefined,
    changedPools,
  )
  const keepShards = sameNames && changedShards.length === 0
  const keepPools = sameNames && changedPools.length === 0
  const shards = keepShards && before !== undefined ? before.snapshot.shards : collectShards(tenants)
  const pools = keepPools && before !== undefined ? before.snapshot.pools : collectPools(tenants)
  const version = shardRoot.hash
  const endpointsRevision = poolRoot.hash
  const isSame = before !== undefined && shards === before.snapshot.shards && pools === before.snapshot.pools
  const snapshot = isSame
    ? before.snapshot
    : Object.freeze({ format: SNAPSHOT_FORMAT, version, endpointsRevision, shards, pools })
  return { shardRoot, poolRoot, snapshot }
}

function collectShards(tenants: ReadonlyMap<string, TenantResult>): ReadonlyMap<string, TenantShard> {
  const shards = new Map<string, TenantShard>()
  for (const [name, { plan }] of tenants) shards.set(name, plan.shard)
  return shards
}

function collectPools(tenants: ReadonlyMap<string, TenantResult>): ReadonlyMap<string, Pool> {
  const pools = new Map<string, Pool>()
  for (const { endpoints } of tenants.values()) for (const { key, pool } of endpoints.pools) pools.set(key, pool)
  return pools
}

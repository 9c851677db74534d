// The first pass: every object is decoded and prepared inside its own fence, and grouped by namespace. Pure. What an
// object came to is kept by the identity of the object, so an edit costs its own namespace and nothing else.
import type { DecodeResult } from '../../model/decode.ts'
import type { Kind, Material, Partition, ResourceSet, SourceObject } from '../../model/resources.ts'
import { indexPods, indexSlices } from './index-endpoints.ts'
import { type Group, type IndexTools, indexKind, inOrder, type Prepare } from './index-kind.ts'
import type { ByName, IndexedCluster, IndexedNamespace, NamespaceConfig, WorldIndex } from './indexed.ts'
import { groupLastGood, type LastGoodIndex } from './last-good.ts'
import { preparePolicy } from './prepare-policy.ts'
import { prepareRoute } from './prepare-route.ts'

/** Indexes all objects; parts of `previous` whose objects did not change are taken over as they are. */
export function indexObjects(resources: ResourceSet, tools: IndexTools, previous: WorldIndex | undefined): WorldIndex {
  const lastGood: LastGoodIndex = groupLastGood(resources.lastGood)
  const names = [...resources.partitions.keys()]
  const namespaces = new Map<string, IndexedNamespace>()
  for (const name of inOrder(names)) {
    const partition = resources.partitions.get(name)
    if (partition === undefined || name === '') continue
    const group = lastGood.get(name)
    const before = previous?.namespaces.get(name)
    const unchanged = before !== undefined && before.source === partition && sameGroup(before.lastGood, group)
    namespaces.set(name, unchanged ? before : indexNamespace(name, partition, group, tools, before))
  }
  const cluster = indexCluster(resources.partitions.get(''), lastGood.get(''), tools, previous?.cluster)
  return { cluster, namespaces }
}

function sameGroup(before: Group, now: Group): boolean {
  if (before === now) return true
  if (before === undefined || now === undefined || before.size !== now.size) return false
  for (const [key, entry] of now) if (before.get(key) !== entry) return false
  return true
}

function indexCluster(
  partition: Partition | undefined,
  group: Group,
  tools: IndexTools,
  before: IndexedCluster | undefined,
): IndexedCluster {
  if (before !== undefined && before.source === partition && sameGroup(before.lastGood, group)) return before
  const tenants = indexKind('Tenant', '', partition, group, before?.tenants, tools.decoders.tenant)
  return {
    source: partition,
    lastGood: group,
    tenants,
    namespaces: partition?.objects.get('Namespace') ?? new Map<string, SourceObject>(),
  }
}

function indexNamespace(
  namespace: string,
  partition: Partition,
  group: Group,
  tools: IndexTools,
  before: IndexedNamespace | undefined,
): IndexedNamespace {
  const { slices, allSlices } = indexSlices(namespace, partition, group, tools, before)
  const { pods, podObjects } = indexPods(partition, tools, before)
  return {
    namespace,
    source: partition,
    lastGood: group,
    config: indexConfig(namespace, partition, group, tools, before?.config),
    slices,
    allSlices,
    pods,
    podObjects,
  }
}

function indexConfig(
  namespace: string,
  partition: Partition,
  group: Group,
  tools: IndexTools,
  before: NamespaceConfig | undefined,
): NamespaceConfig {
  const { decoders } = tools
  const of = <Value>(kind: Kind, known: ByName<Value> | undefined, prepare: Prepare<Value>) =>
    indexKind(kind, namespace, partition, group, known, prepare)
  const routes = of('Route', before?.routes, (body) => {
    const decoded = decoders.route(body)
    return decoded.ok ? prepareRoute(decoded.value) : decoded
  })
  const config: NamespaceConfig = {
    routes,
    policies: of('Policy', before?.policies, (body) => {
      const decoded = decoders.policy(body)
      return decoded.ok ? preparePolicy(decoded.value, tools.policies) : decoded
    }),
    services: of('Service', before?.services, decoders.service),
    grants: of('ReferenceGrant', before?.grants, decoders.referenceGrant),
    secrets: of('Secret', before?.secrets, readMaterial),
    configMaps: of('ConfigMap', before?.configMaps, readMaterial),
  }
  const same =
    before !== undefined &&
    config.routes === before.routes &&
    config.policies === before.policies &&
    config.services === before.services &&
    config.grants === before.grants &&
    config.secrets === before.secrets &&
    config.configMaps === before.configMaps
  return same ? before : config
}

/** Secrets and ConfigMaps have no shape of their own: the inspector's facts say what can be used of them. */
function readMaterial(_body: unknown, material: Material | undefined): DecodeResult<Material> {
  return { ok: true, value: material ?? {} }
}

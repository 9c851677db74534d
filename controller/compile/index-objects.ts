// The first pass: every object is decoded and prepared inside its own fence, and grouped by namespace. Pure. What an
// object came to is kept by the identity of the object, so an edit costs its own namespace and nothing else.
import type { DecodeResult } from '../../model/decode.ts'
import type { Kind, Material, Partition, ResourceSet, SourceObject } from '../../model/resources.ts'
import { indexPods, indexSlices } from './index-endpoints.ts'
import { type Group, type IndexTools, indexKind, inOrder, type Prepare } from './index-kind.ts'
import type {
  ByName,
  IndexedCluster,
  IndexedNamespace,
  NamespaceChange,
  NamespaceConfig,
  WorldIndex,
} from './indexed.ts'
import { groupLastGood, type LastGoodIndex } from './last-good.ts'
import { OrderedTable } from './ordered-table.ts'
import { preparePolicy } from './prepare-policy.ts'
import { prepareRoute } from './prepare-route.ts'

/** Indexes all objects; parts of `previous` whose objects did not change are taken over as they are. */
export function indexObjects(
  resources: ResourceSet,
  tools: IndexTools,
  previous: WorldIndex | undefined,
): { readonly index: WorldIndex; readonly changes: readonly NamespaceChange[] } {
  const { partitions } = resources
  const lastGood: LastGoodIndex = groupLastGood(resources.lastGood)
  const changes: NamespaceChange[] = []
  for (const name of inOrder([...changedNames(partitions, lastGood, previous)])) {
    if (name === '') continue
    const before = previous?.namespaces.get(name)
    const partition = partitions.get(name)
    const after =
      partition === undefined ? undefined : indexNamespace(name, partition, lastGood.get(name), tools, before)
    if (after !== before) changes.push({ name, before, after })
  }
  const namespaces = (previous?.namespaces ?? OrderedTable.empty<IndexedNamespace>()).with(
    changes.map(({ name, after }) => [name, after] as const),
  )
  const cluster = indexCluster(partitions.get(''), lastGood.get(''), tools, previous?.cluster)
  return { index: { cluster, namespaces, partitions, lastGood }, changes }
}

/** Namespaces whose objects or last good forms may differ from before. */
function changedNames(
  partitions: ReadonlyMap<string, Partition>,
  lastGood: LastGoodIndex,
  previous: WorldIndex | undefined,
): ReadonlySet<string> {
  if (previous === undefined) return new Set(partitions.keys())
  const names = new Set<string>()
  collectDifferences(previous.partitions, partitions, names)
  for (const name of [...lastGood.keys(), ...previous.lastGood.keys()]) {
    if (!sameGroup(previous.lastGood.get(name), lastGood.get(name))) names.add(name)
  }
  return names
}

/** Walks both maps side by side while they have one order, which they have unless a namespace came or went. */
function collectDifferences(
  before: ReadonlyMap<string, Partition>,
  now: ReadonlyMap<string, Partition>,
  names: Set<string>,
): void {
  if (before === now) return
  const former = before.entries()
  for (const [name, partition] of now) {
    const next = former.next()
    if (next.done === true || next.value[0] !== name) {
      for (const each of new Set([...before.keys(), ...now.keys()])) {
        if (before.get(each) !== now.get(each)) names.add(each)
      }
      return
    }
    if (next.value[1] !== partition) names.add(name)
  }
  for (const [name] of former) names.add(name)
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

// EndpointSlices and Pods of a namespace, prepared for the join in resolve-endpoints: addresses read once, endpoints
// that are out left out. Pure. Called by index-objects; one flipped endpoint costs its slice.
import { formatAddress, parseAddress } from '../../model/address.ts'
import { compareText } from '../../model/canonical.ts'
import type { EndpointSliceBody, PodBody } from '../../model/core.ts'
import type { LastGood, Partition, SourceObject } from '../../model/resources.ts'
import type { EndpointRule } from './endpoint-rule.ts'
import type {
  Indexed,
  IndexedNamespace,
  IndexedPod,
  NamespacePods,
  PreparedEndpoint,
  PreparedSlice,
} from './indexed.ts'
import { fenced, type IndexTools, indexKind } from './index-kind.ts'

/** Kubernetes' own label: the Service that a slice belongs to (discovery.k8s.io/v1). */
const SERVICE_LABEL = 'kubernetes.io/service-name'

type Slices = Pick<IndexedNamespace, 'slices' | 'allSlices'>

/** All slices, by name and by Service. Lists that did not change keep their identity. */
export function indexSlices(
  namespace: string,
  partition: Partition,
  group: ReadonlyMap<string, LastGood> | undefined,
  tools: IndexTools,
  before: Slices | undefined,
): Slices {
  const known = new Map<string, Indexed<EndpointSliceBody>>()
  for (const [name, slice] of before?.allSlices ?? []) known.set(name, slice.indexed)
  const { endpointSlice } = tools.decoders
  const bodies = indexKind('EndpointSlice', namespace, partition, group, known, endpointSlice)
  if (before !== undefined && bodies === known) return before
  const allSlices = new Map<string, PreparedSlice>()
  const grouped = new Map<string, PreparedSlice[]>()
  for (const [name, indexed] of bodies) {
    const former = before?.allSlices.get(name)
    const slice = former?.indexed === indexed ? former : prepareSlice(namespace, indexed, tools.endpointRule)
    allSlices.set(name, slice)
    if (slice.service === '') continue
    const list = grouped.get(slice.service)
    if (list === undefined) grouped.set(slice.service, [slice])
    else list.push(slice)
  }
  const slices = new Map<string, readonly PreparedSlice[]>()
  for (const [service, list] of grouped) {
    const former = before?.slices.get(service)
    slices.set(service, former !== undefined && sameItems(former, list) ? former : list)
  }
  return { slices, allSlices }
}

function sameItems<Item>(a: readonly Item[], b: readonly Item[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}

function prepareSlice(namespace: string, indexed: Indexed<EndpointSliceBody>, rule: EndpointRule): PreparedSlice {
  const body = indexed.newest?.value ?? indexed.good?.value
  const service = indexed.source.metadata.labels[SERVICE_LABEL] ?? ''
  if (body === undefined) return { indexed, service, ports: [], endpoints: [] }
  const endpoints: PreparedEndpoint[] = []
  for (const written of body.endpoints ?? []) {
    const { ready = true, serving = ready, terminating = false } = written.conditions ?? {}
    if (!ready && !(serving && terminating)) continue
    const { targetRef } = written
    const isPod = targetRef?.kind === 'Pod' && targetRef.name !== undefined
    const elsewhere = isPod && targetRef.namespace !== undefined && targetRef.namespace !== namespace
    for (const text of written.addresses) {
      endpoints.push({
        // A name of the DNS is no address that a pod can be checked by.
        ...(body.addressType === 'FQDN' ? { address: text, standing: 'refused' } : rule.judge(text)),
        state: ready ? 'ready' : 'draining',
        zone: written.zone ?? '',
        pod: elsewhere ? undefined : isPod ? (targetRef.name ?? '') : '',
      })
    }
  }
  const ports = (body.ports ?? []).map((port) => ({
    name: port.name ?? '',
    protocol: port.protocol ?? 'TCP',
    // Kubernetes writes null for "all ports", which is no port to dial.
    port: port.port === 0 ? undefined : port.port,
  }))
  return { indexed, service, ports, endpoints }
}

type Pods = Pick<IndexedNamespace, 'pods' | 'podObjects'>

/** All Pods that still run. Returns what was before where no Pod changed. */
export function indexPods(partition: Partition, tools: IndexTools, before: Pods | undefined): Pods {
  const objects = partition.objects.get('Pod') ?? new Map<string, SourceObject>()
  let changed = before === undefined || before.podObjects.size !== objects.size
  const podObjects = new Map<string, IndexedPod>()
  for (const [name, source] of objects) {
    const known = before?.podObjects.get(name)
    if (known?.source === source) podObjects.set(name, known)
    else {
      changed = true
      podObjects.set(name, indexPod(source, tools))
    }
  }
  if (!changed && before !== undefined) return before
  return { pods: groupPods(podObjects), podObjects }
}

function indexPod(source: SourceObject, tools: IndexTools): IndexedPod {
  const decoded = fenced<PodBody>(tools.decoders.pod, source.body)
  if (!decoded.ok) return { source, addresses: [], problems: decoded.problems }
  const { phase, podIP, podIPs = [] } = decoded.value.status ?? {}
  // A Pod that has ended gave its addresses back; somebody else may hold them by now.
  if (phase === 'Succeeded' || phase === 'Failed') return { source, addresses: [], problems: [] }
  const addresses = new Set<string>()
  for (const text of [podIP, ...podIPs.map((each) => each.ip)]) {
    const bytes = text === undefined ? undefined : parseAddress(text)
    if (bytes !== undefined) addresses.add(formatAddress(bytes))
  }
  return { source, addresses: [...addresses].sort(compareText), problems: [] }
}

function groupPods(objects: ReadonlyMap<string, IndexedPod>): NamespacePods {
  const addressesOf = new Map<string, readonly string[]>()
  const holders = new Map<string, string[]>()
  for (const name of [...objects.keys()].sort(compareText)) {
    const pod = objects.get(name)
    // A malformed Pod is absent: its presence alone must not turn the others' endpoints away.
    if (pod === undefined || pod.problems.length > 0) continue
    const { addresses } = pod
    addressesOf.set(name, addresses)
    for (const address of addresses) {
      const names = holders.get(address)
      if (names === undefined) holders.set(address, [name])
      else names.push(name)
    }
  }
  return { addressesOf, holders }
}

// The pass from slices to endpoints: slices of the Service joined by the name of its port, each with its own port number,
// merged by address. Pure. It runs apart from the shard, because endpoints churn: a flipped endpoint costs its pool.
//
// Who may stand behind a Service: a Pod of the tenant that owns the Service's namespace. Where Pods of that namespace are
// known, one of that tenant's Pods must hold the address (the very one that the slice names). Where none are, a unicast
// address is believed unless a Pod of somebody else holds it. Ranges that the operator allows need no Pod. Atrium's own
// listeners are refused always.
import { compareText } from '../../model/canonical.ts'
import type { Endpoint } from '../../model/snapshot.ts'
import type { EndpointRule } from './endpoint-rule.ts'
import type { IndexedNamespace, NamespacePods, PreparedEndpoint, PreparedSlice } from './indexed.ts'
import type { OrderedTable } from './ordered-table.ts'
import type { PodHolders } from './pod-holders.ts'
import type { BackendNeed } from './resolve-backends.ts'

/** What the endpoints of one pool depend on. Compared by identity. */
export interface EndpointInputs {
  readonly need: Pick<BackendNeed, 'id' | 'portName'>
  readonly slices: readonly PreparedSlice[]
  /** Pods of the Service's own namespace. */
  readonly ownPods: NamespacePods | undefined
  /** Pods of all namespaces that may stand behind the Service, the own included. */
  readonly podsBehind: readonly (NamespacePods | undefined)[]
  readonly namespacesBehind: readonly string[]
}

export interface ResolvedEndpoints {
  /** Ordered by address, then port. */
  readonly endpoints: readonly Endpoint[]
  /** Addresses that may not be used, as the slices name them, ordered. */
  readonly refused: readonly string[]
  /** Addresses whose standing depends on the Pods of strangers. */
  readonly believed: readonly string[]
  /** Addresses refused because the Pod of a stranger holds them. */
  readonly held: readonly string[]
}

/** Gathers what the endpoints of a need depend on. */
export function endpointInputs(need: BackendNeed, namespaces: OrderedTable<IndexedNamespace>): EndpointInputs {
  const own = namespaces.get(need.id.namespace)
  return {
    need,
    slices: own?.slices.get(need.id.service) ?? NO_SLICES,
    ownPods: own?.pods,
    podsBehind: need.namespacesBehind.map((namespace) => namespaces.get(namespace)?.pods),
    namespacesBehind: need.namespacesBehind,
  }
}

const NO_SLICES: readonly PreparedSlice[] = []

/** Whether two gatherings are of the same things. */
export function sameInputs(a: EndpointInputs, b: EndpointInputs): boolean {
  return (
    a.slices === b.slices &&
    a.need.portName === b.need.portName &&
    a.ownPods === b.ownPods &&
    sameItems(a.podsBehind, b.podsBehind) &&
    sameItems(a.namespacesBehind, b.namespacesBehind)
  )
}

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a === b || (a.length === b.length && a.every((item, index) => item === b[index]))
}

/** Resolves the endpoints of one pool. */
export function resolveEndpoints(inputs: EndpointInputs, rule: EndpointRule, holders: PodHolders): ResolvedEndpoints {
  const found = new Map<string, Map<number, Endpoint>>()
  const refused = new Set<string>()
  const believed = new Set<string>()
  const held = new Set<string>()
  for (const slice of inputs.slices) {
    const { portName } = inputs.need
    const port = slice.ports.find((each) => each.name === portName && each.protocol === 'TCP')?.port
    // A slice without the port is of another port of the Service (Kubernetes groups endpoints by their ports).
    if (port === undefined) continue
    for (const endpoint of slice.endpoints) {
      const verdict = rule.isOwn(endpoint.address, port) ? 'refused' : judge(endpoint, inputs, holders)
      if (verdict === 'believed' || verdict === 'held') believed.add(endpoint.address)
      if (verdict === 'held') held.add(endpoint.address)
      if (verdict === 'refused' || verdict === 'held') refused.add(endpoint.address)
      else merge(found, endpoint, port)
    }
  }
  const endpoints = [...found.values()].flatMap((ports) => [...ports.values()])
  return {
    endpoints: endpoints.sort((a, b) => compareText(a.address, b.address) || a.port - b.port),
    refused: [...refused].sort(compareText),
    believed: [...believed],
    held: [...held].sort(compareText),
  }
}

/** vouched: a Pod of the tenant holds it, or the operator allows it whoever holds it. */
type Verdict = 'vouched' | 'believed' | 'held' | 'refused'

function judge(endpoint: PreparedEndpoint, inputs: EndpointInputs, holders: PodHolders): Verdict {
  const { ownPods, podsBehind, namespacesBehind } = inputs
  const { address, pod, standing } = endpoint
  const namesPod = pod !== undefined && pod !== ''
  const vouched = namesPod
    ? (ownPods?.addressesOf.get(pod)?.includes(address) ?? false)
    : pod === '' && podsBehind.some((pods) => pods?.holders.has(address))
  if (vouched && standing !== 'refused') return 'vouched'
  const podsKnown = (ownPods?.addressesOf.size ?? 0) > 0
  if (standing === 'refused' || (podsKnown && standing !== 'allowed')) return 'refused'
  const stranger = holders.namespacesOf(address).some((namespace) => !namespacesBehind.includes(namespace))
  return stranger ? 'held' : 'believed'
}

/** One address in several slices is one endpoint; ready in any of them is ready. */
function merge(found: Map<string, Map<number, Endpoint>>, endpoint: PreparedEndpoint, port: number): void {
  const { address, state, zone } = endpoint
  let ports = found.get(address)
  if (ports === undefined) {
    ports = new Map()
    found.set(address, ports)
  }
  const other = ports.get(port)
  ports.set(port, {
    address,
    port,
    zone: other === undefined || (zone !== '' && (other.zone === '' || zone < other.zone)) ? zone : other.zone,
    state: other?.state === 'ready' || state === 'ready' ? 'ready' : 'draining',
  })
}

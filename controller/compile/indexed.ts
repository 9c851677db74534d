// What index-objects makes of the objects of a namespace: decoded, prepared, grouped for the passes. Types only, pure.
// Identity matters: a part whose objects did not change keeps its identity, and later passes reuse what they made of it.
import type { EndpointSliceBody, ReferenceGrantBody, ServiceBody } from '../../model/core.ts'
import type { FieldProblem } from '../../model/decode.ts'
import type { LastGood, Material, ObjectRef, Partition, SourceObject } from '../../model/resources.ts'
import type { TenantSpec } from '../../model/tenant.ts'
import type { OrderedTable } from './ordered-table.ts'
import type { PreparedPolicy, PreparedRoute } from './prepared.ts'

/** A form of an object that may be used. */
export interface Form<Value> {
  readonly generation: number
  readonly value: Value
}

/** One object: its newest form, and the last good one where the loop handed one in that still reads. */
export interface Indexed<Value> {
  readonly ref: ObjectRef
  readonly source: SourceObject
  readonly generation: number
  /** undefined where the newest form is malformed; `problems` says why. */
  readonly newest: Form<Value> | undefined
  readonly problems: readonly FieldProblem[]
  readonly good: (Form<Value> & { readonly entry: LastGood }) | undefined
}

export type ByName<Value> = ReadonlyMap<string, Indexed<Value>>

/** Everything of a namespace that shapes shards. */
export interface NamespaceConfig {
  readonly routes: ByName<PreparedRoute>
  readonly policies: ByName<PreparedPolicy>
  readonly services: ByName<ServiceBody>
  readonly grants: ByName<ReferenceGrantBody>
  /** Secrets and ConfigMaps: what the inspector at the edge found in them. */
  readonly secrets: ByName<Material>
  readonly configMaps: ByName<Material>
}

/** An endpoint as a slice names it, its address judged as far as the address alone tells. */
export interface PreparedEndpoint {
  /** Canonical text; as written where it is no address. */
  readonly address: string
  /** Whether the address may be believed where no Pod vouches for it. */
  readonly standing: 'allowed' | 'believed' | 'refused'
  readonly state: 'ready' | 'draining'
  readonly zone: string
  /** Name of the Pod in the slice's namespace, '' where it names none; undefined where it names one elsewhere. */
  readonly pod: string | undefined
}

/** A slice of one Service. Endpoints that are out (neither ready nor serving) are left out. */
export interface PreparedSlice {
  readonly indexed: Indexed<EndpointSliceBody>
  readonly service: string
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number | undefined }[]
  readonly endpoints: readonly PreparedEndpoint[]
}

/** The Pods of a namespace. */
export interface NamespacePods {
  /** Canonical addresses by the name of a Pod that runs; empty for one without an address yet. */
  readonly addressesOf: ReadonlyMap<string, readonly string[]>
  /** Canonical address to the names of the Pods that hold it. */
  readonly holders: ReadonlyMap<string, readonly string[]>
}

/** One namespace, indexed. */
export interface IndexedNamespace {
  readonly namespace: string
  readonly source: Partition
  readonly lastGood: ReadonlyMap<string, LastGood> | undefined
  readonly config: NamespaceConfig
  /** By name of the Service, each list ordered by name of the slice. */
  readonly slices: ReadonlyMap<string, readonly PreparedSlice[]>
  readonly allSlices: ReadonlyMap<string, PreparedSlice>
  readonly pods: NamespacePods
  readonly podObjects: ReadonlyMap<string, IndexedPod>
}

/** A Pod with its addresses. */
export interface IndexedPod {
  readonly source: SourceObject
  readonly addresses: readonly string[]
  readonly problems: readonly FieldProblem[]
}

/** The cluster-scoped objects. */
export interface IndexedCluster {
  readonly source: Partition | undefined
  readonly lastGood: ReadonlyMap<string, LastGood> | undefined
  readonly tenants: ByName<TenantSpec>
  /** Labels by name of the Namespace. */
  readonly namespaces: ReadonlyMap<string, SourceObject>
}

/** All objects. */
export interface WorldIndex {
  readonly cluster: IndexedCluster
  readonly namespaces: OrderedTable<IndexedNamespace>
  /** What was indexed: compared by identity next time. */
  readonly partitions: ReadonlyMap<string, Partition>
  readonly lastGood: ReadonlyMap<string, ReadonlyMap<string, LastGood>>
}

/** A namespace that is not what it was. */
export interface NamespaceChange {
  readonly name: string
  readonly before: IndexedNamespace | undefined
  readonly after: IndexedNamespace | undefined
}

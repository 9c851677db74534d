// Input and output of compile. Types only, pure. compile.ts is the contents page of the passes that fill them.
//
// How the loop feeds last good forms back. `ResourceSet.lastGood` holds the last accepted form of every object that is
// rejected now or may turn out to be rejected by this very compile: the loop cannot know which. It need not keep a
// store of its own: `lastGoodFor(partitions, previous, stored)` in last-good.ts makes the list, which is short (what was
// in the previous result, and the forms that the changed objects had before). `CompileResult.lastGood` is what must be
// stored before the snapshot is published, and what `stored` is after a restart. A longer list is never wrong: entries
// of objects that are accepted or gone are ignored. Bytes depend on (objects, claims, lastGood) and on nothing else.
import type { Digest } from '../../model/canonical.ts'
import type { PolicyDefinition } from '../../model/define-policy.ts'
import type { Issue } from '../../model/issue.ts'
import type { Claim, LastGood, ObjectRef } from '../../model/resources.ts'
import type { Snapshot } from '../../model/snapshot.ts'

/** What the operator and the composition root decide; one object, kept while the controller runs. */
export interface CompileSettings {
  readonly digest: Digest
  readonly policies: readonly PolicyDefinition[]
  /** CIDR texts, validated: extra endpoint ranges the operator allows. */
  readonly allowEndpoints: readonly string[]
  /** Addresses (`ip` or `ip:port`, IPv6 in brackets) of Atrium's own listeners: never an endpoint. */
  readonly ownAddresses: readonly string[]
}

/** A claim that a tenant wants. The loop stamps and stores it before the snapshot is published. */
export type WantedClaim = Pick<Claim, 'what' | 'name' | 'tenant'>

/** What an object came to, for conditions: accepted or not, which generation serves. */
export interface ObjectResult {
  /** A Tenant, Route or Policy. */
  readonly object: ObjectRef
  readonly generation: number
  /** '' where the namespace belongs to no tenant. */
  readonly tenant: string
  readonly accepted: boolean
  /** The generation that serves: the newest, the last good one, or null for none. */
  readonly servingGeneration: number | null
  /** Policy: number of rules it is attached to. Route: number of rules planned. Tenant: number of Routes accepted. */
  readonly count: number
}

/**
 * A relation that lets an edit of objects outside a tenant change its shard or its pools; every other change is a
 * defect. `tenant` is the one affected. GrantedService covers the Service named, with its slices and pods; PodAddress
 * names the Pods that hold an address which a slice of the tenant asks for.
 */
export interface CrossEffect {
  readonly tenant: string
  readonly cause:
    | 'HostHandedOver'
    | 'NamespaceHandedOver'
    | 'PortHandedOver'
    | 'ReferenceGrant'
    | 'GrantedService'
    | 'PodAddress'
  readonly objects: readonly ObjectRef[]
}

export interface CompileResult {
  readonly snapshot: Snapshot
  readonly issues: readonly Issue[]
  readonly objects: readonly ObjectResult[]
  /** All claims of admitted tenants that hold or may hold; the loop compares with what is stored. */
  readonly claims: readonly WantedClaim[]
  /** The next lastGood list: exactly the objects whose newest form is rejected and that had a good one. */
  readonly lastGood: readonly LastGood[]
  /** Relations that let an edit of one tenant change another's shard or pools. */
  readonly crossEffects: readonly CrossEffect[]
  /** Opaque; handing it back only saves time. */
  readonly memo: unknown
}

// Input and output of compile. Types only, pure. compile.ts is the contents page of the passes that fill them.
import type { Digest } from '../../model/canonical.ts'
import type { PolicyDefinition } from '../../model/define-policy.ts'
import type { Issue } from '../../model/issue.ts'
import type { Claim, LastGood, ObjectRef } from '../../model/resources.ts'
import type { Snapshot } from '../../model/snapshot.ts'

/** What the operator and the composition root decide; constant while the controller runs. */
export interface CompileSettings {
  readonly digest: Digest
  readonly policies: readonly PolicyDefinition[]
  /** CIDR texts, validated: extra endpoint ranges the operator allows. */
  readonly allowEndpoints: readonly string[]
  /** Addresses (`ip` or `ip:port`) of Atrium's own listeners: never an endpoint. */
  readonly ownAddresses: readonly string[]
}

/** A claim that a tenant wants. The loop stamps and stores it before the snapshot is published. */
export type WantedClaim = Pick<Claim, 'what' | 'name' | 'tenant'>

/** What an object came to, for conditions: accepted or not, which generation serves. */
export interface ObjectResult {
  readonly object: ObjectRef
  readonly generation: number
  readonly tenant: string
  readonly accepted: boolean
  /** The generation that serves: the newest, the last good one, or null for none. */
  readonly servingGeneration: number | null
  /** Policy: number of rules it is attached to. Route: number of rules planned. Tenant: number of Routes accepted. */
  readonly count: number
}

/** A change in one tenant's shard that comes from objects of another: everything else is a defect. */
export interface CrossEffect {
  readonly tenant: string
  readonly cause: 'HostHandedOver' | 'NamespaceHandedOver' | 'PortHandedOver' | 'ReferenceGrant' | 'GrantedService'
  readonly objects: readonly ObjectRef[]
}

export interface CompileResult {
  readonly snapshot: Snapshot
  readonly issues: readonly Issue[]
  readonly objects: readonly ObjectResult[]
  /** All claims wanted by admitted tenants; the loop compares with what is stored. */
  readonly claims: readonly WantedClaim[]
  /** The next lastGood map: exactly the objects whose newest form is rejected and that had a good one. */
  readonly lastGood: readonly LastGood[]
  /** Relations that let an edit of one tenant change another's shard (grants in use, hosts disputed …). */
  readonly crossEffects: readonly CrossEffect[]
  /** Opaque; handing it back only saves time. */
  readonly memo: unknown
}

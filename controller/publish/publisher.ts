// The contract of a publisher: it brings a snapshot to every dataplane pod and says what became of it. Types only.
// in-process.ts (standalone) implements it; http-publisher.ts (a cluster) too.
import type { Snapshot } from '../../model/snapshot.ts'

/** What one pod answered. */
export interface PodAcknowledgement {
  readonly pod: string
  readonly sequence: number
  readonly version: string
  readonly endpointsRevision: string
  /** Tenants whose shard the pod refused (it keeps the one it had), with the reason. */
  readonly refused: readonly { readonly tenant: string; readonly message: string }[]
}

export interface Publisher {
  /** Resolves when every reachable pod has answered. Never rejects: a pod that fails is absent from the answer. */
  publish(snapshot: Snapshot, sequence: number): Promise<readonly PodAcknowledgement[]>
}

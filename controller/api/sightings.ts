// Since when things are as they are, as far as one process has seen them: Kubernetes keeps that in status, which the
// controller does not read back. controller/cluster.ts notes, status answers ask.
import { objectKey } from '../../model/resources.ts'
import type { ObjectStatus } from '../report/conditions.ts'

/** Since when each object is as ready as it is, as far as this process has seen it. */
export class Sightings {
  readonly #seen = new Map<string, { reason: string; since: number }>()

  /** Takes note of the newest statuses. */
  note(statuses: readonly ObjectStatus[], now: number): void {
    const gone = new Set(this.#seen.keys())
    for (const { object, ready } of statuses) {
      if (ready.status === 'True' && ready.reason === 'Serving') continue
      const key = objectKey(object)
      gone.delete(key)
      if (this.#seen.get(key)?.reason !== ready.reason) this.#seen.set(key, { reason: ready.reason, since: now })
    }
    for (const key of gone) this.#seen.delete(key)
  }

  since({ object }: ObjectStatus, now: number): number {
    return this.#seen.get(objectKey(object))?.since ?? now
  }
}

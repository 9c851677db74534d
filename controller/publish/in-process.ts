// The publisher of standalone: hands the snapshot to the dataplane of the same process. controller/main.ts is given one.
// It holds the one rule that every publisher holds: sequence numbers only rise.
import type { Snapshot } from '../../model/snapshot.ts'
import type { PodAcknowledgement, Publisher } from './publisher.ts'

/** What the dataplane does with a snapshot; its answer is that of the only pod. */
export type Activate = (snapshot: Snapshot, sequence: number) => Promise<PodAcknowledgement>

/** Publishes by calling `activate`. `onFailure` hears of an activation that failed; the pod is then absent from the answer. */
export function createInProcessPublisher(
  activate: Activate,
  onFailure: (error: unknown) => void = () => undefined,
): Publisher {
  let last = 0
  return {
    async publish(snapshot, sequence) {
      if (sequence <= last) {
        onFailure(new RangeError(`sequence ${sequence} does not rise above ${last}`))
        return []
      }
      last = sequence
      try {
        return [await activate(snapshot, sequence)]
      } catch (error) {
        onFailure(error)
        return []
      }
    },
  }
}

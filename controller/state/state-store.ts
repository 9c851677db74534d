// Where the controller keeps what must outlive it: claims and last good forms. The contract, and the store in memory.
// folder-store.ts keeps the same in files; the loop stores before it publishes and does not care which it has.
import type { Claim, LastGood } from '../../model/resources.ts'

/** What is kept. */
export interface StoredState {
  readonly claims: readonly Claim[]
  readonly lastGood: readonly LastGood[]
}

/** What a load found, and what people should know about it. */
export interface LoadedState extends StoredState {
  /** Whole sentences: a file that could not be read, and what that means. */
  readonly warnings: readonly string[]
}

export interface StateStore {
  /** Never rejects: what cannot be read is a warning, and serving goes on. */
  load(): Promise<LoadedState>
  /** Resolves once the state would survive a crash. Rejects where it could not be written; the loop tries again. */
  save(state: StoredState): Promise<void>
}

/** A store that several replicas share: all read, the one that leads writes. */
export interface SharedStateStore extends StateStore {
  /**
   * This replica leads from now on: whatever a predecessor still writes is refused. Resolves with what is stored. Rejects
   * where that cannot be made sure, with NotLeaderError where a newer leader has been here.
   */
  lead(fence: number): Promise<LoadedState>
  /** This replica leads no more: `save` rejects with NotLeaderError. */
  follow(): void
}

/** Another replica leads. */
export class NotLeaderError extends Error {}

/** A store that forgets with the process. */
export function createMemoryStore(): StateStore {
  let kept: StoredState = { claims: [], lastGood: [] }
  return {
    load: () => Promise.resolve({ ...kept, warnings: [] }),
    save(state) {
      kept = state
      return Promise.resolve()
    },
  }
}

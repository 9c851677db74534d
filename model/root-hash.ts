// One hash for a whole set of named hashes that an edit changes in the time of the edit: a sum over the entries. Pure.
// Publisher and pods compare it to know that they speak of one set. It finds mistakes and losses; it is no proof against
// forgery, and need not be: whoever may say a root is known by certificate.
import type { Digest } from './canonical.ts'
import { tupleKey } from './resources.ts'

/** What a name stands for. */
export type EntryKind = 'shard' | 'pool'

/** The root of nothing. */
export const EMPTY_ROOT = '0'.repeat(64)

const SIZE = 1n << 256n

/** A sum that entries are put into and taken out of, in any order. */
export class RootHash {
  readonly #digest: Digest
  #sum = 0n

  /** @param from the root to go on from. @param digest SHA-256 in hexadecimal. */
  constructor(digest: Digest, from = EMPTY_ROOT) {
    this.#digest = digest
    this.#sum = BigInt(`0x${from}`)
  }

  put(kind: EntryKind, name: string, hash: string): void {
    this.#sum = (this.#sum + this.#entry(kind, name, hash)) % SIZE
  }

  take(kind: EntryKind, name: string, hash: string): void {
    this.#sum = (this.#sum + SIZE - this.#entry(kind, name, hash)) % SIZE
  }

  /** 64 hexadecimal digits. */
  toString(): string {
    return this.#sum.toString(16).padStart(64, '0')
  }

  #entry(kind: EntryKind, name: string, hash: string): bigint {
    return BigInt(`0x${this.#digest(tupleKey([kind, name, hash]))}`)
  }
}

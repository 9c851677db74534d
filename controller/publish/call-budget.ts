// How often one address may ask: a bucket each, a bounded number of buckets. identity.ts asks before it does any work.

/** Tokens of one address. */
interface Bucket {
  tokens: number
  at: number
}

const BURST = 10
/** Milliseconds until a token is back. */
const REFILL = 3_000
const MAX_ADDRESSES = 10_000

/** See the head of this file. */
export class CallBudget {
  readonly #now: () => number
  readonly #buckets = new Map<string, Bucket>()

  /** @param now milliseconds. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Takes a token. Returns the milliseconds to wait where there is none, 0 where there was. */
  take(address: string): number {
    const now = this.#now()
    const known = this.#buckets.get(address)
    const tokens = known === undefined ? BURST : Math.min(BURST, known.tokens + Math.max(0, now - known.at) / REFILL)
    // Put in anew: the first of the map is who was quiet for longest.
    this.#buckets.delete(address)
    this.#buckets.set(address, { tokens: tokens >= 1 ? tokens - 1 : tokens, at: now })
    if (this.#buckets.size > MAX_ADDRESSES) {
      for (const quiet of this.#buckets.keys()) {
        this.#buckets.delete(quiet)
        break
      }
    }
    return tokens >= 1 ? 0 : Math.ceil((1 - tokens) * REFILL)
  }
}

// Notices that the API server answers again after a while in which it did not: whoever waits to try again need not wait
// longer. client.ts keeps one; reflectors listen.

/** Without an answer for this long, in milliseconds, the server was away: a leader asks it every two seconds. */
const AWAY_MS = 5_000

/** See the head of this file. */
export class Reach {
  readonly #now: () => number
  readonly #listeners = new Set<() => void>()
  #answeredAt: number
  #missed = false

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
    this.#answeredAt = now()
  }

  /** Calls back at each return, until the function that is given back is called. */
  onReturn(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** An answer came that is meant for us. */
  answered(): void {
    const now = this.#now()
    const returned = this.#missed && now - this.#answeredAt >= AWAY_MS
    this.#missed = false
    this.#answeredAt = now
    if (returned) for (const listener of [...this.#listeners]) listener()
  }

  /** None came. */
  missed(): void {
    this.#missed = true
  }
}

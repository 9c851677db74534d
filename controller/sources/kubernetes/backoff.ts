// How long to wait after a failure: full jitter, so that many who failed together do not come back together.
// reflector and barrier hold one each; a success resets it.

/** Bounds of a wait, in milliseconds. */
export interface BackoffTiming {
  readonly baseMs: number
  readonly maxMs: number
}

/** Counts failures and draws waits. */
export class Backoff {
  readonly #timing: BackoffTiming
  #failures = 0

  constructor(timing: BackoffTiming) {
    this.#timing = timing
  }

  /** Milliseconds until the next attempt: random below a bound that doubles, never below what the server asked for. */
  next(atLeast = 0): number {
    const bound = Math.min(this.#timing.maxMs, this.#timing.baseMs * 2 ** Math.min(this.#failures, 20))
    this.#failures++
    const drawn = Math.random() * bound
    // On top of what the server asked, so that all who were told the same come spread out.
    return atLeast > 0 ? atLeast + drawn * 0.1 : drawn
  }

  reset(): void {
    this.#failures = 0
  }
}

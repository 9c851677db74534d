// Counts that the whole pod takes part in: places with a bound, requests in flight at an endpoint. Each has a total that
// decides and a column for each worker, so that what a dead worker held can be given back by the main thread.
// Order matters: the total goes up first and comes down last, so a thread that dies in between leaves the total too
// high (the reconciler finds that), never too low.
import type { BoundedCount, EndpointState } from './pod-state.ts'
import {
  ENDPOINT_COLUMNS,
  ENDPOINT_EJECTED,
  ENDPOINT_FAILURES,
  ENDPOINT_TOTAL,
  GENERATION,
  type Layout,
} from './shared-state-layout.ts'
import type { Views } from './shared-state-metrics.ts'

/** A bounded count in shared memory. Places are 32-bit words. */
export class SharedCount implements BoundedCount {
  readonly #words: Int32Array
  readonly #total: number
  readonly #column: number

  constructor(words: Int32Array, places: { readonly total: number; readonly column: number }) {
    this.#words = words
    this.#total = places.total
    this.#column = places.column
  }

  tryAcquire(bound: number | null): boolean {
    const words = this.#words
    if (bound === null) {
      Atomics.add(words, this.#total, 1)
    } else {
      for (;;) {
        const taken = Atomics.load(words, this.#total)
        if (taken >= bound) return false
        if (Atomics.compareExchange(words, this.#total, taken, taken + 1) === taken) break
      }
    }
    Atomics.add(words, this.#column, 1)
    return true
  }

  release(): void {
    Atomics.sub(this.#words, this.#column, 1)
    Atomics.sub(this.#words, this.#total, 1)
  }

  value(): number {
    return Atomics.load(this.#words, this.#total)
  }
}

/** One endpoint's state. A handle whose place went to another endpoint does nothing any more. */
export class SharedEndpoint implements EndpointState {
  readonly address: string
  readonly port: number
  readonly #views: Views
  readonly #at: number
  readonly #generation: number
  readonly #column: number
  readonly #untilAt: number

  constructor(
    address: string,
    port: number,
    views: Views,
    at: number,
    generation: number,
    thread: { readonly layout: Layout; readonly column: number },
  ) {
    this.address = address
    this.port = port
    this.#views = views
    this.#at = at * 2
    this.#generation = generation
    this.#column = at * 2 + ENDPOINT_COLUMNS + thread.column
    this.#untilAt = at + thread.layout.ejectedUntilAt
  }

  isAt(views: Views, at: number, generation: number): boolean {
    return this.#views === views && this.#at === at * 2 && this.#generation === generation
  }

  begin(): void {
    if (!this.#isMine()) return
    Atomics.add(this.#views.words, this.#at + ENDPOINT_TOTAL, 1)
    Atomics.add(this.#views.words, this.#column, 1)
  }

  end(): void {
    if (!this.#isMine()) return
    Atomics.sub(this.#views.words, this.#column, 1)
    Atomics.sub(this.#views.words, this.#at + ENDPOINT_TOTAL, 1)
  }

  inFlight(): number {
    return Atomics.load(this.#views.words, this.#at + ENDPOINT_TOTAL)
  }

  failed(): number {
    return this.#isMine() ? Atomics.add(this.#views.words, this.#at + ENDPOINT_FAILURES, 1) + 1 : 0
  }

  succeeded(): void {
    // Read first: a healthy endpoint's line stays shared between the cores.
    const at = this.#at + ENDPOINT_FAILURES
    if (Atomics.load(this.#views.words, at) !== 0 && this.#isMine()) Atomics.store(this.#views.words, at, 0)
  }

  ejectedUntil(): number {
    if (Atomics.load(this.#views.words, this.#at + ENDPOINT_EJECTED) === 0) return 0
    return Number(Atomics.load(this.#views.longs, this.#untilAt))
  }

  eject(until: number): void {
    if (!this.#isMine()) return
    Atomics.store(this.#views.longs, this.#untilAt, BigInt(Math.ceil(until)))
    Atomics.store(this.#views.words, this.#at + ENDPOINT_EJECTED, until > 0 ? 1 : 0)
  }

  #isMine(): boolean {
    return Atomics.load(this.#views.words, this.#at + GENERATION) === this.#generation
  }
}

// Choice by weight: share = weight / sum, 0 means none (Gateway API, BackendRef weight). One for each rule and worker.
// build.ts makes it; a request that is forwarded asks it once.

/** The fraction of the golden ratio: its multiples fall evenly into any set of intervals (a Weyl sequence). */
const STEP = 0.618_033_988_749_894_8

/**
 * Deals choices evenly: after n of them every share is off by a handful at most, where chance would be off by the square
 * root of n. It starts at a random place, so that neither edits in a row nor many workers favour anybody.
 */
export class WeightedChoice<Value> {
  readonly #values: readonly Value[]
  /** Upper ends of the intervals of [0, 1) that the values hold. */
  readonly #ends: readonly number[]
  #position: number

  constructor(entries: readonly { readonly weight: number; readonly value: Value }[], start: number = Math.random()) {
    const counted = entries.filter((entry) => entry.weight > 0)
    const sum = counted.reduce((total, entry) => total + entry.weight, 0)
    let reached = 0
    this.#values = counted.map((entry) => entry.value)
    this.#ends = counted.map((entry) => {
      reached += entry.weight
      return reached / sum
    })
    this.#position = start
  }

  /** The next value; undefined where no weight is above 0. */
  next(): Value | undefined {
    const position = (this.#position + STEP) % 1
    this.#position = position
    for (let index = 0; index < this.#ends.length; index += 1) {
      if (position < (this.#ends[index] ?? 0)) return this.#values[index]
    }
    return this.#values.at(-1)
  }
}

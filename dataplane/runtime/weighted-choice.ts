// Choice by weight between the backends of a rule: share = weight / sum, 0 means none (Gateway API, BackendRef weight).
// Exact over a cycle and even inside it. One for each rule and worker; a forwarded request asks it once.

/**
 * Deals values by weight. The heaviest value takes its share of all turns at even distances (a Bresenham line); the
 * turns that it leaves are dealt among the others in the same way, and so on. Any run of as many turns as the sum of the
 * weights therefore holds each value exactly as often as its weight says, wherever the run begins.
 *
 * Each line begins at a random place, so that neither edits in a row (each makes a new choice) nor many workers keep a
 * small weight from its turn.
 */
export class WeightedChoice<Value> {
  /** Heaviest first: most turns end at the first comparison. */
  readonly #entries: readonly { readonly weight: number; readonly value: Value }[]
  /** Sum of the weights from an entry on. */
  readonly #sums: readonly number[]
  /** Where each line stands, below its sum. */
  readonly #positions: number[]

  /** Weights are whole numbers; entries of weight 0 are never chosen. `random` gives numbers in [0, 1). */
  constructor(
    entries: readonly { readonly weight: number; readonly value: Value }[],
    random: () => number = Math.random,
  ) {
    this.#entries = entries.filter((entry) => entry.weight > 0).sort((a, b) => b.weight - a.weight)
    let rest = this.#entries.reduce((sum, entry) => sum + entry.weight, 0)
    this.#sums = this.#entries.map((entry) => {
      const sum = rest
      rest -= entry.weight
      return sum
    })
    this.#positions = this.#sums.map((sum) => Math.floor(random() * sum))
  }

  /** The next value; undefined where no weight is above 0. */
  next(): Value | undefined {
    for (let index = 0; index < this.#entries.length; index += 1) {
      const entry = this.#entries[index]
      const sum = this.#sums[index]
      if (entry === undefined || sum === undefined) break
      const position = (this.#positions[index] ?? 0) + entry.weight
      this.#positions[index] = position >= sum ? position - sum : position
      if (position >= sum) return entry.value
    }
    return undefined
  }
}

// Latencies in buckets that grow by 2 %: small, mergeable, and exact enough for a ratio of two percentiles. Pure.
// The traffic process fills one per tenant and second; the demo adds them up over a window.

const SMALLEST = 0.05
const GROWTH = 1.02

/** Counts by bucket, sparse, as sent between processes: bucket, count, bucket, count … */
export type Buckets = readonly number[]

/** Latencies in milliseconds. */
export class Histogram {
  readonly #counts = new Map<number, number>()
  #total = 0

  /** Number of samples. */
  get total(): number {
    return this.#total
  }

  record(milliseconds: number): void {
    this.#put(Math.max(0, Math.ceil(Math.log(milliseconds / SMALLEST) / Math.log(GROWTH))), 1)
  }

  add(buckets: Buckets): void {
    for (let place = 0; place + 1 < buckets.length; place += 2) this.#put(buckets[place] ?? 0, buckets[place + 1] ?? 0)
  }

  buckets(): Buckets {
    return [...this.#counts].flat()
  }

  clear(): void {
    this.#counts.clear()
    this.#total = 0
  }

  /** The latency that `share` of the samples do not exceed, in milliseconds; undefined without samples. */
  percentile(share: number): number | undefined {
    if (this.#total === 0) return undefined
    let left = Math.max(1, Math.ceil(this.#total * share))
    for (const [bucket, count] of [...this.#counts].sort(([a], [b]) => a - b)) {
      left -= count
      if (left <= 0) return SMALLEST * GROWTH ** bucket
    }
    return undefined
  }

  #put(bucket: number, count: number): void {
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + count)
    this.#total += count
  }
}

/** One histogram over many lists of buckets. */
export function merged(lists: readonly Buckets[]): Histogram {
  const whole = new Histogram()
  for (const list of lists) whole.add(list)
  return whole
}

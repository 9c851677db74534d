// The buckets of one limiter by key: open addressing in shared memory, used by all workers at once without a lock.
// An entry is 16 bytes: 64 bits of keyed hash, 64 bits of theoretical arrival time. Tables grow in levels that lie in
// one growable buffer of the tenant, so that memory goes to whoever has many keys, and growth needs no other thread.
import { step, type Rule, type Step } from './gcra.ts'

/** Places that a key may have in a level. All taken by live buckets: the level is full for that key. */
const WINDOW = 16
/** Waits for another thread that is in the middle of an insert: busy first, then a millisecond each. */
const BUSY_ATTEMPTS = 50
const MAX_ATTEMPTS = 66

const ENTRY_BYTES = 16

/** Entries of each level: 256 at first, four times as many in all with each further level, `maxKeys` in the end. */
export function levelSizes(maxKeys: number): readonly number[] {
  const sizes: number[] = []
  for (let total = 0; total < maxKeys; ) {
    const size = Math.min(total === 0 ? 256 : total * 3, maxKeys - total)
    sizes.push(size)
    total += size
  }
  return sizes
}

/** Bytes of a buffer that holds the first `levels` levels of `tables` tables. */
export function arenaBytes(sizes: readonly number[], levels: number, tables: number): number {
  let entries = 0
  for (let level = 0; level < levels; level++) entries += sizes[level] ?? 0
  return entries * tables * ENTRY_BYTES
}

/** Where a table lies: its number among `tables` in the buffer. Levels of all tables lie side by side. */
export interface TablePlace {
  readonly buffer: SharedArrayBuffer
  readonly table: number
  readonly tables: number
  readonly sizes: readonly number[]
  /** The word that holds the number of levels in use, at least 1. */
  readonly levelWord: Int32Array
  readonly levelAt: number
}

/** What a scan for a key found in the whole of its windows. */
interface Scan {
  /** An entry that nobody seems to need, or -1. */
  free: number
  /** The key's own entry, live or expired, or -1. */
  own: number
  /** Lowest entry that another thread is about to give to this key, or -1. */
  claimed: number
}

/**
 * The table of one limiter, as one thread sees it.
 *
 * How two threads that insert one key end in one entry: the arrival time is the word that decides. A thread *claims* a
 * free entry by turning its arrival time into the negative hash of the key (one compare-and-swap, which also proves
 * that nobody has used the entry since), then scans the windows again. Of two threads that claim, at least one sees the
 * other; the one with the higher entry gives up. Only then are hash and first arrival time written.
 */
export class KeyTable {
  readonly #place: TablePlace
  #levels = 0
  /** First entry of each level. */
  #bases: number[] = []
  #words: Int32Array
  #arrivals: BigInt64Array
  readonly #scan: Scan = { free: -1, own: -1, claimed: -1 }

  constructor(place: TablePlace) {
    this.#place = place
    this.#words = new Int32Array(place.buffer)
    this.#arrivals = new BigInt64Array(place.buffer)
  }

  /** Takes one request from the bucket of a key. Undefined: there is no room for the key. */
  take(low: number, high: number, rule: Rule, now: bigint): Step | undefined {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      this.#seeLevels()
      const found = this.#find(low, high)
      const taken = found < 0 ? undefined : this.#consume(found, low, high, rule, now)
      if (taken !== undefined) return taken
      const nowHigh = Number(now >> 32n)
      const nowLow = Number(now & 0xffffffffn)
      this.#survey(low, high, nowHigh, nowLow, -1)
      const { free, own, claimed } = this.#scan
      if (own >= 0) continue
      if (claimed >= 0) {
        this.#pause(attempt)
        continue
      }
      if (free < 0) {
        if (this.#grow()) continue
        return undefined
      }
      const freeArrival = Atomics.load(this.#arrivals, free * 2 + 1)
      if (freeArrival < 0n || freeArrival > now) continue
      const claim = claimOf(low, high)
      if (Atomics.compareExchange(this.#arrivals, free * 2 + 1, freeArrival, claim) !== freeArrival) continue
      if (!this.#isOnly(free, low, high)) {
        this.#abandon(free, freeArrival, claim)
        this.#pause(attempt)
        continue
      }
      Atomics.store(this.#words, free * 4, low)
      Atomics.store(this.#words, free * 4 + 1, high)
      const first = step(rule, 0n, now)
      // Fails only where main took this thread for dead.
      if (Atomics.compareExchange(this.#arrivals, free * 2 + 1, claim, first.next) === claim) return first
    }
    return undefined
  }

  /** Entries that hold a bucket which is not full, for status. */
  live(now: bigint): number {
    this.#seeLevels()
    let live = 0
    for (let level = 0; level < this.#levels; level++) {
      const base = this.#bases[level] ?? 0
      const size = this.#place.sizes[level] ?? 0
      for (let entry = base; entry < base + size; entry++) {
        if (Atomics.load(this.#arrivals, entry * 2 + 1) > now) live++
      }
    }
    return live
  }

  /** Claims in the table as [entry, claim]: main compares two samples and releases those of dead threads. */
  claims(): readonly (readonly [entry: number, claim: bigint])[] {
    this.#seeLevels()
    const claims: [number, bigint][] = []
    for (let level = 0; level < this.#levels; level++) {
      const base = this.#bases[level] ?? 0
      const size = this.#place.sizes[level] ?? 0
      for (let entry = base; entry < base + size; entry++) {
        // The sign is in the upper half: no bigint for each entry.
        if (Atomics.load(this.#words, entry * 4 + 3) >= 0) continue
        const arrival = Atomics.load(this.#arrivals, entry * 2 + 1)
        if (arrival < 0n) claims.push([entry, arrival])
      }
    }
    return claims
  }

  /** Frees an entry whose claimant is dead. */
  releaseClaim(entry: number, claim: bigint): void {
    this.#abandon(entry, 0n, claim)
  }

  /** Empties the table, for the next limiter that gets the place. Only while no thread uses it. */
  clear(): void {
    this.#seeLevels()
    for (let level = 0; level < this.#levels; level++) {
      const base = this.#bases[level] ?? 0
      this.#words.fill(0, base * 4, (base + (this.#place.sizes[level] ?? 0)) * 4)
    }
    Atomics.store(this.#place.levelWord, this.#place.levelAt, 1)
  }

  #pause(attempt: number): void {
    // Nobody notifies this word: the wait is a sleep that lets a descheduled thread finish its insert.
    if (attempt >= BUSY_ATTEMPTS) Atomics.wait(this.#place.levelWord, this.#place.levelAt, this.#levels, 1)
  }

  #seeLevels(): void {
    const levels = Atomics.load(this.#place.levelWord, this.#place.levelAt)
    if (levels === this.#levels) return
    this.#levels = levels
    this.#bases = []
    let entries = 0
    for (let level = 0; level < levels; level++) {
      const size = this.#place.sizes[level] ?? 0
      this.#bases.push(entries + size * this.#place.table)
      entries += size * this.#place.tables
    }
    this.#words = new Int32Array(this.#place.buffer)
    this.#arrivals = new BigInt64Array(this.#place.buffer)
  }

  /** Where the key's hash stands, or -1. Plain reads: whoever uses the entry looks again, and a miss is surveyed. */
  #find(low: number, high: number): number {
    const words = this.#words
    const { sizes } = this.#place
    // The largest level first: most keys of a large table are there.
    for (let level = this.#levels - 1; level >= 0; level--) {
      const size = sizes[level] ?? 0
      const base = this.#bases[level] ?? 0
      let offset = startOf(low, size)
      for (let left = Math.min(size, WINDOW); left > 0; left--) {
        const at = (base + offset) * 4
        if (words[at] === low && words[at + 1] === high) return base + offset
        offset = offset + 1 === size ? 0 : offset + 1
      }
    }
    return -1
  }

  #consume(entry: number, low: number, high: number, rule: Rule, now: bigint): Step | undefined {
    for (;;) {
      // Arrival first: whoever gives the entry to another key changes the arrival before the hash.
      const arrival = Atomics.load(this.#arrivals, entry * 2 + 1)
      if (arrival < 0n) return undefined
      if (Atomics.load(this.#words, entry * 4) !== low || Atomics.load(this.#words, entry * 4 + 1) !== high) {
        return undefined
      }
      const result = step(rule, arrival, now)
      if (!result.allowed) return result
      if (Atomics.compareExchange(this.#arrivals, entry * 2 + 1, arrival, result.next) === arrival) return result
    }
  }

  /**
   * Looks at every place that the key may have, `except` left out. Reads words of 32 bits, because a bigint for each
   * place costs more than all the rest; `free` is a hint that the caller proves.
   */
  #survey(low: number, high: number, nowHigh: number, nowLow: number, except: number): void {
    const scan = this.#scan
    scan.free = -1
    scan.own = -1
    scan.claimed = -1
    const words = this.#words
    const claimHigh = high | SIGN
    for (let level = 0; level < this.#levels; level++) {
      const size = this.#place.sizes[level] ?? 0
      const base = this.#bases[level] ?? 0
      let offset = startOf(low, size)
      for (let left = Math.min(size, WINDOW); left > 0; left--) {
        const entry = base + offset
        offset = offset + 1 === size ? 0 : offset + 1
        if (entry === except) continue
        const at = entry * 4
        // Ordered before the plain reads that follow: an entry is given its hash before its arrival time.
        const arrivalHigh = Atomics.load(words, at + 3)
        if (arrivalHigh < 0) {
          if (arrivalHigh === claimHigh && this.#isClaim(at, claimHigh, low)) {
            if (scan.claimed < 0 || entry < scan.claimed) scan.claimed = entry
          } else if (words[at] === low && words[at + 1] === high && Atomics.load(words, at + 3) >= 0) {
            // A claim that became the key's entry just now.
            scan.own = entry
          }
        } else if (words[at] === low && words[at + 1] === high) {
          scan.own = entry
        } else if (scan.free < 0 && isOver(arrivalHigh, words[at + 2] ?? 0, nowHigh, nowLow)) {
          scan.free = entry
        }
      }
    }
  }

  /** Whether both halves of the arrival time are the claim, at one moment. */
  #isClaim(at: number, claimHigh: number, low: number): boolean {
    return Atomics.load(this.#words, at + 2) === low && Atomics.load(this.#words, at + 3) === claimHigh
  }

  /** Whether the claimed entry may become the key's. Waits for claimants of higher entries to see this one and go. */
  #isOnly(entry: number, low: number, high: number): boolean {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      this.#seeLevels()
      this.#survey(low, high, 0, 0, entry)
      if (this.#scan.own >= 0) return false
      if (this.#scan.claimed < 0) return true
      if (this.#scan.claimed < entry) return false
      this.#pause(attempt)
    }
    return false
  }

  #abandon(entry: number, arrival: bigint, claim: bigint): void {
    // The hash goes first, and the arrival changes: a thread that read the entry before the claim must not succeed.
    Atomics.store(this.#words, entry * 4, 0)
    Atomics.store(this.#words, entry * 4 + 1, 0)
    Atomics.compareExchange(this.#arrivals, entry * 2 + 1, claim, arrival > 0n ? arrival - 1n : 0n)
  }

  #grow(): boolean {
    const levels = this.#levels
    const { buffer, sizes, tables, levelWord, levelAt } = this.#place
    if (levels >= sizes.length) return false
    const bytes = arenaBytes(sizes, levels + 1, tables)
    if (buffer.byteLength < bytes) {
      if (!buffer.growable || buffer.maxByteLength < bytes) return false
      try {
        buffer.grow(bytes)
      } catch {
        // Another thread grew it further meanwhile, or there is no memory: the length tells.
        if (buffer.byteLength < bytes) return false
      }
    }
    Atomics.compareExchange(levelWord, levelAt, levels, levels + 1)
    return true
  }
}

function startOf(low: number, size: number): number {
  return Math.floor(((low >>> 0) / 4_294_967_296) * size)
}

const SIGN = -0x80000000

/** The mark of a claim: the hash with its sign bit set, so negative as no arrival time is. */
function claimOf(low: number, high: number): bigint {
  return (BigInt(high | SIGN) << 32n) | BigInt(low >>> 0)
}

function isOver(high: number, low: number, nowHigh: number, nowLow: number): boolean {
  return high < nowHigh || (high === nowHigh && low >>> 0 <= nowLow)
}

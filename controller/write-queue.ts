// Which object may be written next: rejections first, one write a second for each object, so many a second in all, and
// failures later each time. Holds one entry for each object however often it changes. Pure; monotonic milliseconds are
// parameters. report/kubernetes-writer.ts and grants.ts ask it.

/** How much is written. */
export interface WriteLimits {
  /** Writes a second of all objects together, and at once after a quiet time. */
  readonly perSecond: number
  readonly burst: number
  /** Milliseconds between two writes of one object. */
  readonly objectMs: number
  /** Bounds of the wait after a failure, milliseconds. */
  readonly backoffMs: number
  readonly backoffMostMs: number
}

/** What an install writes at most. */
export const WRITE_LIMITS: WriteLimits = {
  perSecond: 20,
  burst: 20,
  objectMs: 1_000,
  backoffMs: 1_000,
  backoffMostMs: 60_000,
}

/** 0 goes first. */
export type Urgency = 0 | 1 | 2

interface Entry {
  urgency: Urgency
  /** Waiting to be written. */
  waiting: boolean
  busy: boolean
  /** Not before this. */
  notBefore: number
  failures: number
}

/** The queue. */
export class WriteQueue {
  readonly #limits: WriteLimits
  readonly #entries = new Map<string, Entry>()
  readonly #lanes: readonly [Set<string>, Set<string>, Set<string>] = [new Set(), new Set(), new Set()]
  #tokens: number
  #filledAt = 0
  #pausedUntil = 0

  constructor(limits: WriteLimits = WRITE_LIMITS) {
    this.#limits = limits
    this.#tokens = limits.burst
  }

  /** Number of objects that wait. */
  get length(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.size, 0)
  }

  /** The object has something to say. Its newest urgency counts; a wait after a failure is not shortened. */
  add(key: string, urgency: Urgency): void {
    const entry = this.#entry(key)
    if (entry.waiting && entry.urgency !== urgency) this.#lanes[entry.urgency].delete(key)
    entry.urgency = urgency
    entry.waiting = true
    this.#lanes[urgency].add(key)
  }

  /** The object is gone. */
  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#lanes[entry.urgency].delete(key)
    this.#entries.delete(key)
  }

  /** Takes the next object that may be written at `now`, or says how many milliseconds to wait; undefined: nothing waits. */
  take(now: number): { readonly key: string } | { readonly waitMs: number } | undefined {
    if (now < this.#pausedUntil) return this.length === 0 ? undefined : { waitMs: this.#pausedUntil - now }
    let soonest = Number.POSITIVE_INFINITY
    for (const lane of this.#lanes) {
      for (const key of lane) {
        const entry = this.#entries.get(key)
        if (entry === undefined || entry.busy) continue
        if (entry.notBefore > now) {
          soonest = Math.min(soonest, entry.notBefore)
          continue
        }
        const wait = this.#spend(now)
        if (wait > 0) return { waitMs: wait }
        lane.delete(key)
        entry.waiting = false
        entry.busy = true
        return { key }
      }
    }
    return soonest === Number.POSITIVE_INFINITY ? undefined : { waitMs: soonest - now }
  }

  /** Nothing had to be written after all: the write that `take` counted is given back. */
  skipped(key: string): void {
    this.#tokens = Math.min(this.#limits.burst, this.#tokens + 1)
    const entry = this.#entries.get(key)
    if (entry !== undefined) entry.busy = false
  }

  /** A write ended well. */
  done(key: string, now: number): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.busy = false
    entry.failures = 0
    entry.notBefore = now + this.#limits.objectMs
  }

  /** A write failed: the object waits again, longer each time. `random` between 0 and 1. */
  failed(key: string, now: number, random: number): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    const { backoffMs, backoffMostMs, objectMs } = this.#limits
    const bound = Math.min(backoffMostMs, backoffMs * 2 ** Math.min(entry.failures, 16))
    entry.busy = false
    entry.failures++
    entry.notBefore = now + Math.max(objectMs, bound * (0.5 + random / 2))
    this.add(key, entry.urgency)
  }

  /** The server asks all to wait. */
  pause(until: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, until)
  }

  #entry(key: string): Entry {
    const found = this.#entries.get(key)
    if (found !== undefined) return found
    const made: Entry = { urgency: 2, waiting: false, busy: false, notBefore: 0, failures: 0 }
    this.#entries.set(key, made)
    return made
  }

  /** Takes one write of the budget; else the milliseconds until there is one. */
  #spend(now: number): number {
    const { perSecond, burst } = this.#limits
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) / 1_000) * perSecond)
    this.#filledAt = now
    if (this.#tokens >= 1) {
      this.#tokens -= 1
      return 0
    }
    return Math.max(1, Math.ceil(((1 - this.#tokens) / perSecond) * 1_000))
  }
}

// Which object may be written next: rejections first, the tenants in turn, one write a second for each object and fewer
// for one that changes all the time, so many a second in all, and failures later each time. Holds one entry for each
// object however often it changes. Pure; monotonic milliseconds are parameters. report/kubernetes-writer.ts and grants.ts
// ask it.

/** How much is written. */
export interface WriteLimits {
  /** Writes a second of all objects together, and at once after a quiet time. */
  readonly perSecond: number
  readonly burst: number
  /** Milliseconds between two writes of one object. */
  readonly objectMs: number
  /** Of those, what is no news to anybody who waits (urgency 3). Default: no further bound. */
  readonly calm?: { readonly perSecond: number; readonly burst: number }
  /** Bounds of the wait after a failure, milliseconds. */
  readonly backoffMs: number
  readonly backoffMostMs: number
}

/** What an install writes at most. */
export const WRITE_LIMITS: WriteLimits = {
  perSecond: 20,
  burst: 20,
  objectMs: 1_000,
  calm: { perSecond: 5, burst: 20 },
  backoffMs: 1_000,
  backoffMostMs: 60_000,
}

/** 0 goes first. */
export type Urgency = 0 | 1 | 2 | 3

/** The wait of an object that changes all the time doubles up to so many times `objectMs`. */
const MOST_PATIENCE = 8

interface Entry {
  urgency: Urgency
  readonly owner: string
  /** Waiting to be written. */
  waiting: boolean
  busy: boolean
  /** Not before this. */
  notBefore: number
  failures: number
  /** When it was written last. */
  doneAt: number
  /** Writes in a row for which it waited already when its time came. */
  streak: number
}

/** Objects of one urgency that wait: by owner, the next owner first. */
type Lane = Map<string, Set<string>>

/** The queue. */
export class WriteQueue {
  readonly #limits: WriteLimits
  readonly #entries = new Map<string, Entry>()
  readonly #lanes: readonly [Lane, Lane, Lane, Lane] = [new Map(), new Map(), new Map(), new Map()]
  #length = 0
  readonly #all: Bucket
  readonly #calm: Bucket | undefined
  #pausedUntil = 0

  constructor(limits: WriteLimits = WRITE_LIMITS) {
    this.#limits = limits
    this.#all = new Bucket(limits)
    this.#calm = limits.calm === undefined ? undefined : new Bucket(limits.calm)
  }

  /** Number of objects that wait. */
  get length(): number {
    return this.#length
  }

  /**
   * The object has something to say. Its newest urgency counts; a wait after a failure is not shortened.
   * @param owner the tenant: whoever has many objects that wait makes nobody else wait for all of them.
   */
  add(key: string, urgency: Urgency, owner = ''): void {
    const entry = this.#entry(key, owner)
    if (entry.waiting && entry.urgency !== urgency) this.#leave(key, entry)
    entry.urgency = urgency
    if (entry.waiting) return
    entry.waiting = true
    const lane = this.#lanes[urgency]
    const keys = lane.get(entry.owner)
    if (keys === undefined) lane.set(entry.owner, new Set([key]))
    else keys.add(key)
    this.#length++
  }

  /** The object is gone. */
  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#leave(key, entry)
    this.#entries.delete(key)
  }

  /** Takes the next object that may be written at `now`, or says how many milliseconds to wait; undefined: nothing waits. */
  take(now: number): { readonly key: string } | { readonly waitMs: number } | undefined {
    if (now < this.#pausedUntil) return this.length === 0 ? undefined : { waitMs: this.#pausedUntil - now }
    let soonest = Number.POSITIVE_INFINITY
    for (const lane of this.#lanes) {
      for (const [owner, keys] of lane) {
        for (const key of keys) {
          const entry = this.#entries.get(key)
          if (entry === undefined || entry.busy) continue
          const due = this.#dueAt(entry)
          if (due > now) {
            soonest = Math.min(soonest, due)
            continue
          }
          const wait = this.#spend(entry.urgency, now)
          if (wait > 0) return { waitMs: Math.min(wait, soonest - now) }
          this.#leave(key, entry)
          // Behind all others.
          if (lane.delete(owner) && keys.size > 0) lane.set(owner, keys)
          entry.busy = true
          const { objectMs } = this.#limits
          entry.streak = now - due < objectMs ? entry.streak + 1 : 0
          return { key }
        }
      }
    }
    return soonest === Number.POSITIVE_INFINITY ? undefined : { waitMs: soonest - now }
  }

  /** Nothing had to be written after all: the write that `take` counted is given back. */
  skipped(key: string): void {
    this.#all.give()
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.busy = false
    if (entry.urgency === 3) this.#calm?.give()
  }

  /** A write ended well. */
  done(key: string, now: number): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.busy = false
    entry.failures = 0
    entry.doneAt = now
    entry.notBefore = now + this.#limits.objectMs * Math.min(2 ** Math.min(entry.streak, 16), MOST_PATIENCE)
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
    this.add(key, entry.urgency, entry.owner)
  }

  /** The server asks all to wait. */
  pause(until: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, until)
  }

  #entry(key: string, owner: string): Entry {
    const found = this.#entries.get(key)
    if (found?.owner === owner) return found
    if (found?.waiting === true) this.#leave(key, found)
    const fresh = { urgency: 2, waiting: false, busy: false, failures: 0, streak: 0 } as const
    const never = Number.NEGATIVE_INFINITY
    const made: Entry = { ...fresh, notBefore: never, doneAt: never, ...found, owner }
    this.#entries.set(key, made)
    return made
  }

  #leave(key: string, entry: Entry): void {
    if (!entry.waiting) return
    entry.waiting = false
    this.#length--
    const lane = this.#lanes[entry.urgency]
    const keys = lane.get(entry.owner)
    keys?.delete(key)
    if (keys?.size === 0) lane.delete(entry.owner)
  }

  /** A rejection does not wait for the patience that other news has. */
  #dueAt({ urgency, notBefore, failures, doneAt }: Entry): number {
    return urgency === 0 && failures === 0 ? Math.min(notBefore, doneAt + this.#limits.objectMs) : notBefore
  }

  /** Takes one write of the budget; else the milliseconds until there is one. */
  #spend(urgency: Urgency, now: number): number {
    const calm = urgency === 3 ? this.#calm : undefined
    const wait = Math.max(this.#all.waitAt(now), calm?.waitAt(now) ?? 0)
    if (wait > 0) return wait
    this.#all.take()
    calm?.take()
    return 0
  }
}

/** So many a second, and some at once after a quiet time. */
class Bucket {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #filledAt = 0

  constructor({ perSecond, burst }: { readonly perSecond: number; readonly burst: number }) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
  }

  /** Milliseconds until one can be taken. */
  waitAt(now: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filledAt) / 1_000) * this.#perSecond)
    this.#filledAt = now
    return this.#tokens >= 1 ? 0 : Math.max(1, Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1_000))
  }

  take(): void {
    this.#tokens -= 1
  }

  give(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + 1)
  }
}

// One coarse timer for everything that can time out on a connection. No timer is made for a request or a chunk: it is set
// again only where a new deadline comes before it; otherwise it fires, asks when the deadline is by now, and goes on for
// the rest. connection.ts owns one.

/** setTimeout takes no more than 31 bits. */
const MAX_TIMER_MS = 2_147_483_647

/** Calls `expire` once the time that `due` gives has come. All times in monotonic milliseconds. */
export class Deadline {
  readonly #now: () => number
  readonly #due: (now: number) => number
  readonly #expire: () => void
  #timer: NodeJS.Timeout | undefined = undefined
  #timerAt = Number.POSITIVE_INFINITY

  /** `due` may give Infinity: nothing can time out. `expire` may call `clear`. */
  constructor(now: () => number, due: (now: number) => number, expire: () => void) {
    this.#now = now
    this.#due = due
    this.#expire = expire
  }

  /** The deadline may have come nearer. */
  look(now: number): void {
    const due = this.#due(now)
    if (due >= this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = due
    // The next whole millisecond, so that it never fires just before its time.
    this.#timer = setTimeout(() => this.#tick(), Math.min(Math.ceil(due - now) + 1, MAX_TIMER_MS))
    this.#timer.unref()
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#timerAt = Number.POSITIVE_INFINITY
  }

  #tick(): void {
    this.#timer = undefined
    this.#timerAt = Number.POSITIVE_INFINITY
    const now = this.#now()
    if (this.#due(now) <= now) this.#expire()
    this.look(this.#now())
  }
}

// One open watch: who ended it and why, how much it said, and the guard against silence. And what it is to a reflector
// when a round of list or watch did not end well. reflector.ts makes one for each watch that it opens.

/** How a round ended, when not well, and what to wait for before the next. */
export class RoundFailure extends Error {
  /** Milliseconds that the server asked to wait. */
  readonly retryAfterMs: number
  readonly wait: 'backoff' | 'none' | 'absent' | 'disbelief'

  constructor(message: string, wait: RoundFailure['wait'] = 'backoff', retryAfterMs = 0) {
    super(message)
    this.retryAfterMs = retryAfterMs
    this.wait = wait
  }
}

/** A watch from its request to its end. */
export class WatchRound {
  /** Resolves where the server, the guard or the reflector itself ended it; rejects where it failed. */
  readonly ended: Promise<void>
  readonly #silenceMs: number
  readonly #startedAt = performance.now()
  #finish: { resolve: () => void; reject: (error: unknown) => void } | undefined
  #close: (() => void) | undefined
  #heardAt = performance.now()
  #timer: NodeJS.Timeout | undefined
  done = false
  lines = 0
  /** Had an event, not bookmarks only. */
  busy = false
  /** Its version moved. */
  progressed = false
  /** Ended by the guard. */
  silent = false
  /** Ended by the reflector. */
  interrupted = false

  constructor(silenceMs: number) {
    this.#silenceMs = silenceMs
    this.ended = new Promise((resolve, reject) => {
      this.#finish = { resolve, reject }
    })
    // The head may fail first, and then nobody waits for this.
    this.ended.catch(() => undefined)
  }

  /** Milliseconds since the request. */
  get livedMs(): number {
    return performance.now() - this.#startedAt
  }

  /** Lines can come; `close` ends the stream. */
  open(close: () => void): void {
    this.#close = close
    if (this.done) close()
    else this.#guard(this.#silenceMs)
  }

  heard(): void {
    this.lines++
    this.#heardAt = performance.now()
  }

  interrupt(): void {
    if (!this.done) this.interrupted = true
    this.end(undefined)
  }

  end(failure: Error | undefined): void {
    if (this.done) return
    this.done = true
    if (failure === undefined) this.#finish?.resolve()
    else this.#finish?.reject(failure)
    this.close()
  }

  close(): void {
    this.done = true
    clearTimeout(this.#timer)
    this.#close?.()
  }

  #guard(wait: number): void {
    this.#timer = setTimeout(() => {
      const left = this.#heardAt + this.#silenceMs - performance.now()
      if (left > 0) {
        this.#guard(left)
        return
      }
      this.silent = true
      this.end(undefined)
    }, wait)
    this.#timer.unref()
  }
}

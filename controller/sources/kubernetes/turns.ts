// Who may ask the API server next: a rate and a number at once for each key, a number at once over all. The barrier
// takes a turn for each round, so that one tenant's edits take nothing from another's. A turn that did much is charged
// more: whoever edits all the time gets it done in few large rounds, whoever edits now and then at once.

/** Bounds. */
export interface TurnLimits {
  /** Milliseconds between two turns of one key, once its burst is used up. */
  readonly everyMs: number
  /** The most that one turn is charged, in turns. */
  readonly heaviest: number
  readonly burst: number
  readonly perKey: number
  readonly overall: number
}

interface Key {
  running: number
  /** When the bucket of the key is full again, in the milliseconds of `performance.now()`. */
  fullAt: number
  readonly waiting: (() => void)[]
  timer: NodeJS.Timeout | undefined
}

/** Hands out turns. */
export class Turns {
  readonly #limits: () => TurnLimits
  readonly #keys = new Map<string, Key>()
  #running = 0

  /** @param limits those of the moment. */
  constructor(limits: () => TurnLimits) {
    this.#limits = limits
  }

  /** Whether a key has used up its turns for now, whatever others do. */
  isOut(name: string): boolean {
    const { everyMs, burst } = this.#limits()
    const key = this.#keys.get(name)
    return key !== undefined && performance.now() < key.fullAt - (burst - 1) * everyMs
  }

  /** Resolves with the function that gives the turn back, told how many things were done in it. */
  take(name: string): Promise<(done?: number) => void> {
    const key = this.#keys.get(name) ?? { running: 0, fullAt: 0, waiting: [], timer: undefined }
    this.#keys.set(name, key)
    return new Promise((resolve) => {
      key.waiting.push(() => resolve((done = 1) => this.#giveBack(name, key, done)))
      this.#serve(name, key)
    })
  }

  #giveBack(name: string, key: Key, done: number): void {
    const { everyMs, heaviest } = this.#limits()
    key.fullAt += (Math.min(Math.max(done, 1), heaviest) - 1) * everyMs
    key.running--
    this.#running--
    this.#serve(name, key)
    // Others may have waited for the overall number only; those who waited longest stand first in the map.
    for (const [other, each] of this.#keys) {
      if (this.#running >= this.#limits().overall) break
      if (each !== key) this.#serve(other, each)
    }
  }

  #serve(name: string, key: Key): void {
    const { everyMs, burst, perKey, overall } = this.#limits()
    while (key.waiting.length > 0 && key.running < perKey && this.#running < overall) {
      const now = performance.now()
      const allowedAt = key.fullAt - (burst - 1) * everyMs
      if (now < allowedAt) {
        key.timer ??= setTimeout(() => {
          key.timer = undefined
          this.#serve(name, key)
        }, allowedAt - now)
        return
      }
      key.fullAt = Math.max(now, key.fullAt) + everyMs
      key.running++
      this.#running++
      key.waiting.shift()?.()
    }
    if (key.waiting.length > 0) return
    // Forgotten once its bucket is full, so that keys do not pile up; the next turn would begin the same.
    if (key.running === 0 && performance.now() >= key.fullAt) this.#keys.delete(name)
  }
}

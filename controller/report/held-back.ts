// Statuses that are held back because they will most likely say something else in a moment: a push that is under way
// says "not yet on that pod" for some 20 ms, and whoever reads a status has no use for that. Pure; monotonic
// milliseconds are parameters. kubernetes-writer.ts keeps one.

/** Keys, and since when each is held back. */
export class HeldBack {
  readonly #patienceMs: number
  /** Oldest first. */
  readonly #since = new Map<string, number>()
  /** Those whose time is over, until they say something else. */
  readonly #over = new Set<string>()

  /** @param patienceMs what lasts for longer is told. */
  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs
  }

  /** Whether a key is held back: from the first question on, until `due` has named it. */
  holds(key: string, now: number): boolean {
    if (this.#over.has(key)) return false
    if (!this.#since.has(key)) this.#since.set(key, now)
    return true
  }

  /** It says something else, or it is gone. */
  letGo(key: string): void {
    this.#since.delete(key)
    this.#over.delete(key)
  }

  clear(): void {
    this.#since.clear()
    this.#over.clear()
  }

  /** Those that were held for long enough; they are not held any more. */
  due(now: number): readonly string[] {
    const due: string[] = []
    for (const [key, since] of this.#since) {
      if (now - since < this.#patienceMs) break
      due.push(key)
      this.#since.delete(key)
      this.#over.add(key)
    }
    return due
  }

  /** Milliseconds until the next is due; undefined where none is held. */
  waitMs(now: number): number | undefined {
    for (const since of this.#since.values()) return Math.max(0, since + this.#patienceMs - now)
    return undefined
  }
}

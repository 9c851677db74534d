// Waits that end by time, or all at once when somebody says so. barrier.ts rests between tries with one, source.ts waits
// for a watch to get further with another.

/** Waits of one owner. */
export class Pauses {
  readonly #ends = new Set<() => void>()

  /** Resolves after so many milliseconds, or with `end`. */
  wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        this.#ends.delete(end)
        resolve()
      }
      const timer = setTimeout(end, milliseconds)
      this.#ends.add(end)
    })
  }

  /** Ends all of them now. */
  end(): void {
    for (const end of [...this.#ends]) end()
  }
}

// One at a time, first come first served: whoever takes the turn gets a function that gives it back. activation.ts uses
// it; nothing here knows what is done in the turn.

/** See the head of this file. */
export class Turn {
  #last: Promise<void> = Promise.resolve()

  /** Resolves when it is the caller's turn. Call what it gives exactly once, whatever happens. */
  async take(): Promise<() => void> {
    const before = this.#last
    let done: () => void = () => {}
    this.#last = new Promise((resolve) => {
      done = resolve
    })
    await before
    return done
  }
}

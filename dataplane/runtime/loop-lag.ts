// How long the event loop of a thread was held up: every turn is measured, so a stall is seen in full, and a quiet loop
// is not woken for it. Each worker has one, and the main thread has one.
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** See the head of this file. */
export class LoopLag {
  readonly #delay = monitorEventLoopDelay({ samplePerIteration: true })

  /** Measures from here on. */
  start(): void {
    this.#delay.enable()
  }

  /** Seconds of the longest turn since this was asked last. */
  take(): number {
    const seconds = this.#delay.count === 0 ? 0 : this.#delay.max / 1e9
    this.#delay.reset()
    return seconds
  }

  stop(): void {
    this.#delay.disable()
  }
}

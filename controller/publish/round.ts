// One publication to many pods: a position in time, and the barrier at which pods that are ready wait for each other, so
// that a set becomes active everywhere at nearly one moment; what little changed for few waits for nobody. A late pod holds
// nobody up. http-publisher.ts makes them.
import type { Position } from '../../model/push.ts'

/** Milliseconds for which the first pod that is ready waits for the others. */
const BARRIER = 50
/** Milliseconds after the first pod is active: what is later is told later. */
const PATIENCE = 100
/** Milliseconds after which nobody waits for the round any more, whatever comes of it. */
const GIVE_UP = 10_000

/** See the head of this file. */
export class Round {
  readonly position: Position
  readonly opened: Promise<void>
  /** Resolves when every pod that was waited for is done, or late. */
  readonly over: Promise<void>
  /** Whether there is a newer one. */
  isSuperseded = false
  readonly #unready: Set<string>
  readonly #unsettled: Set<string>
  readonly #timers = new Set<NodeJS.Timeout>()
  #open: () => void = () => {}
  #end: () => void = () => {}

  /** @param uids the pods that are likely to answer. */
  constructor(position: Position, uids: Iterable<string>) {
    this.position = position
    this.#unready = new Set(uids)
    this.#unsettled = new Set(this.#unready)
    this.opened = new Promise((resolve) => {
      this.#open = resolve
    })
    this.over = new Promise((resolve) => {
      this.#end = resolve
    })
    if (this.#unsettled.size === 0) this.finish()
    else this.#after(GIVE_UP, () => this.finish())
  }

  /** A pod has everything. Resolves when it may activate. */
  async ready(uid: string): Promise<void> {
    this.#unready.delete(uid)
    if (this.#unready.size === 0) this.#open()
    else this.#after(BARRIER, () => this.#open())
    await this.opened
  }

  /** A pod is active, or failed, or is not there any more. */
  settle(uid: string, active: boolean): void {
    this.#unready.delete(uid)
    if (this.#unready.size === 0) this.#open()
    if (!this.#unsettled.delete(uid)) return
    if (this.#unsettled.size === 0) this.finish()
    else if (active) this.#after(PATIENCE, () => this.finish())
  }

  /** Nobody waits any more. */
  finish(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    this.#open()
    this.#end()
  }

  #after(milliseconds: number, run: () => void): void {
    this.#timers.add(setTimeout(run, milliseconds))
  }
}

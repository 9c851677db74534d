// How a run of the demo ends: its time is over, a signal, or a key. One promise for all of them.
import { EXIT_CODES } from '../bin/exit.ts'

/** Resolves with the exit code of whatever comes first. `stop` is for keys. */
export interface Ending {
  readonly ended: Promise<number>
  stop(code: number): void
  /** From now on, at most so many milliseconds; undefined: no end. */
  startClock(forMs: number | undefined): void
}

/** Listens for Ctrl-C and SIGTERM. A second signal ends the process at once. */
export function createEnding(): Ending {
  const { promise, resolve } = Promise.withResolvers<number>()
  let timer: NodeJS.Timeout | undefined
  const stop = (code: number) => {
    clearTimeout(timer)
    resolve(code)
  }
  for (const [signal, code] of [
    ['SIGINT', EXIT_CODES.interrupted],
    ['SIGTERM', EXIT_CODES.terminated],
    ['SIGHUP', 129],
  ] as const) {
    process.once(signal, () => {
      process.once(signal, () => process.exit(code))
      stop(code)
    })
  }
  return {
    ended: promise,
    stop,
    startClock(forMs) {
      if (forMs !== undefined) timer = setTimeout(() => resolve(EXIT_CODES.done), forMs)
    },
  }
}

/**
 * Switches the noise on after a third of the time and off after three quarters: what is usual is measured on both sides of it, so
 * that a machine that gets slower or faster meanwhile does not count as noise. Returns how to call it off.
 */
export function scheduleNoise(forMs: number, toggle: () => void): () => void {
  const timers = [0.33, 0.75].map((share) => setTimeout(toggle, forMs * share))
  return () => {
    for (const timer of timers) clearTimeout(timer)
  }
}

// How a verb that runs until it is told to stop hears that. Signals are handled only once it asks.
import { EXIT_CODES } from './exit.ts'

/** Resolves with the exit code of the first SIGTERM or SIGINT; the next one ends the process at once. */
export function firstSignal(): Promise<number> {
  return new Promise((resolve) => {
    const listen = (signal: 'SIGTERM' | 'SIGINT', code: number) => {
      process.once(signal, () => {
        for (const each of ['SIGTERM', 'SIGINT'] as const) {
          process.removeAllListeners(each)
          process.once(each, () => process.exit(code))
        }
        resolve(code)
      })
    }
    listen('SIGTERM', EXIT_CODES.terminated)
    listen('SIGINT', EXIT_CODES.interrupted)
  })
}

// Says in the log that something cannot be read from the API server, and that all can be read again: each problem once
// until then, however often it comes and goes. Looks at the watches by itself, because the loop may wait for the API server
// too. controller/cluster.ts starts one.
import type { WatchStatus } from '../sources/kubernetes/watch-status.ts'

const LOOK_MS = 2_000
/** What fails for less is no trouble: milliseconds. */
const TELL_AFTER_MS = 10_000
/** So many in one stretch of trouble; the metrics count the others. */
const MAX_TOLD = 50

export interface SourceTroubleOptions {
  readonly watches: () => readonly WatchStatus[]
  readonly note: (event: string, fields: Readonly<Record<string, unknown>>) => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Looks at the watches now and then until `stop`; `look` does so at once. */
export function createSourceTrouble({ watches, note, now }: SourceTroubleOptions): { look(): void; stop(): void } {
  const told = new Set<string>()
  let since = Number.POSITIVE_INFINITY
  const look = () => {
    const failing = watches().filter(({ problem }) => problem !== undefined)
    if (failing.length === 0) {
      if (told.size > 0) note('source.working', { failedSeconds: Math.round((now() - since) / 1_000) })
      told.clear()
      since = Number.POSITIVE_INFINITY
      return
    }
    for (const { problem = '', failingSince = now() } of failing) {
      since = Math.min(since, failingSince)
      if (now() - failingSince < TELL_AFTER_MS || told.has(problem) || told.size >= MAX_TOLD) continue
      told.add(problem)
      note('source.failing', { problem })
    }
  }
  const timer = setInterval(look, LOOK_MS)
  timer.unref()
  return { look, stop: () => clearInterval(timer) }
}

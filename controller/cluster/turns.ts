// Runs a piece of work at once when it is asked for, and then at most once in a while however often it is asked for
// again. controller/cluster.ts judges and reports by it, so that a busy neighbour's edits are told together.

/** A pause is so many times as long as the work before it. */
const SHARE = 9

/** Work that is done in turns. */
export interface Turns {
  /** There is something to do. */
  ask(): void
  /** Does what was asked for now, whatever the pause. */
  flush(): void
  stop(): void
}

/**
 * `pauseMs`: least between the end of a turn and the next; work that takes long pauses for longer, so that it never takes
 * more than a tenth of the time. The work must not throw.
 */
export function createTurns(pauseMs: number, work: () => void): Turns {
  let asked = false
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  const turn = () => {
    timer = undefined
    if (!asked || stopped) return
    asked = false
    const began = performance.now()
    work()
    timer = setTimeout(turn, Math.max(pauseMs, SHARE * (performance.now() - began)))
    timer.unref()
  }
  return {
    ask() {
      asked = true
      if (timer === undefined && !stopped) timer = setTimeout(turn, 0)
    },
    flush() {
      if (!asked) return
      clearTimeout(timer)
      turn()
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}

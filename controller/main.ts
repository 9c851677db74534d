// Composition root of the controller: joins a source, the loop, a publisher and the report. bin/ and tests call it;
// choosing the mode is choosing what is handed in.
import { createConsoleWriter, type ConsoleWriterOptions } from './report/console-writer.ts'
import type { ObjectStatus } from './report/conditions.ts'
import { StatusBook } from './report/status-book.ts'
import { type Clock, createLoop, type Loop, type LoopState } from './loop.ts'
import type { CompileSettings } from './compile/compile-types.ts'
import type { Publisher } from './publish/publisher.ts'
import type { Source } from './sources/source.ts'
import { createFolderStore } from './state/folder-store.ts'
import { createMemoryStore } from './state/state-store.ts'

export interface ControllerOptions {
  readonly source: Source
  readonly publisher: Publisher
  readonly settings: CompileSettings
  /** Folder for claims and last good forms (`--state DIR`). Without: in memory. */
  readonly stateFolder?: string
  /** Milliseconds a released host stays with its former tenant. Default: 24 h with a state folder, 0 without. */
  readonly hostTransferDelay?: number
  /** Where changes of conditions are printed. Without: nowhere. */
  readonly console?: Pick<ConsoleWriterOptions, 'write' | 'format' | 'layout'>
  /** Called after every cycle with all that is known. */
  readonly onCycle?: (state: LoopState) => void
  /** Called for what goes wrong inside the controller. One sentence. */
  readonly warn?: (message: string, error?: unknown) => void
  readonly clock?: Clock
}

export interface Controller {
  readonly loop: Loop
  /** The status of every object, judged now. Cheap where little changed. */
  statuses(): readonly ObjectStatus[]
  stop(): Promise<void>
}

const DAY_MS = 86_400_000

/** Starts the controller; resolves once the first snapshot was offered to the dataplane. Rejects where the source does. */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const { source, publisher, settings, stateFolder } = options
  const clock = options.clock ?? { now: () => Date.now(), monotonic: () => performance.now() }
  const writer =
    options.console === undefined
      ? undefined
      : createConsoleWriter({
          ...options.console,
          locate: (object, path) => source.locate(object, path),
          now: clock.now,
        })
  const book = new StatusBook()
  const statusesOf = (state: LoopState | undefined) =>
    state === undefined
      ? []
      : book.update({
          partitions: state.resources.partitions,
          result: state.result,
          sourceIssues: state.source.problems.flatMap((problem) => problem.issue ?? []),
          acknowledgements: state.acknowledgements,
          now: clock.now(),
        })
  const loop = createLoop({
    source,
    publisher,
    settings,
    clock,
    store: stateFolder === undefined ? createMemoryStore() : createFolderStore(stateFolder),
    hostTransferDelay: options.hostTransferDelay ?? (stateFolder === undefined ? 0 : DAY_MS),
    report(state) {
      writer?.report({
        statuses: statusesOf(state),
        problems: state.source.problems,
        notes: state.source.notes ?? [],
      })
      options.onCycle?.(state)
    },
    warn: options.warn ?? (() => undefined),
  })
  await loop.start()
  return { loop, statuses: () => statusesOf(loop.state()), stop: () => loop.stop() }
}

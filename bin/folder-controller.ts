// The controller half of standalone: folders as the source, compiled, handed to the dataplane in the same process.
// bin/standalone.ts reads this file while the worker threads read theirs.
import type { LoopState } from '../controller/loop.ts'
import { type Controller, type ControllerOptions, startController } from '../controller/main.ts'
import { createInProcessPublisher } from '../controller/publish/in-process.ts'
import { createFileSource } from '../controller/sources/file/file-source.ts'
import type { Source } from '../controller/sources/source.ts'
import type { Dataplane } from '../dataplane/main.ts'
import { createDigest } from '../peer/digest.ts'
import { POLICIES } from '../policies/index.ts'

/** Whom to tell. */
export interface StandaloneListeners {
  /** What became of objects: `format` and `layout` decide how it reads. Without: nobody. */
  readonly report?: NonNullable<ControllerOptions['console']>
  readonly onCycle?: (state: LoopState) => void
  /** What an operator should know, one sentence, with its cause for those who want to know more. */
  readonly warn: (message: string, error?: unknown) => void
}

/** What to compile, and for whom. */
export interface FolderControllerOptions {
  readonly folders: readonly string[]
  readonly allowEndpoints: readonly string[]
  /** Where Atrium itself listens. */
  readonly ownAddresses: readonly string[]
  readonly stateFolder: string | undefined
  readonly dataplane: Pick<Dataplane, 'activate'>
}

/** Resolves when the first configuration is active. */
export async function startFolderController(
  options: FolderControllerOptions,
  listeners: StandaloneListeners,
): Promise<{ readonly controller: Controller; readonly source: Source }> {
  const { folders, allowEndpoints, ownAddresses, stateFolder, dataplane } = options
  const source = createFileSource({ folders })
  const controller = await startController({
    source,
    publisher: createInProcessPublisher(
      (snapshot, sequence) => dataplane.activate(snapshot, sequence),
      (error) => listeners.warn('A change could not be made active.', error),
    ),
    settings: { digest: createDigest(), policies: POLICIES, allowEndpoints, ownAddresses },
    ...(stateFolder === undefined ? {} : { stateFolder }),
    ...(listeners.report === undefined ? {} : { console: listeners.report }),
    ...(listeners.onCycle === undefined ? {} : { onCycle: listeners.onCycle }),
    warn: listeners.warn,
  })
  return { controller, source }
}

// The demo: the real gateway on examples/demo, backends and clients around it, and the screen. Composition root.
// bin/commands/demo.ts calls it; the promise is the exit code.
import { join, relative } from 'node:path'
import { CommandFailure, EXIT_CODES } from '../bin/exit.ts'
import type { Terminal } from '../bin/terminal.ts'
import { Backends } from './backends.ts'
import { createEnding } from './endings.ts'
import type { DemoGateway } from './gateway.ts'
import { runPlain } from './plain.ts'
import { BACKENDS } from './plan.ts'
import type { DemoRun } from './run.ts'
import { runScreen } from './terminal-run.ts'
import { DemoWorld } from './world.ts'

/** What the person asked for. */
export interface DemoOptions {
  readonly version: string
  /** Starts the gateway on these folders, complete once `written` resolves; ports are settled by the caller. */
  readonly startGateway: (folders: readonly string[], written: Promise<void>) => Promise<DemoGateway>
  /** Stop after this many milliseconds. */
  readonly forMs: number | undefined
  /** Flood half of the time, and let the isolation line decide about the exit code. */
  readonly noisy: boolean
  /** Draw on the terminal. */
  readonly screen: boolean
}

const FOLDER = join(import.meta.dirname, '..', 'examples', 'demo')

/** Runs the demo until `forMs` has passed or somebody ends it. */
export async function runDemo(options: DemoOptions, terminal: Terminal): Promise<number> {
  // First of all, so that a signal while it starts leaves nothing behind.
  const ending = createEnding()
  const backends = new Backends()
  const world = await DemoWorld.create()
  let gateway: DemoGateway | undefined
  try {
    const written = Promise.all(BACKENDS.map((plans) => backends.start(plans))).then((all) =>
      world.writeEndpoints(all.flat()),
    )
    // Where the gateway cannot start the backends are stopped while they start, and nobody asks any more.
    written.catch(() => {})
    gateway = await options.startGateway([FOLDER, world.folder], written)
    const folder = shortest(FOLDER)
    const run: DemoRun = {
      version: options.version,
      // The process's own age, so that reading the program counts too.
      readySeconds: performance.now() / 1000,
      gateway,
      ending,
      folder,
      session: {
        gateway,
        backends,
        world,
        configFlags: `--config ${folder} --config ${world.folder} --allow-endpoints 127.0.0.0/8`,
      },
      forMs: options.forMs,
      noisy: options.noisy,
    }
    return options.screen ? await runScreen(run, terminal) : await runPlain(run, terminal)
  } catch (error) {
    if (error instanceof CommandFailure || !(error instanceof Error)) throw error
    throw new CommandFailure(EXIT_CODES.usage, `the demo could not start: ${error.message}`)
  } finally {
    backends.stop()
    await gateway?.stop()
    await world.remove()
  }
}

function shortest(path: string): string {
  const near = relative(process.cwd(), path)
  return near.length < path.length && near !== '' ? near : path
}

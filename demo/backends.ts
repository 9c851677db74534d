// The demo's backends as child processes, one per endpoint: started on free ports, killed and brought back by `b`.
import { type ChildProcess, fork } from 'node:child_process'
import { extname, join } from 'node:path'
import type { BackendPlan } from './plan.ts'

const ENTRY = join(import.meta.dirname, `backend${extname(import.meta.filename)}`)
const SMALL = ['--max-old-space-size=64', '--max-semi-space-size=1']

/** A backend that has said where it listens. */
export interface RunningBackend {
  readonly plan: BackendPlan
  readonly port: number
}

/** The child processes. */
export class Backends {
  readonly #children = new Map<string, ChildProcess>()
  readonly #running = new Map<string, RunningBackend>()

  /** Starts a backend, on the port it had before where that is still free. Rejects where the process cannot start. */
  async start(plan: BackendPlan): Promise<RunningBackend> {
    const before = this.#running.get(plan.name)?.port ?? 0
    const port = await this.#spawn(plan, before).catch((error: unknown) => {
      if (before === 0) throw error
      return this.#spawn(plan, 0)
    })
    const running = { plan, port }
    this.#running.set(plan.name, running)
    return running
  }

  /** Kills a backend as a crash would. Returns its process id, undefined where none of that name runs. */
  kill(name: string): number | undefined {
    const child = this.#children.get(name)
    this.#children.delete(name)
    child?.kill('SIGKILL')
    return child?.pid
  }

  /** All that were started, dead ones included: a crash does not change what Kubernetes says at once. */
  running(): readonly RunningBackend[] {
    return [...this.#running.values()]
  }

  alive(name: string): boolean {
    return this.#children.has(name)
  }

  stop(): void {
    for (const name of [...this.#children.keys()]) this.kill(name)
  }

  #spawn(plan: BackendPlan, port: number): Promise<number> {
    const child = fork(ENTRY, [plan.name, String(port), String(plan.streams)], {
      execArgv: SMALL,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    return new Promise((resolve, reject) => {
      child.once('message', (message: { port?: number; failed?: string }) => {
        if (message.port === undefined) return reject(new Error(`${plan.name}: ${message.failed ?? 'failed'}`))
        this.#children.set(plan.name, child)
        resolve(message.port)
      })
      child.once('error', reject)
      child.once('exit', () => {
        if (this.#children.get(plan.name) === child) this.#children.delete(plan.name)
        reject(new Error(`${plan.name} ended`))
      })
    })
  }
}

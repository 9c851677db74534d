// The demo's backends as child processes: started on free ports, killed and brought back by `b`.
import { type ChildProcess, fork } from 'node:child_process'
import { extname, join } from 'node:path'
import type { BackendPlan } from './plan.ts'

const ENTRY = join(import.meta.dirname, `backend${extname(import.meta.filename)}`)
const SMALL = ['--max-old-space-size=64', '--max-semi-space-size=1']

/** What a process is told to be. Port 0 for any that is free. */
export interface BackendRole {
  readonly name: string
  readonly port: number
  readonly streams: number
}

/** A backend that has said where it listens. */
export interface RunningBackend {
  readonly plan: BackendPlan
  readonly port: number
}

/** What a process says once it listens, or why it cannot. Ports in the order of the roles. */
type Said = { readonly ports: readonly number[] } | { readonly failed: string }

/** The child processes. */
export class Backends {
  readonly #children = new Map<string, ChildProcess>()
  readonly #running = new Map<string, RunningBackend>()

  /**
   * Starts one process for these backends, on the ports they had before where those are still free. Rejects where it
   * cannot start.
   */
  async start(plans: readonly BackendPlan[]): Promise<readonly RunningBackend[]> {
    const before = plans.map(({ name }) => this.#running.get(name)?.port ?? 0)
    const ports = await this.#spawn(plans, before).catch((error: unknown) => {
      if (before.every((port) => port === 0)) throw error
      return this.#spawn(
        plans,
        plans.map(() => 0),
      )
    })
    const running = plans.map((plan, place) => ({ plan, port: ports[place] ?? 0 }))
    for (const each of running) this.#running.set(each.plan.name, each)
    return running
  }

  /** Kills the process of a backend as a crash would. Returns its id, undefined where none of that name runs. */
  kill(name: string): number | undefined {
    const child = this.#children.get(name)
    if (child !== undefined) this.#forget(child)
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

  #spawn(plans: readonly BackendPlan[], ports: readonly number[]): Promise<readonly number[]> {
    const roles = plans.map(({ name, streams }, place): BackendRole => ({ name, streams, port: ports[place] ?? 0 }))
    const child = fork(ENTRY, [JSON.stringify(roles)], {
      execArgv: SMALL,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    for (const { name } of plans) this.#children.set(name, child)
    const names = plans.map(({ name }) => name).join(', ')
    return new Promise((resolve, reject) => {
      child.once('message', (said: Said) => {
        if ('failed' in said) reject(new Error(said.failed))
        else resolve(said.ports)
      })
      child.once('error', reject)
      child.once('exit', () => {
        this.#forget(child)
        reject(new Error(`${names} ended`))
      })
    })
  }

  #forget(child: ChildProcess): void {
    for (const [name, each] of this.#children) if (each === child) this.#children.delete(name)
  }
}

// What the demo and its client process say to each other. Types, and the door that starts the process.
import { type ChildProcess, fork } from 'node:child_process'
import { constants, setPriority } from 'node:os'
import { extname, join } from 'node:path'
import type { Buckets } from './histogram.ts'
import type { TrafficPlan } from './plan.ts'

export interface TrafficOrder {
  readonly port: number
  readonly plans: readonly TrafficPlan[]
}

/**
 * What happened in one second. `failed`: 5xx, cut off, no answer, or not sent because too many wait. Latencies are those
 * of whole answers below 400, from when the request was due.
 */
export interface TrafficReport {
  readonly tenants: readonly {
    readonly tenant: string
    readonly answered: number
    readonly limited: number
    readonly failed: number
    readonly buckets: Buckets
  }[]
  /** How late requests were sent, in milliseconds: what this machine adds to every latency by itself. */
  readonly late: Buckets
}

const ENTRY = join(import.meta.dirname, `traffic${extname(import.meta.filename)}`)

/**
 * Starts a client process that sends `order` until it is killed. `yielding`: whatever else the demo runs goes first,
 * because on a small machine the work of making noise would look like the noise itself.
 */
export function startTraffic(
  order: TrafficOrder & { readonly yielding?: boolean },
  onReport: (report: TrafficReport) => void,
): ChildProcess {
  const child = fork(ENTRY, [], {
    execArgv: ['--max-old-space-size=128'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  if (order.yielding === true && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW)
  child.on('message', onReport)
  child.send(order)
  return child
}

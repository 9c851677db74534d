// What the demo and its client process say to each other. Types, and the door that starts the process.
import { type ChildProcess, fork } from 'node:child_process'
import { extname, join } from 'node:path'
import type { Buckets } from './histogram.ts'
import type { TrafficPlan } from './plan.ts'

export interface TrafficOrder {
  readonly port: number
  readonly plans: readonly TrafficPlan[]
}

/** What happened in one second. `failed`: 5xx, cut off, or no answer. Latencies are those of whole answers below 400. */
export interface TrafficReport {
  readonly tenants: readonly {
    readonly tenant: string
    readonly answered: number
    readonly limited: number
    readonly failed: number
    readonly buckets: Buckets
  }[]
}

const ENTRY = join(import.meta.dirname, `traffic${extname(import.meta.filename)}`)

/** Starts a client process that sends `order` until it is killed. */
export function startTraffic(order: TrafficOrder, onReport: (report: TrafficReport) => void): ChildProcess {
  const child = fork(ENTRY, [], {
    execArgv: ['--max-old-space-size=128'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  child.on('message', onReport)
  child.send(order)
  return child
}

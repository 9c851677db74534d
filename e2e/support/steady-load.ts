// Requests at a steady rate while something else happens, and what became of each. Used by the tests on a cluster.
import { Worker } from 'node:worker_threads'
import type { GatewayAddress } from './installation.ts'

/** What to send. */
export interface LoadPlan {
  readonly gateway: GatewayAddress
  readonly host: string
  /** Default: /. */
  readonly path?: string
  /** Requests in a second. */
  readonly rate: number
  /** Connections are kept and used again, as browsers and proxies do; else each request has its own. Default: kept. */
  readonly keepAlive?: boolean
  /** Over TLS, a connection for each request. */
  readonly tls?: { readonly ca: string }
}

/** What came of it. */
export interface LoadReport {
  readonly sent: number
  /** What was not 200, in words, with how often. */
  readonly failures: ReadonlyMap<string, number>
  /** When the first of those came, as text. */
  readonly firstFailure: string | undefined
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
}

export interface Load {
  /** Ends it when every request has its answer. */
  stop(): Promise<LoadReport>
}

/** Begins. */
export function startLoad(plan: LoadPlan): Load {
  const worker = new Worker(new URL('./load-worker.ts', import.meta.url), { workerData: plan })
  const { promise, resolve, reject } = Promise.withResolvers<LoadReport>()
  worker.once('message', resolve)
  worker.once('error', reject)
  // Whoever never asks for the report does not hear of it here either.
  promise.catch(() => undefined)
  return {
    stop() {
      worker.postMessage('stop')
      return promise
    },
  }
}

/** The report in a line. */
export function loadText({ sent, failures, firstFailure, p50, p99 }: LoadReport): string {
  const count = [...failures.values()].reduce((sum, each) => sum + each, 0)
  const what = [...failures].map(([word, times]) => `${times} x ${word}`).join(', ')
  const failed = `${count} failed${what === '' ? '' : ` (${what}; first at ${firstFailure})`}`
  return `${sent} requests, ${failed}, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`
}

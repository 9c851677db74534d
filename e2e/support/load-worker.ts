// The thread that sends a steady load: apart, because the tests run kubectl and wait for it, and nothing else happens in
// their own thread meanwhile. steady-load.ts starts it.
import { Agent } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'
import { ask, quantile } from './request.ts'
import type { LoadPlan, LoadReport } from './steady-load.ts'

const { gateway, host, path = '/', rate, keepAlive = true, tls } = workerData as LoadPlan
const agent = new Agent({ keepAlive, maxSockets: 256 })
const failures = new Map<string, number>()
const times: number[] = []
const running = new Set<Promise<void>>()
const began = performance.now()
let sent = 0
let firstFailure: string | undefined

// A request that is late because this thread was is sent nevertheless: none is left out.
const timer = setInterval(() => {
  const due = Math.floor(((performance.now() - began) / 1_000) * rate)
  for (; sent < due; sent++) {
    const call = send().finally(() => running.delete(call))
    running.add(call)
  }
}, 5)

parentPort?.once('message', () => {
  clearInterval(timer)
  void Promise.all(running).then(() => {
    agent.destroy()
    const report: LoadReport = { sent, failures, firstFailure, p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
    parentPort?.postMessage(report)
    parentPort?.close()
  })
})

async function send(): Promise<void> {
  const from = performance.now()
  const outcome = await ask(gateway, host, {
    path,
    agent,
    timeout: 30_000,
    ...(tls === undefined ? {} : { tls }),
  }).then(
    ({ status, headers }) => (status === 200 ? undefined : `${status} ${String(headers['x-atrium-error'] ?? '')}`),
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
  times.push(performance.now() - from)
  if (outcome === undefined) return
  firstFailure ??= `${new Date().toISOString()}, after ${Math.round(performance.now() - from)} ms`
  failures.set(outcome, (failures.get(outcome) ?? 0) + 1)
}

// The demo's clients: a process of its own, so that measuring does not disturb what is measured. Sends each plan's
// requests at its rate whether or not earlier ones were answered, and reports once a second over the channel.
import { Agent, request } from 'node:http'
import { flushCompileCache } from 'node:module'
import { Histogram } from './histogram.ts'
import type { TrafficPlan } from './plan.ts'
import type { TrafficOrder, TrafficReport } from './traffic-messages.ts'

const TICK_MS = 8
const REPORT_MS = 1000
const GIVE_UP_MS = 10_000
const MOST_IN_FLIGHT = 200

class Sender {
  readonly #plan: TrafficPlan
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 64 })
  readonly #latency = new Histogram()
  #answered = 0
  #limited = 0
  #failed = 0
  #inFlight = 0
  #owed = 0
  #turn = 0

  constructor(plan: TrafficPlan, port: number) {
    this.#plan = plan
    this.#port = port
  }

  /** Sends what is due after `elapsed` milliseconds. */
  tick(elapsed: number): void {
    this.#owed = Math.min(this.#owed + (this.#plan.rate * elapsed) / 1000, this.#plan.rate)
    while (this.#owed >= 1) {
      this.#owed -= 1
      if (this.#inFlight < MOST_IN_FLIGHT) this.#send()
    }
  }

  report(): TrafficReport['tenants'][number] {
    const report = {
      tenant: this.#plan.tenant,
      answered: this.#answered,
      limited: this.#limited,
      failed: this.#failed,
      buckets: this.#latency.buckets(),
    }
    this.#answered = 0
    this.#limited = 0
    this.#failed = 0
    this.#latency.clear()
    return report
  }

  #send(): void {
    const { host, method, paths } = this.#plan
    this.#turn += 1
    this.#inFlight += 1
    const path = paths[this.#turn % paths.length] ?? '/'
    const started = performance.now()
    let status = 0
    let counted = false
    const done = (whole: boolean) => {
      if (counted) return
      counted = true
      this.#inFlight -= 1
      if (!whole || status >= 500) this.#failed += 1
      else if (status === 429) this.#limited += 1
      else this.#answered += 1
      if (whole && status < 400) this.#latency.record(performance.now() - started)
    }
    const call = request({
      host: '127.0.0.1',
      port: this.#port,
      agent: this.#agent,
      path,
      method,
      headers: { host, 'content-length': 0 },
    })
    call.setTimeout(GIVE_UP_MS, () => call.destroy())
    call.on('response', (response) => {
      status = response.statusCode ?? 0
      response.resume()
      response.on('end', () => done(true))
      response.on('error', () => done(false))
    })
    call.on('error', () => done(false))
    call.end()
  }
}

process.once('message', ({ plans, port }: TrafficOrder) => {
  // It ends by a kill, which would leave nothing for the next start.
  flushCompileCache()
  const senders = plans.map((plan) => new Sender(plan, port))
  let last = performance.now()
  setInterval(() => {
    const now = performance.now()
    for (const sender of senders) sender.tick(now - last)
    last = now
  }, TICK_MS)
  setInterval(() => {
    const report: TrafficReport = { tenants: senders.map((sender) => sender.report()) }
    process.send?.(report)
  }, REPORT_MS)
})
process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => undefined)

// The demo's clients: a process of its own, so that measuring does not disturb what is measured. Sends each plan's
// requests evenly at its rate, whether or not earlier ones were answered, counts from when each was due, and reports once
// a second over the channel.
import { Agent, request } from 'node:http'
import { flushCompileCache } from 'node:module'
import { Histogram } from './histogram.ts'
import type { TrafficPlan } from './plan.ts'
import type { TrafficOrder, TrafficReport } from './traffic-messages.ts'

/** Plans with less than one request in this time wait for its end, so that one waking of the machine serves them all. */
const TICK_MS = 8
/** A timer is whole milliseconds: what goes out this much before or after its time is on time. */
const EARLY_MS = 0.5
const LATE_MS = 1
/** Further behind than this, the rest is given up: the process stood still. */
const MOST_BEHIND_MS = 1000
const REPORT_MS = 1000
const GIVE_UP_MS = 10_000
const MOST_IN_FLIGHT = 200

class Sender {
  readonly #plan: TrafficPlan
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 64 })
  readonly #interval: number
  readonly #latency = new Histogram()
  readonly #late: Histogram
  /** When the next request is due, and when it would be if the time did not go in ticks. */
  dueAt: number
  #evenly: number
  #answered = 0
  #limited = 0
  #failed = 0
  #inFlight = 0
  #turn = 0

  /** @param late takes how late each request of the process was sent. */
  constructor(plan: TrafficPlan, port: number, late: Histogram, now: number) {
    this.#plan = plan
    this.#port = port
    this.#late = late
    this.#interval = 1000 / plan.rate
    this.#evenly = now + this.#interval
    this.dueAt = this.#ticked()
  }

  /** Sends what is due by now. */
  sendDue(now: number): void {
    if (now - this.dueAt > MOST_BEHIND_MS) this.#evenly = this.dueAt = now
    while (this.dueAt <= now + EARLY_MS) {
      if (this.#inFlight < MOST_IN_FLIGHT) this.#send(this.dueAt)
      // Nobody would have answered it: that it was not even sent must not make the figures better.
      else this.#failed += 1
      this.#evenly += this.#interval
      this.dueAt = this.#ticked()
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

  #ticked(): number {
    return this.#interval < TICK_MS ? this.#evenly : Math.ceil(this.#evenly / TICK_MS) * TICK_MS
  }

  #send(due: number): void {
    const { host, method, paths } = this.#plan
    this.#turn += 1
    this.#inFlight += 1
    const path = paths[this.#turn % paths.length] ?? '/'
    const sent = performance.now()
    this.#late.record(Math.max(0, sent - due))
    const began = Math.min(sent, due + LATE_MS)
    let status = 0
    let counted = false
    const done = (whole: boolean) => {
      if (counted) return
      counted = true
      this.#inFlight -= 1
      if (!whole || status >= 500) this.#failed += 1
      else if (status === 429) this.#limited += 1
      else this.#answered += 1
      if (whole && status < 400) this.#latency.record(performance.now() - began)
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
  const late = new Histogram()
  const senders = plans.map((plan) => new Sender(plan, port, late, performance.now()))
  const turn = () => {
    for (const sender of senders) sender.sendDue(performance.now())
    const next = Math.min(...senders.map(({ dueAt }) => dueAt))
    setTimeout(turn, Math.max(1, Math.round(next - performance.now())))
  }
  turn()
  setInterval(() => {
    const report: TrafficReport = { tenants: senders.map((sender) => sender.report()), late: late.buckets() }
    late.clear()
    process.send?.(report)
  }, REPORT_MS)
})
process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => undefined)

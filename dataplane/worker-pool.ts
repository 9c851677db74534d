// The worker threads of the pod: started, watched, replaced when they die. main.ts owns one pool; activation.ts sends
// orders through it. A thread that ends takes only its own requests with it: what it held is given back first, then
// another takes its column.
import { randomBytes } from 'node:crypto'
import { getCompileCacheDir } from 'node:module'
import { dirname, extname } from 'node:path'
import { Worker, type ResourceLimits } from 'node:worker_threads'
import type { StateAllocator } from './runtime/shared-state-allocator.ts'
import { giveBack, reconcile, takeSample } from './runtime/shared-state-repair.ts'
import {
  MESSAGE_VERSION,
  readReport,
  seal,
  type WorkerOrder,
  type WorkerReport,
  type WorkerSettings,
} from './worker-messages.ts'

/** How the pool runs its threads. Times in milliseconds. */
export interface WorkerPoolOptions {
  readonly state: StateAllocator
  /** Settings of every worker but what differs between them. */
  readonly settings: Omit<WorkerSettings, 'column' | 'requestIdStart' | 'state' | 'version'>
  readonly resourceLimits: ResourceLimits
  /** A thread without a beat for this long is terminated; null: never. */
  readonly stallAfter: number | null
  /** Told of reports that answer no order. */
  readonly onReport: (report: WorkerReport, column: number) => void
  /** Told when a thread died, with the reason in words. */
  readonly onDeath: (column: number, reason: string) => void
  /** Brings a thread that has just started up to date, and marks it so before anything else may change. */
  readonly onStart: (member: WorkerMember) => Promise<void>
}

/** An order without its number. */
type Unnumbered<Order> = Order extends { readonly request: number } ? Omit<Order, 'request'> : never
export type Request = Unnumbered<WorkerOrder>
type ReportOf<Type extends WorkerReport['type']> = Extract<WorkerReport, { readonly type: Type }>

/** The thread ended before it answered. */
export class WorkerGone extends Error {
  override readonly name = 'WorkerGone'
}

/** The thread could not do what it was told. `code` is that of the system error, '' for none. */
export class OrderFailed extends Error {
  override readonly name = 'OrderFailed'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

const CHECK = 250
/** First restart at once, then doubled up to this, until a thread has lived for a minute. */
const MAX_BACKOFF = 10_000
const SETTLED = 60_000
const START_LIMIT = 30_000
const SECOND_SAMPLE = 1_000

/** See the head of this file. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions
  readonly #members: (WorkerMember | undefined)[]
  readonly #deaths: { count: number; startedAt: number }[]
  readonly #watchdog: NodeJS.Timeout | undefined
  readonly #timers = new Set<NodeJS.Timeout>()
  #restarts = 0
  #stopping = false

  constructor(options: WorkerPoolOptions) {
    this.#options = options
    const { workers } = options.state.root
    this.#members = Array.from({ length: workers })
    this.#deaths = Array.from({ length: workers }, () => ({ count: 0, startedAt: 0 }))
    if (options.stallAfter !== null) {
      const looks = Math.max(1, Math.ceil(options.stallAfter / CHECK))
      this.#watchdog = setInterval(() => this.#watch(looks), CHECK).unref()
    }
  }

  /** Starts every thread. Resolves when all are up to date, rejects with the first trouble of any. */
  async start(): Promise<void> {
    await Promise.all(this.#members.map((_, column) => this.#spawn(column)))
  }

  /** Threads that run and are up to date. */
  serving(): readonly WorkerMember[] {
    return this.#members.filter((member): member is WorkerMember => member?.upToDate === true)
  }

  /** Resolves when every thread runs and is up to date, or after so many milliseconds. */
  async whole(milliseconds: number): Promise<void> {
    const end = performance.now() + milliseconds
    while (this.serving().length < this.size && performance.now() < end && !this.#stopping) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  /** How many there should be. */
  get size(): number {
    return this.#members.length
  }

  /** Threads that were started in place of dead ones. */
  get restarts(): number {
    return this.#restarts
  }

  /** Ends all threads. */
  async stop(): Promise<void> {
    this.#stopping = true
    clearInterval(this.#watchdog)
    for (const timer of this.#timers) clearTimeout(timer)
    await Promise.all(this.#members.map((member) => member?.terminate()))
  }

  async #spawn(column: number): Promise<void> {
    const { state, settings, resourceLimits } = this.#options
    const life = this.#deaths[column]
    if (life !== undefined) life.startedAt = performance.now()
    // Compiled, it is a .js beside this one.
    const thread = new Worker(new URL(`./worker${extname(import.meta.filename)}`, import.meta.url), {
      name: `atrium worker ${column}`,
      resourceLimits,
      env: workerEnvironment(),
      workerData: {
        version: MESSAGE_VERSION,
        state: state.root,
        column,
        requestIdStart: randomBytes(8).toString('hex'),
        ...settings,
      } satisfies WorkerSettings,
    })
    const member = new WorkerMember(column, thread, (report) => this.#options.onReport(report, column))
    this.#members[column] = member
    thread.once('exit', () => this.#died(member))
    const limit = setTimeout(() => void thread.terminate(), START_LIMIT)
    try {
      await member.started
      await this.#options.onStart(member)
    } finally {
      clearTimeout(limit)
    }
  }

  #died(member: WorkerMember): void {
    const { column } = member
    member.end()
    if (this.#members[column] !== member) return
    this.#members[column] = undefined
    giveBack(this.#options.state, column)
    if (this.#stopping) return
    this.#repairLater()
    this.#options.onDeath(column, member.reason)
    const life = this.#deaths[column]
    if (life === undefined) return
    if (performance.now() - life.startedAt > SETTLED) life.count = 0
    const wait = life.count === 0 ? 0 : Math.min(MAX_BACKOFF, 100 * 2 ** life.count)
    life.count++
    this.#restarts++
    this.#after(wait, () => {
      // A thread that cannot even start dies again, and comes back here.
      this.#spawn(column).catch(() => void this.#members[column]?.terminate())
    })
  }

  /** The one instruction between a total and its column in which a thread can die. */
  #repairLater(): void {
    const first = takeSample(this.#options.state)
    if (first.counts.size === 0 && first.claims.size === 0) return
    this.#after(SECOND_SAMPLE, () => void reconcile(this.#options.state, first))
  }

  #watch(looks: number): void {
    const { pod, layout } = this.#options.state
    for (const member of this.#members) {
      if (member?.upToDate === true) member.look(Atomics.load(pod.words, layout.podBeatsAt + member.column), looks)
    }
  }

  #after(milliseconds: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      run()
    }, milliseconds)
    this.#timers.add(timer)
  }
}

/**
 * Nothing of the environment is needed in there, and nothing of it can then leak from there; but without the folder of
 * compiled code each thread compiles the program anew, which takes as long as the rest of the start.
 */
function workerEnvironment(): NodeJS.ProcessEnv {
  const folder = getCompileCacheDir()
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) }
}

/** One thread. */
export class WorkerMember {
  readonly column: number
  readonly started: Promise<void>
  /** Why it ended, in words. */
  reason = 'it was told to'
  upToDate = false
  readonly #thread: Worker
  readonly #waiting = new Map<number, { resolve(report: WorkerReport): void; reject(error: Error): void }>()
  #next = 1
  #ended = false
  #lastBeat = 0
  #stillLooks = 0

  constructor(column: number, thread: Worker, other: (report: WorkerReport) => void) {
    this.column = column
    this.#thread = thread
    this.started = new Promise((resolve, reject) => {
      this.#waiting.set(0, { resolve: () => resolve(), reject })
    })
    // Whoever does not wait for it must not be blamed for its failure.
    this.started.catch(() => {})
    thread.on('message', (message: unknown) => {
      const report = readReport(message)
      const request = report.type === 'started' ? 0 : 'request' in report ? report.request : undefined
      const waiting = request === undefined ? undefined : this.#waiting.get(request)
      if (request === undefined) other(report)
      else this.#waiting.delete(request)
      if (report.type === 'failed') waiting?.reject(new OrderFailed(report.code, report.message))
      else waiting?.resolve(report)
    })
    thread.on('error', (error) => {
      this.reason = error instanceof Error ? error.message : String(error)
    })
  }

  /** Sends an order and waits for its answer. Rejects with WorkerGone or OrderFailed. */
  async ask<Type extends 'prepared' | 'committed' | 'listening' | 'drained' | 'flushed'>(
    order: Request,
    answer: Type,
  ): Promise<ReportOf<Type>> {
    if (this.#ended) throw new WorkerGone(`worker ${this.column} has ended`)
    const request = this.#next++
    const report = await new Promise<WorkerReport>((resolve, reject) => {
      this.#waiting.set(request, { resolve, reject })
      this.#thread.postMessage(seal({ ...order, request }))
    })
    if (report.type !== answer) throw new OrderFailed('', `worker ${this.column} answered ${report.type}`)
    return report as ReportOf<Type>
  }

  /** Sends what needs no answer. */
  tell(order: Extract<WorkerOrder, { readonly type: 'forget' | 'leave' }>): void {
    if (!this.#ended) this.#thread.postMessage(seal(order))
  }

  /** One look of the watchdog: so many in a row without a new beat, and the thread is ended. */
  look(beat: number, looks: number): void {
    this.#stillLooks = beat === this.#lastBeat ? this.#stillLooks + 1 : 0
    this.#lastBeat = beat
    if (this.#stillLooks < looks) return
    this.reason = 'it stood still'
    this.#stillLooks = 0
    void this.terminate()
  }

  async terminate(): Promise<void> {
    await this.#thread.terminate()
  }

  /** The thread has ended: nobody waits for it any more. */
  end(): void {
    this.#ended = true
    this.upToDate = false
    for (const { reject } of this.#waiting.values()) reject(new WorkerGone(`worker ${this.column}: ${this.reason}`))
    this.#waiting.clear()
  }
}

// Leadership by a coordination.k8s.io/v1 Lease, with a number for each term that dataplanes check. Reads and writes the
// lease through the API client; decision.ts decides. controller/cluster.ts starts it, and asks `fence()` before each
// write and each publication: a process that was paused learns there that its time is over.
import { randomBytes } from 'node:crypto'
import { type ApiCall, type ApiCalls, type ApiResult, FIELD_MANAGER } from '../api-calls.ts'
import {
  afterRead,
  afterWrite,
  type CandidateState,
  fenceAt,
  heardOf,
  type LeaseTimes,
  type LeaseWrite,
  needsRead,
  newCandidate,
  nextWrite,
  releaseWrite,
  type WriteOutcome,
} from './decision.ts'
import { leaseBody, readLease } from './lease-object.ts'

export interface LeaseOptions {
  readonly api: ApiCalls
  readonly namespace: string
  readonly name: string
  /** For people: the pod's name. A random part is added, because a restarted process is another candidate. */
  readonly candidate: string
  readonly labels: Readonly<Record<string, string>>
  readonly times?: LeaseTimes
  /** Called when this process begins to lead (with the fence), or ceases to (undefined). */
  readonly onChange: (fence: number | undefined) => void
  /** Called once for each new kind of trouble. One sentence. */
  readonly warn: (message: string, error?: unknown) => void
  /** Monotonic milliseconds. */
  readonly now?: () => number
  /** Between 0 and 1, for jitter. */
  readonly random?: () => number
}

export interface Lease {
  /** Begins to stand as a candidate. */
  start(): void
  /** The fence under which this process may act now; undefined where it does not lead. Ask before each act. */
  fence(): number | undefined
  /** The highest fence known, of whomever: what a replica that does not lead says of the one that does. */
  knownFence(): number
  /** Who leads as far as is known: the candidate's name, '' for nobody. */
  holder(): string
  /** A pod said that it has seen a fence; where it is above ours, our next renewal begins a term above it. */
  heardOf(fence: number): void
  /** Lets go of the lease and stops. Resolves soon, whatever the API server does. */
  stop(): Promise<void>
}

/** The times of client-go: 15 s of lease, 10 s to renew, a try each 2 s. */
const LEASE_TIMES: LeaseTimes = { durationMs: 15_000, renewMs: 10_000, retryMs: 2_000 }

const JITTER = 0.2
const REQUEST_MS = 5_000
const RELEASE_MS = 2_000

/** Makes a candidate. Nothing happens before `start`. */
export function createLease(options: LeaseOptions): Lease {
  const times = options.times ?? LEASE_TIMES
  if (!(times.durationMs > times.renewMs && times.renewMs > times.retryMs && times.retryMs > 0)) {
    throw new RangeError('a lease needs duration > renew > retry > 0')
  }
  return new Candidate(options, times)
}

class Candidate implements Lease {
  readonly #options: LeaseOptions
  readonly #times: LeaseTimes
  readonly #path: string
  readonly #now: () => number
  #state: CandidateState
  #told: number | undefined
  readonly #troubles = new Set<'read' | 'written'>()
  #stopped = false
  #wake: NodeJS.Timeout | undefined
  #expiry: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined

  constructor(options: LeaseOptions, times: LeaseTimes) {
    this.#options = options
    this.#times = times
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`
    this.#now = options.now ?? (() => performance.now())
    this.#state = newCandidate(`${options.candidate}_${randomBytes(6).toString('hex')}`)
  }

  start(): void {
    this.#running = this.#turn()
  }

  fence(): number | undefined {
    return this.#stopped ? undefined : fenceAt(this.#state, this.#now())
  }

  knownFence(): number {
    return this.fence() ?? this.#state.highest
  }

  holder(): string {
    return (this.#state.record?.holder ?? '').replace(/_[0-9a-f]{12}$/, '')
  }

  heardOf(fence: number): void {
    this.#state = heardOf(this.#state, fence)
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    clearTimeout(this.#wake)
    clearTimeout(this.#expiry)
    await within(this.#running ?? Promise.resolve(), RELEASE_MS)
    const release = releaseWrite(this.#state)
    // Nobody acts as leader from here on, so whoever takes over need not wait.
    if (release !== undefined) await within(this.#write(release, RELEASE_MS), RELEASE_MS)
    this.#tell()
  }

  async #turn(): Promise<void> {
    try {
      if (needsRead(this.#state, this.#now())) await this.#read()
      const write = this.#state.mustRead ? undefined : nextWrite(this.#state, this.#now(), this.#times)
      if (write !== undefined && !this.#stopped) await this.#write(write, this.#patience())
    } catch (error) {
      this.#complain('read', String(error), error)
    }
    this.#tell()
    if (this.#stopped) return
    const jitter = 1 + JITTER * (2 * (this.#options.random ?? Math.random)() - 1)
    this.#wake = setTimeout(() => {
      this.#running = this.#turn()
    }, this.#times.retryMs * jitter)
  }

  async #read(): Promise<void> {
    const answer = await this.#call({ path: `${this.#path}/${this.#options.name}` }, this.#patience())
    if (answer.status !== 200 && answer.status !== 404) throw new Error(`GET answered ${answer.status}`)
    const read = answer.status === 404 ? undefined : readLease(answer.body)
    const { serverTime } = answer
    const silentMs =
      serverTime === undefined || read?.renewedAt === undefined ? 0 : Math.max(0, serverTime - read.renewedAt)
    this.#state = afterRead(this.#state, read?.record ?? null, read?.resourceVersion ?? '', this.#now(), silentMs)
    this.#troubles.delete('read')
  }

  async #write(write: LeaseWrite, patienceMs: number): Promise<void> {
    const { name, namespace, labels } = this.#options
    const body = leaseBody(write, { name, namespace, labels }, new Date())
    const sentAt = this.#now()
    let outcome: WriteOutcome = 'unknown'
    try {
      const call =
        write.resourceVersion === undefined
          ? { method: 'POST' as const, path: this.#path }
          : { method: 'PUT' as const, path: `${this.#path}/${name}` }
      const { status, body: stored } = await this.#call({ ...call, body }, patienceMs)
      if (status === 409 || status === 404) outcome = 'conflict'
      else if (status >= 200 && status < 300) outcome = storedOutcome(stored)
      else this.#complain('written', `answer ${status}`, undefined)
    } catch (error) {
      this.#complain('written', String(error), error)
    }
    // A renewal that comes too late goes on with the same term; what was left out between must be made up for.
    this.#tell()
    this.#state = afterWrite(this.#state, write, outcome, sentAt, this.#times)
    if (typeof outcome !== 'string') this.#troubles.delete('written')
  }

  #patience(): number {
    return Math.min(REQUEST_MS, this.#times.renewMs / 2)
  }

  async #call(call: ApiCall, patienceMs: number): Promise<ApiResult> {
    const query = call.method === undefined ? {} : { query: { fieldManager: FIELD_MANAGER } }
    const answer = await within(this.#options.api.request({ ...call, ...query, timeoutMs: patienceMs }), patienceMs)
    if (answer === undefined) throw new Error(`no answer within ${patienceMs} ms`)
    return answer
  }

  // Tells of a change, and again when the term ends without a renewal.
  #tell(): void {
    clearTimeout(this.#expiry)
    const fence = this.fence()
    if (fence !== this.#told) {
      this.#told = fence
      this.#options.onChange(fence)
    }
    const { term } = this.#state
    if (fence === undefined || term === undefined || this.#stopped) return
    this.#expiry = setTimeout(() => this.#tell(), Math.max(1, Math.ceil(term.until - this.#now())))
    this.#expiry.unref()
  }

  #complain(what: 'read' | 'written', why: string, error: unknown): void {
    if (this.#troubles.has(what)) return
    this.#troubles.add(what)
    this.#options.warn(`The leader lease cannot be ${what} (${why}); serving is not affected.`, error)
  }
}

function storedOutcome(body: unknown): WriteOutcome {
  const stored = readLease(body)
  return stored === undefined ? 'unknown' : { stored: stored.resourceVersion }
}

/** The value, or undefined where it takes longer. A rejection within the time is passed on. */
async function within<Value>(promise: Promise<Value>, patienceMs: number): Promise<Value | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), patienceMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
    promise.catch(() => undefined)
  }
}

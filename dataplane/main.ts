// The composition root of the dataplane: worker threads, shared memory, activation, admin listener, access log, drain.
// bin/ starts one for standalone; a pod of a cluster will start the same. Everything here runs in the main thread, which
// serves no request.
import { randomFillSync } from 'node:crypto'
import { totalmem } from 'node:os'
import { AddressRanges, parseCidr } from '../model/address.ts'
import { type Pool, SNAPSHOT_FORMAT, type Snapshot, type TenantShard } from '../model/snapshot.ts'
import { FILTERS } from '../policies/filters.ts'
import { Activation } from './activation.ts'
import type { AdminListener, AdminSources } from './admin.ts'
import type { ExplainQuery, Explanation } from './explain-types.ts'
import type { ExplainWorld } from './explain-world.ts'
import { descriptorLimit, mostConnections } from './descriptors.ts'
import { canSharePorts, claimPort } from './ports.ts'
import { type Acknowledgement, type Change, deliverFrom, manifestOf, receive } from './receive.ts'
import { type AccessLogSink, createAccessLogSink } from './runtime/access-log-sink.ts'
import { LoopLag } from './runtime/loop-lag.ts'
import { type MetricsFormat, metricsText, type PodFacts, writeMetrics } from './runtime/metrics.ts'
import { SeriesBudget } from './runtime/metrics-budget.ts'
import { createPodClock } from './runtime/shared-state.ts'
import { StateAllocator } from './runtime/shared-state-allocator.ts'
import { POD_LOG_BYTES } from './runtime/shared-state-layout.ts'
import { sweep } from './runtime/shared-state-repair.ts'
import { type DataplaneStatus, readStatus } from './status.ts'
import type { CertificateMaterial } from './tls/host-identity.ts'
import type { WorkerReport } from './worker-messages.ts'
import { type WorkerMember, WorkerPool } from './worker-pool.ts'

/** How to run. Times in milliseconds. */
export interface DataplaneOptions {
  /** Threads that serve; one for each core is right. */
  readonly workers: number
  readonly host: string
  /** Plain HTTP; 0 for any free port. */
  readonly port: number
  /** HTTPS; null for none. */
  readonly tlsPort: number | null
  /** null for none. */
  readonly adminPort: number | null
  /** Default 127.0.0.1. */
  readonly adminHost?: string
  /** Names by which the admin listener may be called, beside localhost and addresses. */
  readonly adminNames?: readonly string[]
  /** `stdout`, `off`, or the path of a file. */
  readonly accessLog: string
  /** Ranges whose X-Forwarded-* are believed. */
  readonly trustForwarded?: readonly string[]
  /** Where clients find https, when plainHTTP sends them there. Default 443; `listener`: the TLS port itself. */
  readonly publicHttpsPort?: number | 'listener'
  /** For names without a certificate of their own. */
  readonly defaultCertificate?: CertificateMaterial
  /** Name for `k8s.pod.name` in the log and for answers to the publisher. */
  readonly pod?: string
  /** Megabytes of heap of one worker, at least 64. Default: its share of 60 % of the machine's memory, 256 to 4,096. */
  readonly workerHeap?: number
  /** A worker whose loop stands still for this long is replaced. Default 2,000; null: never. */
  readonly stallAfter?: number | null
  /** Series that /metrics may show. Default 2,000. */
  readonly seriesBudget?: number
  /** Buckets that one limit keeps. Default 65,536. */
  readonly maxKeys?: number
  /** Called once the threads are on their way: what this thread can read while they read their half of the program. */
  readonly meanwhile?: () => void
  /** Told what an operator should know. */
  readonly notice?: (notice: DataplaneNotice) => void
}

/** What an operator should know, as data; `text` is one sentence. */
export interface DataplaneNotice {
  readonly type: 'PortsNotShared' | 'WorkerDied' | 'Fault' | 'AccessLog'
  readonly text: string
}

/** Ports that are open. 0 for a data port of which nobody knows yet: they open with the first snapshot. */
export interface DataplanePorts {
  readonly http: number
  readonly https: number | null
  readonly admin: number | null
}

/** What a drain came to, over all workers. */
export interface DrainReport {
  /** Connections that ended by themselves. */
  readonly finished: number
  /** Connections that had to be cut. */
  readonly cut: number
}

/** An answer to the publisher. */
export type PodAnswer = Acknowledgement & { readonly pod: string }

/** A running dataplane. */
export interface Dataplane {
  readonly ports: DataplanePorts
  /** Makes a snapshot active in all workers; the first one opens the data ports. An older sequence changes nothing. */
  activate(snapshot: Snapshot, sequence: number): Promise<PodAnswer>
  /** Makes a change active that was received whole, in the same way. Whoever receives keeps to the order of changes. */
  deliver(change: Change): Promise<Acknowledgement>
  /** The shard of a tenant that serves. */
  shard(tenant: string): TenantShard | undefined
  /** What serves now. */
  whole(): { readonly shards: Iterable<TenantShard>; readonly pools: Iterable<Pool> }
  /** What may be shown of this pod, on whatever port. */
  readonly sources: AdminSources
  status(tenant?: string): Promise<DataplaneStatus>
  metricsText(format?: MetricsFormat): Promise<string>
  explain(query: ExplainQuery): Promise<Explanation>
  /** Opens the file of the access log anew: SIGHUP. */
  reopenLog(): void
  /** Unready at once; after `unreadyFor` nothing new is accepted and what runs may take `timeout` more. */
  drain(options: { readonly unreadyFor: number; readonly timeout: number }): Promise<DrainReport>
  /** Ends everything at once and flushes the log. */
  stop(): Promise<void>
}

const SWEEP_EVERY = 30_000
const LOOK_EVERY = 1_000
const LOG_IN_FLIGHT = 4_194_304
const FLUSH_TIME = 2_000
const MIN_HEAP = 64
const HTTPS_PORT = 443
/** In a second. */
const FAULTS_TOLD = 10

/**
 * Starts the workers and the admin listener. Rejects with PortTaken where a port cannot be had, and with the reason of
 * the first worker that cannot start.
 */
export async function startDataplane(options: DataplaneOptions): Promise<Dataplane> {
  const notice = options.notice ?? (() => {})
  let { workers } = options
  if (workers > 1 && !(await canSharePorts())) {
    notice({ type: 'PortsNotShared', text: 'threads cannot share a port on this system: one worker serves' })
    workers = 1
  }
  await claimPort(options.host, options.port)
  if (options.tlsPort !== null) await claimPort(options.host, options.tlsPort)
  const plane = new RunningDataplane(options, workers, notice)
  try {
    await plane.start()
  } catch (error) {
    await plane.stop()
    throw error
  }
  return plane
}

class RunningDataplane implements Dataplane {
  readonly #options: DataplaneOptions
  readonly #notice: (notice: DataplaneNotice) => void
  readonly #now: () => number
  readonly #state: StateAllocator
  readonly #budget: SeriesBudget
  readonly #pool: WorkerPool
  readonly #activation: Activation
  readonly #sink: AccessLogSink | undefined
  readonly #startedAt = Date.now() / 1000
  readonly #refusals = new Map<string, number>()
  readonly #listening = new WeakSet<WorkerMember>()
  #ports: { http: number; https: number | null }
  #open = false
  #admin: AdminListener | undefined
  /** Of what is active now; made when somebody asks. */
  #world: ExplainWorld | undefined
  readonly #lag = new LoopLag()
  #lastLag = 0
  #sweeper: NodeJS.Timeout | undefined
  #looker: NodeJS.Timeout | undefined
  #draining = false
  #faults = 0
  #faultSecond = 0
  #faultsTold = 0

  constructor(options: DataplaneOptions, workers: number, notice: (notice: DataplaneNotice) => void) {
    this.#options = options
    this.#notice = notice
    this.#ports = { http: options.port, https: options.tlsPort }
    const epoch = process.hrtime.bigint()
    this.#now = createPodClock(epoch)
    const [a = 0, b = 0, c = 0, d = 0] = randomFillSync(new Int32Array(4))
    this.#state = new StateAllocator({
      workers,
      policies: Object.keys(FILTERS),
      seed: { words: [a, b, c, d] },
      epoch,
      now: this.#now,
      ...(options.maxKeys === undefined ? {} : { maxKeys: options.maxKeys }),
    })
    this.#budget = new SeriesBudget(this.#state, options.seriesBudget)
    this.#sink =
      options.accessLog === 'off'
        ? undefined
        : createAccessLogSink({
            target: options.accessLog === 'stdout' ? 'stdout' : { file: options.accessLog },
            onProblem: (text) => notice({ type: 'AccessLog', text: text === '' ? 'access log: written again' : text }),
          })
    this.#pool = this.#createPool(workers)
    this.#activation = new Activation({
      state: this.#state,
      filters: FILTERS,
      serving: () => this.#pool.serving(),
      whole: (milliseconds) => this.#pool.whole(milliseconds),
    })
  }

  get sources(): AdminSources {
    return {
      ready: () => this.#isReady(),
      metrics: (format) => writeMetrics(this.#state, this.#budget, this.#facts(), format, this.#now()),
      status: (tenant) => this.status(tenant),
      snapshot: () => this.#snapshot(),
      explain: (query) => this.explain(query),
    }
  }

  get ports(): DataplanePorts {
    return { ...this.#ports, admin: this.#admin?.port ?? null }
  }

  async start(): Promise<void> {
    const { adminPort, adminHost = '127.0.0.1' } = this.#options
    if (adminPort !== null) await claimPort(adminHost, adminPort)
    const pool = this.#pool.start()
    this.#options.meanwhile?.()
    const outcomes = await Promise.allSettled([pool, this.#openAdmin()])
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_EVERY)
    this.#sweeper.unref()
    this.#lag.start()
    this.#looker = setInterval(() => {
      this.#lastLag = this.#lag.take()
    }, LOOK_EVERY)
    this.#looker.unref()
  }

  async #openAdmin(): Promise<void> {
    const { adminPort, adminHost = '127.0.0.1', adminNames = [] } = this.#options
    if (adminPort === null) return
    const { openAdmin } = await import('./admin.ts')
    this.#admin = await openAdmin({ host: adminHost, port: adminPort, allowedHosts: adminNames }, this.sources)
  }

  async activate(snapshot: Snapshot, sequence: number): Promise<PodAnswer> {
    return await this.#activation.inTurn(async () => {
      const answer = await receive(manifestOf(snapshot, sequence), this.#activation, deliverFrom(snapshot), (change) =>
        this.#apply(change),
      )
      return { ...answer, pod: this.#options.pod ?? 'local' }
    })
  }

  async deliver(change: Change): Promise<Acknowledgement> {
    return await this.#activation.inTurn(() => this.#apply(change))
  }

  shard(tenant: string): TenantShard | undefined {
    return this.#activation.shard(tenant)
  }

  whole() {
    return { shards: this.#activation.shards().values(), pools: this.#activation.activePools().values() }
  }

  async #apply(change: Change): Promise<Acknowledgement> {
    const known = new Set(this.#activation.refused().map(({ tenant }) => tenant))
    const result = await this.#activation.activate(change)
    this.#world = undefined
    const changed = new Set(change.shards.map(({ tenant }) => tenant))
    for (const { tenant } of result.refused) {
      if (changed.has(tenant) || !known.has(tenant)) {
        this.#refusals.set(tenant, (this.#refusals.get(tenant) ?? 0) + 1)
      }
    }
    await this.#openPorts()
    return result
  }

  async status(tenant?: string): Promise<DataplaneStatus> {
    return await readStatus(
      {
        state: this.#state,
        activation: this.#activation,
        pool: this.#pool,
        now: this.#now,
        ready: this.#isReady(),
        draining: this.#draining,
        accessLog: this.#sink?.problem ?? '',
      },
      tenant,
    )
  }

  async metricsText(format: MetricsFormat = 'prometheus'): Promise<string> {
    return await metricsText(this.#state, this.#budget, this.#facts(), format, this.#now())
  }

  async explain(query: ExplainQuery): Promise<Explanation> {
    // Read when somebody asks for the first time: what judges a mistake in a policy needs its schema and all that reads it.
    const [{ explain }, { ExplainWorld }, { POLICIES }] = await Promise.all([
      import('./explain.ts'),
      import('./explain-world.ts'),
      import('../policies/index.ts'),
    ])
    const { publicHttpsPort = HTTPS_PORT } = this.#options
    this.#world ??= new ExplainWorld({
      version: this.#activation.version,
      shards: this.#activation.shards(),
      pools: this.#activation.activePools(),
      filters: FILTERS,
      policies: POLICIES,
      trusted: new AddressRanges((this.#options.trustForwarded ?? []).flatMap((text) => parseCidr(text) ?? [])),
      hasDefaultCertificate: this.#options.defaultCertificate !== undefined,
      httpsPort: publicHttpsPort === 'listener' ? this.#ports.https || HTTPS_PORT : publicHttpsPort,
    })
    return await explain(this.#world, query)
  }

  reopenLog(): void {
    this.#sink?.reopen()
  }

  async drain({ unreadyFor, timeout }: { unreadyFor: number; timeout: number }): Promise<DrainReport> {
    this.#draining = true
    // Told now, clients have left most connections by the time they are closed, and none sends into a closing one.
    for (const member of this.#pool.serving()) member.tell({ type: 'leave' })
    await new Promise((resolve) => setTimeout(resolve, unreadyFor))
    // A client that comes back to a connection just when it is ended has its request lost. One that was not used since
    // `leave` is given as long again: most are used once more, answered, and left.
    const idle = Math.min(2 * unreadyFor, timeout / 2)
    const results = await Promise.allSettled(
      this.#pool.serving().map((member) => member.ask({ type: 'drain', milliseconds: timeout, idle }, 'drained')),
    )
    let finished = 0
    let cut = 0
    for (const result of results) {
      if (result.status === 'rejected') continue
      finished += result.value.finished
      cut += result.value.cut
    }
    await this.#sink?.flush(FLUSH_TIME)
    return { finished, cut }
  }

  async stop(): Promise<void> {
    this.#draining = true
    clearInterval(this.#sweeper)
    clearInterval(this.#looker)
    this.#lag.stop()
    await this.#admin?.close()
    await Promise.allSettled(this.#pool.serving().map((member) => member.ask({ type: 'flush' }, 'flushed')))
    await this.#pool.stop()
    await this.#sink?.flush(FLUSH_TIME)
    this.#sink?.close()
  }

  #createPool(workers: number): WorkerPool {
    const {
      trustForwarded = [],
      publicHttpsPort = HTTPS_PORT,
      defaultCertificate,
      pod = '',
      workerHeap,
      stallAfter = 2_000,
    } = this.#options
    // The limit of the container where there is one: 0, or more than there is, where there is none.
    const memory = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)
    const share = Math.floor((memory * 0.6) / workers / 1_048_576)
    const heap = Math.max(MIN_HEAP, workerHeap ?? Math.min(4_096, Math.max(256, share)))
    return new WorkerPool({
      state: this.#state,
      settings: {
        trustForwarded,
        maxConnections: mostConnections(descriptorLimit(), workers, heap),
        publicHttpsPort: publicHttpsPort === 'listener' ? null : publicHttpsPort,
        defaultCertificate:
          defaultCertificate === undefined
            ? null
            : { chainPem: defaultCertificate.chainPem, keyPem: defaultCertificate.keyPem.reveal() },
        log: this.#sink === undefined ? null : { pod, limit: LOG_IN_FLIGHT },
      },
      resourceLimits: {
        // V8 ends the whole process where a heap is too small to begin with.
        maxOldGenerationSizeMb: heap,
        // Many live connections fill a small young generation (dataplane-measurements 9b).
        maxYoungGenerationSizeMb: 64,
      },
      stallAfter,
      onReport: (report, column) => this.#hear(report, column),
      onDeath: (column, reason) =>
        this.#notice({ type: 'WorkerDied', text: `worker ${column} ended (${reason}) and is replaced` }),
      onStart: (member) =>
        this.#activation.catchUp(member, async () => {
          if (this.#open) await this.#listen(member)
          member.upToDate = true
        }),
    })
  }

  #hear(report: WorkerReport, column: number): void {
    if (report.type === 'log') {
      // From here on the sink answers for these bytes.
      Atomics.sub(this.#state.pod.words, POD_LOG_BYTES + column, report.batch.byteLength)
      this.#sink?.write(report.batch, report.lines, () => {})
    } else if (report.type === 'fault') {
      this.#faults++
      const second = Math.floor(this.#now() / 1_000)
      if (second !== this.#faultSecond) this.#faultsTold = 0
      this.#faultSecond = second
      // All are counted; a request that is sent again and again must not drown everything else that is printed.
      if (++this.#faultsTold > FAULTS_TOLD) return
      const request = report.requestId === '' ? '' : ` at request ${report.requestId}`
      const tenant = report.tenant === '' ? '' : ` of tenant ${report.tenant}`
      this.#notice({ type: 'Fault', text: `worker ${column} failed${request}${tenant}: ${report.message}` })
    }
  }

  /** The first worker finds the port where any will do; the others share it. */
  async #openPorts(): Promise<void> {
    if (this.#open || this.#draining) return
    const [first] = this.#pool.serving()
    if (first === undefined) return
    await this.#listen(first)
    this.#open = true
    await Promise.all(this.#pool.serving().map((member) => this.#listen(member)))
  }

  async #listen(member: WorkerMember): Promise<void> {
    if (this.#listening.has(member)) return
    this.#listening.add(member)
    const { http, https } = this.#ports
    const { host } = this.#options
    try {
      const report = await member.ask(
        { type: 'listen', host, port: http, tlsPort: https, share: this.#pool.size > 1 },
        'listening',
      )
      this.#ports = { http: report.port, https: report.tlsPort }
    } catch (error) {
      this.#listening.delete(member)
      throw error
    }
  }

  #isReady(): boolean {
    return !this.#draining && this.#open && this.#pool.serving().some((member) => this.#listening.has(member))
  }

  #facts(): PodFacts {
    return {
      version: this.#activation.version,
      activeSince: this.#activation.activeSince,
      refusals: this.#refusals,
      restarts: this.#pool.restarts,
      faults: this.#faults,
      logDropped: this.#sink?.dropped ?? 0,
      mainLag: this.#lastLag,
      startedAt: this.#startedAt,
    }
  }

  #snapshot(): Snapshot & { readonly sequence: number } {
    const { version, endpointsRevision, sequence } = this.#activation
    return {
      format: SNAPSHOT_FORMAT,
      version,
      endpointsRevision,
      sequence,
      shards: this.#activation.shards(),
      pools: this.#activation.activePools(),
    }
  }

  #sweep(): void {
    const gone = sweep(this.#state, this.#now(), {
      route: (record, key) => this.#budget.retire(record, key),
      tenant: (record) => this.#budget.retireTenant(record),
    })
    if (gone.length > 0) for (const member of this.#pool.serving()) member.tell({ type: 'forget', tenants: gone })
  }
}

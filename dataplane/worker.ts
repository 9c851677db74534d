// The composition root of one worker thread: tables, client side, data listeners, access log, and the orders of the
// main thread that change them. Started by worker-pool.ts; the same file runs in every worker of the pod.
import { getHeapStatistics } from 'node:v8'
import { parentPort, workerData } from 'node:worker_threads'
import { AddressRanges, type Cidr, parseCidr } from '../model/address.ts'
import { Hidden } from '../model/hidden.ts'
import { FILTERS } from '../policies/filters.ts'
import { HostTable } from './build/host-table.ts'
import { type AccessLog, createAccessLog } from './runtime/access-log.ts'
import { createHandler, type ServeContext } from './runtime/exchange.ts'
import { RequestIds } from './runtime/exchange-context.ts'
import { createRefuse } from './runtime/exchange-refusal.ts'
import { LeaseRegistry } from './runtime/leases.ts'
import { LoopLag } from './runtime/loop-lag.ts'
import { PoolTable } from './runtime/pools.ts'
import { SharedState } from './runtime/shared-state.ts'
import { ConnectionRoom } from './serve/connection-room.ts'
import { type DataListener, listen } from './serve/listener.ts'
import { TlsTable } from './tls/tls-table.ts'
import {
  MESSAGE_VERSION,
  readOrder,
  type Removals,
  seal,
  type WorkerOrder,
  type WorkerReport,
} from './worker-messages.ts'
import type { WorkerSettings } from './worker-messages.ts'
import { WorkerProgram } from './worker-program.ts'

/** The watchdog takes a second without a beat for a stall; four leave room for a busy loop. Milliseconds. */
const BEAT = 250
const LOOK = 1_000
const MESSAGE_LIMIT = 500
const HTTPS_PORT = 443

type Send = (report: WorkerReport, transfer?: readonly ArrayBuffer[]) => void

/** Everything of one worker. */
class ServingWorker {
  readonly #settings: WorkerSettings
  readonly #send: Send
  readonly #trusted: AddressRanges
  readonly #state: SharedState
  readonly #hosts = new HostTable()
  readonly #pools = new PoolTable()
  readonly #tls: TlsTable
  readonly #leases: LeaseRegistry
  readonly #room: ConnectionRoom
  readonly #log: AccessLog
  readonly #program: WorkerProgram
  readonly #context: ServeContext
  readonly #lag = new LoopLag()
  #listeners: DataListener[] = []
  #httpsPort: number

  constructor(settings: WorkerSettings, send: Send) {
    this.#settings = settings
    this.#send = send
    this.#room = new ConnectionRoom(settings.maxConnections)
    this.#httpsPort = settings.publicHttpsPort ?? HTTPS_PORT
    this.#trusted = new AddressRanges(settings.trustForwarded.flatMap(readCidr))
    this.#state = new SharedState(settings.state, settings.column)
    const certificate = settings.defaultCertificate
    this.#tls = new TlsTable(
      certificate === null
        ? {}
        : { defaultCertificate: { chainPem: certificate.chainPem, keyPem: new Hidden(certificate.keyPem) } },
    )
    this.#leases = new LeaseRegistry(this.#state.now)
    this.#log = this.#createLog()
    this.#program = new WorkerProgram({
      state: this.#state,
      pools: this.#pools,
      hosts: this.#hosts,
      tls: this.#tls,
      leases: this.#leases,
      filters: FILTERS,
    })
    this.#context = {
      hosts: this.#hosts,
      state: this.#state,
      log: this.#log,
      leases: this.#leases,
      requestIds: new RequestIds(settings.requestIdStart),
      fault: (error, { requestId, tenant }) => this.#fault(error, requestId, tenant),
      httpsPort: () => this.#httpsPort,
      wallClock: Date.now,
    }
  }

  start(): void {
    this.#lag.start()
    // Both timers keep the thread alive: it ends when it is told to, or dies.
    setInterval(() => this.#state.pod.beat(), BEAT)
    setInterval(() => this.#look(), LOOK)
    this.#send({ type: 'started' })
  }

  /** A defect in the swap is told and not a refusal: what was swapped by then serves. */
  async #commit(removals: Removals): Promise<void> {
    try {
      await this.#program.commit([], removals)
    } catch (error) {
      this.#fault(error, '', '')
    }
  }

  #fault(error: unknown, requestId: string, tenant: string): void {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#send({ type: 'fault', requestId, tenant, message: message.slice(0, MESSAGE_LIMIT) })
  }

  async obey(order: WorkerOrder): Promise<void> {
    switch (order.type) {
      case 'prepare': {
        if (order.first) this.#program.forgetPrepared()
        const refused = await this.#program.prepare(order.pools, order.tenants)
        const committed = order.commit !== null && refused.length === 0
        if (committed) await this.#commit(order.commit)
        this.#send({ type: 'prepared', request: order.request, refused, committed })
        return
      }
      case 'commit':
        await this.#program.commit(order.refused, order.removed)
        this.#send({ type: 'committed', request: order.request })
        return
      case 'forget':
        this.#program.forget(order.tenants)
        return
      case 'listen':
        await this.#listen(order)
        return
      case 'leave':
        for (const listener of this.#listeners) listener.leave()
        return
      case 'drain':
        await this.#drain(order)
        return
      case 'flush':
        await this.#log.flush()
        this.#send({ type: 'flushed', request: order.request })
    }
  }

  async #listen(order: Extract<WorkerOrder, { type: 'listen' }>): Promise<void> {
    const shared = {
      host: order.host,
      reusePort: order.share,
      handler: createHandler(this.#context),
      refuse: createRefuse(this.#context),
      trustForwarded: this.#trusted,
      leases: this.#leases,
      room: this.#room,
      fault: (error: unknown) => this.#context.fault(error, { requestId: '', tenant: '', route: null }),
    }
    const plain = await listen({ ...shared, port: order.port })
    this.#listeners.push(plain)
    let secure: DataListener | undefined
    if (order.tlsPort !== null) {
      try {
        secure = await listen({ ...shared, port: order.tlsPort, tls: this.#tls })
      } catch (error) {
        this.#listeners = []
        await plain.close()
        throw error
      }
      this.#listeners.push(secure)
      if (this.#settings.publicHttpsPort === null) this.#httpsPort = secure.port
    }
    this.#send({ type: 'listening', request: order.request, port: plain.port, tlsPort: secure?.port ?? null })
  }

  async #drain(order: Extract<WorkerOrder, { type: 'drain' }>): Promise<void> {
    const counts = await Promise.all(this.#listeners.map((listener) => listener.drain(order.milliseconds, order.idle)))
    await this.#log.flush()
    this.#send({
      type: 'drained',
      request: order.request,
      finished: counts.reduce((sum, { finished }) => sum + finished, 0),
      cut: counts.reduce((sum, { cut }) => sum + cut, 0),
    })
  }

  #createLog(): AccessLog {
    const { log } = this.#settings
    if (log === null) return { write: () => {}, flush: async () => {} }
    return createAccessLog({
      pod: log.pod,
      dropped: (lines) => this.#state.pod.logDropped(lines),
      send: (batch, lines) => {
        if (!this.#state.pod.reserveLog(batch.byteLength, log.limit)) return false
        this.#send({ type: 'log', batch, lines })
        return true
      },
    })
  }

  #look(): void {
    // process.memoryUsage reads a file, and throws where no descriptor is left (EMFILE).
    this.#state.pod.loop(this.#lag.take(), getHeapStatistics().used_heap_size)
    for (const [index, listener] of this.#listeners.entries()) {
      const { open, active } = listener.connections()
      this.#state.pod.connections(index === 0 ? 0 : 1, active, open - active)
    }
  }
}

function readCidr(text: string): Cidr[] {
  const cidr = parseCidr(text)
  if (cidr === undefined) throw new TypeError(`${text} is no range of addresses`)
  return [cidr]
}

function run(settings: WorkerSettings): void {
  const port = parentPort
  if (port === null) throw new TypeError('worker.ts runs in a worker thread')
  if (settings.version !== MESSAGE_VERSION) throw new TypeError('this worker was started by another build')
  const worker = new ServingWorker(settings, (report) => port.postMessage(seal(report)))
  port.on('message', (message: unknown) => {
    const order = readOrder(message)
    worker.obey(order).catch((error: NodeJS.ErrnoException) => {
      const request = 'request' in order ? order.request : 0
      port.postMessage(seal({ type: 'failed', request, code: error.code ?? '', message: error.message }))
    })
  })
  worker.start()
}

run(workerData as WorkerSettings)

// Counters of one worker in shared memory: plain additions in its own column, which nobody else writes. The main thread
// adds the columns up (metrics.ts). A worker that replaces a dead one goes on in the same column, so nothing is lost.
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { RouteMetrics, TenantMetrics } from './pod-state.ts'
import {
  bucketOf,
  CODE_CLASSES,
  classOf,
  ERROR_CODES,
  GENERATION,
  type Layout,
  LIMITS,
  POD_COLUMN,
  POD_LOG_BYTES,
  ROUTE_COLUMN,
  type TenantColumn,
} from './shared-state-layout.ts'

/** One buffer, seen as 32-bit words, 64-bit integers and doubles. */
export interface Views {
  readonly words: Int32Array
  readonly longs: BigInt64Array
  readonly doubles: Float64Array
}

export function createViews(buffer: SharedArrayBuffer): Views {
  return { words: new Int32Array(buffer), longs: new BigInt64Array(buffer), doubles: new Float64Array(buffer) }
}

/** What a worker counts for the pod as a whole. */
export class PodColumn {
  readonly #views: Views
  readonly #at: number
  readonly #beatAt: number
  readonly #logAt: number

  constructor(views: Views, layout: Layout, worker: number) {
    this.#views = views
    this.#at = layout.podColumnsAt + worker * POD_COLUMN.words
    this.#beatAt = layout.podBeatsAt + worker
    this.#logAt = POD_LOG_BYTES + worker
  }

  /** Once a second or more often: the watchdog terminates a worker that stops. */
  beat(): void {
    Atomics.add(this.#views.words, this.#beatAt, 1)
  }

  /** Milliseconds that the request spent here and not in a backend, and those that the backend took (0 for none). */
  request(overheadMs: number, upstreamMs: number): void {
    this.#add(POD_COLUMN.overheadBuckets + bucketOf(overheadMs), 1)
    this.#add(POD_COLUMN.overheadSum, overheadMs)
    if (upstreamMs <= 0) return
    this.#add(POD_COLUMN.upstreamBuckets + bucketOf(upstreamMs), 1)
    this.#add(POD_COLUMN.upstreamSum, upstreamMs)
  }

  /** Open connections of this worker as they are now: `protocol` 0 is http, 1 is https. */
  connections(protocol: 0 | 1, active: number, idle: number): void {
    const at = this.#at + POD_COLUMN.connections + protocol * 2
    this.#views.doubles[at] = active
    this.#views.doubles[at + 1] = idle
  }

  logDropped(lines: number): void {
    this.#add(POD_COLUMN.logDropped, lines)
  }

  /** Seconds of the worst delay of the loop since the last call, and bytes of heap in use. */
  loop(lagSeconds: number, heapUsed: number): void {
    this.#views.doubles[this.#at + POD_COLUMN.loopLag] = lagSeconds
    this.#views.doubles[this.#at + POD_COLUMN.heapUsed] = heapUsed
  }

  /** Takes room for log bytes on their way to the main thread. false: it has fallen too far behind. */
  reserveLog(bytes: number, limit: number): boolean {
    if (Atomics.add(this.#views.words, this.#logAt, bytes) + bytes <= limit) return true
    Atomics.sub(this.#views.words, this.#logAt, bytes)
    return false
  }

  #add(place: number, amount: number): void {
    const at = this.#at + place
    this.#views.doubles[at] = (this.#views.doubles[at] ?? 0) + amount
  }
}

/** Counters of one tenant, in this worker's column. */
export class SharedTenantMetrics implements TenantMetrics {
  readonly #doubles: Float64Array
  readonly #at: number
  readonly #column: TenantColumn
  readonly #policies: readonly string[]
  readonly #pod: PodColumn

  constructor(views: Views, layout: Layout, worker: number, pod: PodColumn) {
    this.#doubles = views.doubles
    this.#column = layout.column
    this.#at = layout.metricsAt + worker * layout.column.words
    this.#policies = layout.policies
    this.#pod = pod
  }

  request(
    status: number,
    durationMs: number,
    overheadMs: number,
    upstreamMs: number,
    bytesIn: number,
    bytesOut: number,
  ): void {
    const column = this.#column
    this.#add(column.classes + classOf(status), 1)
    this.#add(column.buckets + bucketOf(durationMs), 1)
    this.#add(column.durationSum, durationMs)
    this.#add(column.bytesIn, bytesIn)
    this.#add(column.bytesOut, bytesOut)
    this.#pod.request(overheadMs, upstreamMs)
  }

  active(delta: 1 | -1): void {
    this.#add(this.#column.active, delta)
  }

  gatewayError(code: GatewayErrorCode): void {
    this.#add(this.#column.gatewayErrors + ERROR_CODES.indexOf(code), 1)
  }

  upstreamError(code: GatewayErrorCode): void {
    this.#add(this.#column.upstreamErrors + ERROR_CODES.indexOf(code), 1)
  }

  upstreamRetry(result: 'success' | 'failure'): void {
    this.#add(this.#column.retries + (result === 'success' ? 0 : 1), 1)
  }

  limitDecision(limit: string, decision: 'allowed' | 'refused'): void {
    const known = (LIMITS as readonly string[]).indexOf(limit)
    const place = known < 0 ? LIMITS.length - 1 : known
    this.#add(this.#column.limits + place * 2 + (decision === 'allowed' ? 0 : 1), 1)
  }

  policyDecision(policy: string, decision: 'allowed' | 'refused'): void {
    const place = this.#policies.indexOf(policy)
    if (place >= 0) this.#add(this.#column.policies + place * 2 + (decision === 'allowed' ? 0 : 1), 1)
  }

  #add(place: number, amount: number): void {
    const at = this.#at + place
    this.#doubles[at] = (this.#doubles[at] ?? 0) + amount
  }
}

/** Counters of one route, in this worker's column. */
export class SharedRouteMetrics implements RouteMetrics {
  readonly #views: Views
  readonly #at: number
  readonly #generation: number
  readonly #columnAt: number

  constructor(views: Views, at: number, generation: number, worker: number) {
    this.#views = views
    this.#at = at
    this.#generation = generation
    this.#columnAt = at + 1 + worker * ROUTE_COLUMN
  }

  isAt(views: Views, at: number, generation: number): boolean {
    return this.#views === views && this.#at === at && this.#generation === generation
  }

  request(status: number, durationMs: number): void {
    if (Atomics.load(this.#views.words, this.#at * 2 + GENERATION) !== this.#generation) return
    const { doubles } = this.#views
    const count = this.#columnAt + classOf(status)
    const sum = this.#columnAt + CODE_CLASSES.length
    doubles[count] = (doubles[count] ?? 0) + 1
    doubles[sum] = (doubles[sum] ?? 0) + durationMs
  }
}

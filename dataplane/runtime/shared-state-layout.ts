// Where everything lies in the shared memory of a tenant, in words of 8 bytes. Pure: numbers only. The allocator (main
// thread) and SharedState (workers) read the same places through this; nothing else knows an offset.
import { GATEWAY_ERRORS, type GatewayErrorCode } from '../../model/gateway-error.ts'

/** Upper bounds of the latency buckets, in milliseconds; the sixteenth is +Inf. */
export const DURATION_BOUNDS: readonly number[] = [
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000,
]
export const BUCKETS = DURATION_BOUNDS.length + 1

/** Classes of status: 0 is "the client left before any". */
export const CODE_CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const

/** Every code that the gateway answers with, in the order of the columns. */
export const ERROR_CODES = Object.keys(GATEWAY_ERRORS) as readonly GatewayErrorCode[]

/** The tenant's own limits by name; every other limit counts as `policy`. */
export const LIMITS = ['requests', 'concurrency', 'connections', 'bodySize', 'policy'] as const

/** Places in the metrics column of a tenant, in words from its start. */
export interface TenantColumn {
  readonly classes: number
  readonly buckets: number
  readonly durationSum: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly active: number
  readonly gatewayErrors: number
  readonly upstreamErrors: number
  readonly retries: number
  readonly limits: number
  readonly policies: number
  readonly words: number
}

/** Places in the metrics column of the pod. */
export const POD_COLUMN = (() => {
  const overheadBuckets = 0
  const overheadSum = overheadBuckets + BUCKETS
  const upstreamBuckets = overheadSum + 1
  const upstreamSum = upstreamBuckets + BUCKETS
  const connections = upstreamSum + 1
  const logDropped = connections + 4
  const loopLag = logDropped + 1
  const heapUsed = loopLag + 1
  return {
    overheadBuckets,
    overheadSum,
    upstreamBuckets,
    upstreamSum,
    /** Four gauges: http and https, of each those with a request in flight and those without. */
    connections,
    logDropped,
    loopLag,
    heapUsed,
    words: heapUsed + 1,
  } as const
})()

/** Place of the first worker in the pod's page, as 32-bit words: bytes of log on their way to the main thread. */
export const POD_LOG_BYTES = 0

/** Words of a route's column: one for each class, and the sum of durations. */
export const ROUTE_COLUMN = CODE_CLASSES.length + 1

// 32-bit places from the start of a slot.
export const GENERATION = 0
export const ENDPOINT_TOTAL = 1
export const ENDPOINT_FAILURES = 2
export const ENDPOINT_EJECTED = 3
export const ENDPOINT_COLUMNS = 4
export const LIMITER_LEVEL = 1
export const LIMITER_OVERFLOWS = 2
// 64-bit places from the start of a limiter.
export const LIMITER_CELL = 2
export const LIMITER_OVERFLOW_CELL = 3

/** Sizes and offsets that depend on the number of workers and policies. The same in all threads. */
export interface Layout {
  readonly workers: number
  readonly policies: readonly string[]
  readonly column: TenantColumn
  readonly rootWords: number
  readonly routeWords: number
  readonly endpointWords: number
  readonly limiterWords: number
  /** Word of the tenant's metrics columns in its root. */
  readonly metricsAt: number
  /** Word of `until` in an endpoint. */
  readonly ejectedUntilAt: number
  readonly podWords: number
  /** 32-bit word of the first worker's beat in the pod's page. */
  readonly podBeatsAt: number
  readonly podColumnsAt: number
}

/** The layout for a pod of so many workers that run these policies. */
export function createLayout(workers: number, policies: readonly string[]): Layout {
  const column = createTenantColumn(policies.length)
  const metricsAt = 1 + workers
  const ejectedUntilAt = Math.ceil((ENDPOINT_COLUMNS + workers) / 2)
  // Log bytes and beats, one word each for each worker.
  const podColumnsAt = workers
  return {
    workers,
    policies,
    column,
    // Two 32-bit totals in the first word, then two 32-bit columns for each worker.
    rootWords: metricsAt + workers * column.words,
    routeWords: 1 + workers * ROUTE_COLUMN,
    endpointWords: ejectedUntilAt + 1,
    limiterWords: 4,
    metricsAt,
    ejectedUntilAt,
    podWords: podColumnsAt + workers * POD_COLUMN.words,
    podBeatsAt: workers,
    podColumnsAt,
  }
}

function createTenantColumn(policies: number): TenantColumn {
  const classes = 0
  const buckets = classes + CODE_CLASSES.length
  const durationSum = buckets + BUCKETS
  const bytesIn = durationSum + 1
  const bytesOut = bytesIn + 1
  const active = bytesOut + 1
  const gatewayErrors = active + 1
  const upstreamErrors = gatewayErrors + ERROR_CODES.length
  const retries = upstreamErrors + ERROR_CODES.length
  const limits = retries + 2
  const policyColumns = limits + LIMITS.length * 2
  return {
    classes,
    buckets,
    durationSum,
    bytesIn,
    bytesOut,
    active,
    gatewayErrors,
    upstreamErrors,
    retries,
    limits,
    policies: policyColumns,
    words: policyColumns + policies * 2,
  }
}

/** Where the concurrency count lies in a tenant's root, as 32-bit words: its total, and the column of a worker. */
export function concurrencyPlaces(column: number): { readonly total: number; readonly column: number } {
  return { total: 0, column: 2 + column * 2 }
}

/** The same for connections. */
export function connectionPlaces(column: number): { readonly total: number; readonly column: number } {
  return { total: 1, column: 3 + column * 2 }
}

/** Index of the bucket that a duration in milliseconds falls into. */
export function bucketOf(milliseconds: number): number {
  let bucket = 0
  while (bucket < DURATION_BOUNDS.length && milliseconds > (DURATION_BOUNDS[bucket] ?? 0)) bucket++
  return bucket
}

/** Index into CODE_CLASSES. */
export function classOf(status: number): number {
  const digit = Math.floor(status / 100)
  return digit >= 1 && digit <= 5 ? digit : 0
}

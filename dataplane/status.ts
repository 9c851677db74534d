// What /status says: one plain object from the activation and the shared memory. Read by people, `atrium` and tests.
import { GATEWAY_ERRORS } from '../model/gateway-error.ts'
import type { Activation } from './activation.ts'
import { countOf, ejectedUntil, heldBy, overflowsOf, totalsOf } from './runtime/metrics-totals.ts'
import type { StateAllocator, TenantRecord } from './runtime/shared-state-allocator.ts'
import { BUCKETS, CODE_CLASSES, DURATION_BOUNDS, ERROR_CODES } from './runtime/shared-state-layout.ts'
import { inFlight } from './runtime/shared-state-repair.ts'
import type { WorkerPool } from './worker-pool.ts'

/** The pod at one moment. */
export interface DataplaneStatus {
  readonly version: string
  readonly endpointsRevision: string
  readonly sequence: number
  /** RFC 3339, null before the first snapshot. */
  readonly activeSince: string | null
  readonly ready: boolean
  readonly draining: boolean
  readonly workers: { readonly ready: number; readonly all: number; readonly restarts: number }
  /** Tenants whose newest shard could not be made to run here. */
  readonly refused: readonly { readonly tenant: string; readonly message: string }[]
  /** The last trouble of the access log, '' for none. */
  readonly accessLog: string
  readonly stateBytes: number
  /** Of the process since its start. */
  readonly cpuSeconds: number
  readonly tenants: readonly TenantStatus[]
}

/** One tenant. */
export interface TenantStatus {
  readonly tenant: string
  readonly shardHash: string
  readonly suspended: boolean
  readonly routes: number
  /** Since the start, by class of status. */
  readonly requests: Readonly<Record<string, number>>
  readonly total: number
  /** Of them, how many a limit refused: the answers 429. */
  readonly limited: number
  /** Since the start, by the upper bound of their duration in milliseconds, `+Inf` the last. */
  readonly durations: Readonly<Record<string, number>>
  /** Of response bodies, since the start. */
  readonly bytesOut: number
  readonly activeRequests: number
  readonly concurrency: number
  readonly connections: number
  readonly limiterOverflows: number
  readonly endpoints: readonly EndpointStatus[]
}

export interface EndpointStatus {
  readonly namespace: string
  readonly service: string
  readonly servicePort: number
  readonly address: string
  readonly port: number
  readonly state: 'ready' | 'draining' | 'ejected'
  /** Milliseconds until the ejection ends, 0 where there is none. */
  readonly ejectedFor: number
  readonly inFlight: number
}

const SLICE = 5

/** Everything that the status is read from. */
export interface StatusSources {
  readonly state: StateAllocator
  readonly activation: Activation
  readonly pool: WorkerPool
  readonly now: () => number
  readonly ready: boolean
  readonly draining: boolean
  readonly accessLog: string
}

/** The status, of all tenants or of one. */
export async function readStatus(sources: StatusSources, only?: string): Promise<DataplaneStatus> {
  const { state, activation, pool } = sources
  const tenants: TenantStatus[] = []
  let from = performance.now()
  for (const record of state.tenants.values()) {
    if (record.releasedAt !== undefined || record.shard === undefined) continue
    if (only !== undefined && record.tenant !== only) continue
    tenants.push(statusOf(sources, record))
    if (performance.now() - from < SLICE) continue
    await new Promise((resolve) => setImmediate(resolve))
    from = performance.now()
  }
  const { user, system } = process.cpuUsage()
  return {
    version: activation.version,
    endpointsRevision: activation.endpointsRevision,
    sequence: activation.sequence,
    activeSince: activation.activeSince === 0 ? null : new Date(activation.activeSince).toISOString(),
    ready: sources.ready,
    draining: sources.draining,
    workers: { ready: pool.serving().length, all: pool.size, restarts: pool.restarts },
    refused: activation.refused().filter(({ tenant }) => only === undefined || tenant === only),
    accessLog: sources.accessLog,
    stateBytes: state.bytes(),
    cpuSeconds: (user + system) / 1e6,
    tenants,
  }
}

function statusOf({ state, now }: StatusSources, record: TenantRecord): TenantStatus {
  const { column } = state.layout
  const totals = totalsOf(state, record.memory.root)
  const requests: Record<string, number> = {}
  for (const [index, name] of CODE_CLASSES.entries()) requests[name] = totals[column.classes + index] ?? 0
  const durations: Record<string, number> = {}
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    durations[DURATION_BOUNDS[bucket] ?? '+Inf'] = totals[column.buckets + bucket] ?? 0
  }
  let limited = 0
  for (const [index, code] of ERROR_CODES.entries()) {
    if (GATEWAY_ERRORS[code].status === 429) limited += totals[column.gatewayErrors + index] ?? 0
  }
  const moment = now()
  const endpoints: EndpointStatus[] = []
  for (const { pool, endpoints: live } of record.pools.values()) {
    const draining = new Set(pool.endpoints.filter((plan) => plan.state === 'draining').map((plan) => plan.address))
    for (const endpoint of live.values()) {
      if (endpoint.slot.releasedAt !== undefined) continue
      const ejectedFor = Math.max(0, ejectedUntil(state, record, endpoint) - moment)
      endpoints.push({
        namespace: pool.id.namespace,
        service: pool.id.service,
        servicePort: pool.id.port,
        address: endpoint.address,
        port: endpoint.port,
        state: ejectedFor > 0 ? 'ejected' : draining.has(endpoint.address) ? 'draining' : 'ready',
        ejectedFor: Math.round(ejectedFor),
        inFlight: inFlight(record, endpoint),
      })
    }
  }
  return {
    tenant: record.tenant,
    shardHash: record.shard?.hash ?? '',
    suspended: record.shard?.suspended ?? false,
    routes: new Set(record.shard?.routes.map(({ id }) => JSON.stringify([id.namespace, id.route]))).size,
    requests,
    total: countOf(totals),
    limited,
    durations,
    bytesOut: totals[column.bytesOut] ?? 0,
    activeRequests: totals[column.active] ?? 0,
    ...heldBy(record),
    limiterOverflows: overflowsOf(record),
    endpoints,
  }
}

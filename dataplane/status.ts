// What /status says: one plain object from the activation and the shared memory. Read by people, `atrium` and tests.
import type { Activation } from './activation.ts'
import { countOf, ejectedUntil, heldBy, overflowsOf, totalsOf } from './runtime/metrics-totals.ts'
import type { StateAllocator, TenantRecord } from './runtime/shared-state-allocator.ts'
import { CODE_CLASSES } from './runtime/shared-state-layout.ts'
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
    tenants,
  }
}

function statusOf({ state, now }: StatusSources, record: TenantRecord): TenantStatus {
  const totals = totalsOf(state, record.memory.root)
  const requests: Record<string, number> = {}
  for (const [index, name] of CODE_CLASSES.entries()) requests[name] = totals[state.layout.column.classes + index] ?? 0
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
    activeRequests: totals[state.layout.column.active] ?? 0,
    ...heldBy(record),
    limiterOverflows: overflowsOf(record),
    endpoints,
  }
}

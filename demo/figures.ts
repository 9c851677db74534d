// From two readings of /metrics and the last seconds of the demo's clients to the rows of its table. Pure.
import type { Buckets } from './histogram.ts'
import { merged } from './histogram.ts'
import { type Sample, sumOf } from './metrics-text.ts'

/** Counters of one tenant at one moment. */
export interface Counters {
  readonly requests: number
  /** Answers of the classes 4xx and 5xx, and clients that left. */
  readonly unwell: number
  /** Refused by a limit. */
  readonly refused: number
}

/** One line of the table. */
export interface TenantRow {
  readonly tenant: string
  readonly routes: number
  readonly requestsPerSecond: number
  /** Milliseconds, undefined without samples. */
  readonly p50: number | undefined
  readonly p99: number | undefined
  /** Share of the requests that were refused or failed. */
  readonly errors: number
  /** Share of limits.requests that was asked for; undefined where there is no limit. */
  readonly ofLimit: number | undefined
  readonly refusedPerSecond: number
  readonly endpoints: { readonly ready: number; readonly all: number }
  readonly suspended: boolean
}

/** What the table needs of a tenant's shard. */
export interface TenantFacts {
  readonly tenant: string
  readonly routes: number
  readonly ratePerSecond: number | undefined
  readonly suspended: boolean
}

/** The counters of a tenant in a reading of /metrics. */
export function countersOf(samples: readonly Sample[], tenant: string): Counters {
  const classOf = (codeClass: string) => sumOf(samples, 'atrium_http_requests_total', { tenant, code_class: codeClass })
  const requests = sumOf(samples, 'atrium_http_requests_total', { tenant })
  const well = classOf('1xx') + classOf('2xx') + classOf('3xx')
  const refused = sumOf(samples, 'atrium_limit_decisions_total', { tenant, decision: 'refused' })
  return { requests, unwell: requests - well, refused }
}

/** A row from what changed between two readings, `seconds` apart, and the latencies seen meanwhile. */
export function rowOf(
  facts: TenantFacts,
  change: { readonly before: Counters; readonly after: Counters; readonly seconds: number },
  latencies: readonly Buckets[],
  endpoints: TenantRow['endpoints'],
): TenantRow {
  const per = (value: number) => Math.max(0, value) / change.seconds
  const requests = change.after.requests - change.before.requests
  const histogram = merged(latencies)
  const requestsPerSecond = per(requests)
  return {
    tenant: facts.tenant,
    routes: facts.routes,
    requestsPerSecond,
    p50: histogram.percentile(0.5),
    p99: histogram.percentile(0.99),
    errors: requests <= 0 ? 0 : Math.min(1, (change.after.unwell - change.before.unwell) / requests),
    ofLimit: facts.ratePerSecond === undefined ? undefined : Math.min(1, requestsPerSecond / facts.ratePerSecond),
    refusedPerSecond: per(change.after.refused - change.before.refused),
    endpoints,
    suspended: facts.suspended,
  }
}

/** `Serving`, `Limited`, `1 of 2 endpoints` … */
export function stateWord(row: TenantRow): string {
  if (row.suspended) return 'Suspended'
  if (row.endpoints.all > 0 && row.endpoints.ready === 0) return 'No endpoints'
  return row.refusedPerSecond >= 1 ? 'Limited' : 'Serving'
}

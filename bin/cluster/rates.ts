// From two readings of the controller's /api/v1/top to what happened in between: rates, parts, percentiles. Pure.
// `atrium top` prints them. What an older controller does not tell counts as nothing.
import type { TopAnswer, TopLine } from '../../controller/api/answers.ts'

/** What a table may be sorted by. */
export const ORDERS = ['requests', 'p99', 'errors', 'limited', 'bytes', 'in-flight', 'connections', 'name'] as const
export type Order = (typeof ORDERS)[number]

/** A tenant between two readings. */
export interface Rates {
  readonly tenant: string
  /** Requests a second. */
  readonly requests: number
  /** Milliseconds, within the bounds of the buckets; null without requests. */
  readonly p50: number | null
  readonly p99: number | null
  /** Parts of the requests, 0 to 1; clientErrors without those that a limit refused. */
  readonly clientErrors: number
  readonly serverErrors: number
  readonly limited: number
  /** Bytes of response bodies a second. */
  readonly bytesOut: number
  readonly inFlight: number
  readonly connections: number
  readonly routes: number
  readonly endpoints: { readonly ready: number; readonly all: number }
}

type Counts = Readonly<Record<string, number>>

/** Rates, in the order that was asked for. A counter that went back (a pod that ended) counts as nothing. */
export function ratesBetween(before: TopAnswer, after: TopAnswer, by: Order): readonly Rates[] {
  const seconds = secondsBetween(before, after)
  const former = new Map(before.tenants.map((line) => [line.tenant, line]))
  const rates = after.tenants.map((line) => ratesOf(former.get(line.tenant), line, seconds))
  const weight = weightBy(by)
  return weight === undefined ? rates : rates.sort((a, b) => weight(b) - weight(a))
}

/** Cores that the pods kept busy, and how many threads serve; undefined where that is not told. */
export function coresBetween(
  before: TopAnswer,
  after: TopAnswer,
): { readonly busy: number; readonly workers: number } | undefined {
  const now: Partial<TopAnswer>['cpu'] = after.cpu
  if (now === undefined || now === null || now.workers === 0) return undefined
  const grown = Math.max(0, now.seconds - (before.cpu?.seconds ?? 0))
  return { busy: grown / secondsBetween(before, after), workers: now.workers }
}

function secondsBetween(before: TopAnswer, after: TopAnswer): number {
  return Math.max(0.001, (Date.parse(after.time) - Date.parse(before.time)) / 1_000)
}

function ratesOf(former: Partial<TopLine> | undefined, line: TopLine, seconds: number): Rates {
  const requests = grownCounts(former?.requests, line.requests)
  const durations = grownCounts(former?.durations, line.durations)
  const grown = (name: 'limited' | 'bytesOut') => Math.max(0, (line[name] ?? 0) - (former?.[name] ?? 0))
  const all = Object.values(requests).reduce((sum, count) => sum + count, 0)
  const part = (count: number) => (all === 0 ? 0 : Math.min(1, Math.max(0, count) / all))
  const limited = grown('limited')
  return {
    tenant: line.tenant,
    requests: all / seconds,
    p50: quantile(durations, 0.5),
    p99: quantile(durations, 0.99),
    clientErrors: part((requests['4xx'] ?? 0) - limited),
    serverErrors: part(requests['5xx'] ?? 0),
    limited: part(limited),
    bytesOut: grown('bytesOut') / seconds,
    inFlight: line.activeRequests,
    connections: line.connections,
    routes: line.routes,
    endpoints: line.endpoints,
  }
}

function grownCounts(before: Counts | undefined, after: Counts | undefined): Counts {
  const entries = Object.entries(after ?? {})
  return Object.fromEntries(entries.map(([name, count]) => [name, Math.max(0, count - (before?.[name] ?? 0))]))
}

/**
 * What `share` of the samples do not exceed, in milliseconds: in the middle of a bucket by proportion, as Prometheus
 * does it. The last bound where it lies beyond that, null without samples.
 */
export function quantile(counts: Counts, share: number): number | null {
  const buckets = Object.entries(counts)
    .map(([bound, count]) => ({ bound: bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound), count }))
    .sort((a, b) => a.bound - b.bound)
  let left = buckets.reduce((sum, { count }) => sum + count, 0) * share
  if (left === 0) return null
  let from = 0
  for (const { bound, count } of buckets) {
    if (count > 0 && left <= count) {
      return bound === Number.POSITIVE_INFINITY ? from : from + (bound - from) * (left / count)
    }
    left -= count
    from = bound
  }
  return null
}

function weightBy(by: Order): ((each: Rates) => number) | undefined {
  if (by === 'name') return undefined
  const weights: Readonly<Record<Exclude<Order, 'name'>, (each: Rates) => number>> = {
    requests: ({ requests }) => requests,
    p99: ({ p99 }) => p99 ?? 0,
    errors: ({ serverErrors, requests }) => serverErrors * requests,
    limited: ({ limited, requests }) => limited * requests,
    bytes: ({ bytesOut }) => bytesOut,
    'in-flight': ({ inFlight }) => inFlight,
    connections: ({ connections }) => connections,
  }
  return weights[by]
}

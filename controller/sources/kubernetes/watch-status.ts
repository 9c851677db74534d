// How a list-and-watch fares, for people and for metrics. Types and text only. reflector keeps one; source.watches()
// hands them out; whoever serves the controller's metrics renders them.

/** One list-and-watch. Times are milliseconds since the epoch. */
export interface WatchStatus {
  /** Plural name of the resource, such as `routes`. */
  readonly resource: string
  /** '' for all namespaces. */
  readonly namespace: string
  /** Whether a first complete list was there. */
  readonly synced: boolean
  /** When the server last said anything about it (an answer, an event, a bookmark); 0 before the first. */
  readonly lastEventAt: number
  /** Complete lists after the first. */
  readonly relists: number
  readonly failures: number
  /** Objects that could not be read. */
  readonly unreadable: number
  /** What is wrong now, one sentence; what was read before stays in use. */
  readonly problem?: string
  /** Since when something is wrong. */
  readonly failingSince?: number
}

/** Prometheus text of the watches: one series for each resource, the oldest of its namespaces. */
export function renderWatchMetrics(statuses: readonly WatchStatus[]): string {
  const byResource = new Map<string, { last: number; relists: number; failures: number; failing: number }>()
  for (const status of statuses) {
    const sum = byResource.get(status.resource) ?? {
      last: Number.POSITIVE_INFINITY,
      relists: 0,
      failures: 0,
      failing: 0,
    }
    byResource.set(status.resource, {
      last: Math.min(sum.last, status.lastEventAt),
      relists: sum.relists + status.relists,
      failures: sum.failures + status.failures,
      failing: sum.failing + (status.problem === undefined ? 0 : 1),
    })
  }
  const resources = [...byResource].sort(([a], [b]) => (a < b ? -1 : 1))
  const family = (name: string, type: string, help: string, value: (sum: (typeof resources)[number][1]) => number) =>
    [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} ${type}`,
      ...resources.map(([resource, sum]) => `${name}{resource="${resource}"} ${value(sum)}`),
      '',
    ].join('\n')
  return [
    family(
      'atrium_watch_last_event_timestamp_seconds',
      'gauge',
      'When the API server last said anything about a resource; the oldest of its watches.',
      (sum) => sum.last / 1_000,
    ),
    family('atrium_watch_relists_total', 'counter', 'Complete lists after the first.', (sum) => sum.relists),
    family('atrium_watch_failures_total', 'counter', 'Lists and watches that failed.', (sum) => sum.failures),
    family('atrium_watch_failing', 'gauge', 'Watches that do not work now.', (sum) => sum.failing),
  ].join('')
}

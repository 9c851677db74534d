// Every metric that a dataplane pod shows: name, kind, labels and the question that it answers. Pure. metrics.ts writes
// HELP and TYPE from it, docs/reference is generated from it.

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary'

/** One metric family. */
export interface Metric {
  readonly name: string
  readonly type: MetricType
  readonly labels: readonly string[]
  /** The question it answers. */
  readonly help: string
  /** lean: for every tenant. full: for the busiest tenants. pod: once for the pod. */
  readonly width: 'lean' | 'full' | 'route' | 'pod'
}

/** In the order of the exposition (ux conventions 5.3). */
export const METRICS = {
  requests: {
    name: 'atrium_http_requests_total',
    type: 'counter',
    labels: ['tenant', 'code_class'],
    help: 'How many requests did each tenant get, and how were they answered? none: the client left first.',
    width: 'lean',
  },
  duration: {
    name: 'atrium_http_request_duration_seconds',
    type: 'histogram',
    labels: ['tenant'],
    help: 'How long did requests take, from the head to the last byte? Only the busiest tenants have all buckets.',
    width: 'lean',
  },
  overhead: {
    name: 'atrium_http_overhead_seconds',
    type: 'histogram',
    labels: [],
    help: 'How much of that time was spent here and not in a backend?',
    width: 'pod',
  },
  active: {
    name: 'atrium_http_active_requests',
    type: 'gauge',
    labels: ['tenant'],
    help: 'How many requests are in flight now?',
    width: 'full',
  },
  bytesIn: {
    name: 'atrium_http_request_bytes_total',
    type: 'counter',
    labels: ['tenant'],
    help: 'How many bytes of request bodies came in?',
    width: 'full',
  },
  bytesOut: {
    name: 'atrium_http_response_bytes_total',
    type: 'counter',
    labels: ['tenant'],
    help: 'How many bytes of response bodies went out?',
    width: 'full',
  },
  gatewayErrors: {
    name: 'atrium_gateway_errors_total',
    type: 'counter',
    labels: ['tenant', 'reason'],
    help: 'What did the gateway answer by itself, and why? _other: all reasons of a tenant that has few requests.',
    width: 'lean',
  },
  routeRequests: {
    name: 'atrium_route_requests_total',
    type: 'counter',
    labels: ['tenant', 'route_namespace', 'route', 'code_class'],
    help: 'How many requests did each route get? _other: all routes beyond the series budget.',
    width: 'route',
  },
  routeDuration: {
    name: 'atrium_route_duration_seconds',
    type: 'summary',
    labels: ['tenant', 'route_namespace', 'route'],
    help: 'How long did the requests of each route take?',
    width: 'route',
  },
  upstream: {
    name: 'atrium_upstream_duration_seconds',
    type: 'histogram',
    labels: [],
    help: 'How long did backends take?',
    width: 'pod',
  },
  upstreamErrors: {
    name: 'atrium_upstream_errors_total',
    type: 'counter',
    labels: ['tenant', 'reason'],
    help: 'Which attempts at a backend failed, and how?',
    width: 'full',
  },
  upstreamRetries: {
    name: 'atrium_upstream_retries_total',
    type: 'counter',
    labels: ['tenant', 'result'],
    help: 'How often was another endpoint tried, and did that help?',
    width: 'full',
  },
  endpoints: {
    name: 'atrium_endpoints',
    type: 'gauge',
    labels: ['tenant', 'state'],
    help: 'How many endpoints does a tenant have, and how are they?',
    width: 'full',
  },
  limitDecisions: {
    name: 'atrium_limit_decisions_total',
    type: 'counter',
    labels: ['tenant', 'limit', 'decision'],
    help: 'Whom did the limits of a tenant refuse? _other: all limits of a tenant that has few requests.',
    width: 'lean',
  },
  limitUsage: {
    name: 'atrium_limit_usage_ratio',
    type: 'gauge',
    labels: ['tenant', 'limit'],
    help: 'How close is a tenant to its limit, from 0 to 1?',
    width: 'full',
  },
  limiterOverflows: {
    name: 'atrium_limiter_overflows_total',
    type: 'counter',
    labels: ['tenant'],
    help: 'How many requests shared one bucket because a limit had more keys than it keeps? Absent: none.',
    width: 'lean',
  },
  policyDecisions: {
    name: 'atrium_policy_decisions_total',
    type: 'counter',
    labels: ['tenant', 'policy', 'decision'],
    help: 'Whom did each policy refuse?',
    width: 'full',
  },
  connections: {
    name: 'atrium_connections',
    type: 'gauge',
    labels: ['protocol', 'state'],
    help: 'How many client connections are open?',
    width: 'pod',
  },
  snapshotActive: {
    name: 'atrium_snapshot_active_timestamp_seconds',
    type: 'gauge',
    labels: [],
    help: 'When did the newest snapshot become active?',
    width: 'pod',
  },
  snapshotInfo: {
    name: 'atrium_snapshot_info',
    type: 'gauge',
    labels: ['version'],
    help: 'Which snapshot is active?',
    width: 'pod',
  },
  refusals: {
    name: 'atrium_shard_refusals_total',
    type: 'counter',
    labels: ['tenant', 'reason'],
    help: 'Whose configuration could not be made to run here and kept its last form?',
    width: 'lean',
  },
  restarts: {
    name: 'atrium_worker_restarts_total',
    type: 'counter',
    labels: [],
    help: 'How often did a worker thread die and was replaced?',
    width: 'pod',
  },
  faults: {
    name: 'atrium_faults_total',
    type: 'counter',
    labels: [],
    help: 'How often did our own code fail at a request? Each is in the log.',
    width: 'pod',
  },
  loopLag: {
    name: 'atrium_eventloop_lag_seconds',
    type: 'gauge',
    labels: ['worker'],
    help: 'How long did one turn of the loop hold everything else up, at most, in the last second? main: serves no request.',
    width: 'pod',
  },
  logDropped: {
    name: 'atrium_access_log_dropped_total',
    type: 'counter',
    labels: [],
    help: 'How many access lines were lost because the reader or the disk was too slow?',
    width: 'pod',
  },
  seriesOver: {
    name: 'atrium_series_over_budget',
    type: 'gauge',
    labels: [],
    help: 'How many series beyond the budget does this pod show, because it has so many tenants?',
    width: 'pod',
  },
  seriesDropped: {
    name: 'atrium_series_dropped_total',
    type: 'counter',
    labels: [],
    help: 'How many series of routes were folded into _other?',
    width: 'pod',
  },
  stateBytes: {
    name: 'atrium_shared_state_bytes',
    type: 'gauge',
    labels: [],
    help: 'How much memory do counters, limits and key tables take?',
    width: 'pod',
  },
  cpu: {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    labels: [],
    help: 'How much CPU time did the process use?',
    width: 'pod',
  },
  memory: {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    labels: [],
    help: 'How much memory does the process hold?',
    width: 'pod',
  },
  started: {
    name: 'process_start_time_seconds',
    type: 'gauge',
    labels: [],
    help: 'When did the process start?',
    width: 'pod',
  },
  heap: {
    name: 'nodejs_heap_size_used_bytes',
    type: 'gauge',
    labels: ['worker'],
    help: 'How much of its heap does each worker use?',
    width: 'pod',
  },
} as const satisfies Readonly<Record<string, Metric>>

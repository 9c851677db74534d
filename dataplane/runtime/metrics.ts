// /metrics: the shared memory of all workers as Prometheus text 0.0.4, or OpenMetrics 1.0 for whoever asks for it.
// Written family by family in pieces, with a turn of the loop between them, so that a scrape of any size holds nothing
// up. The main thread calls it; it reads and never writes.
import type { StateAllocator, TenantRecord } from './shared-state-allocator.ts'
import { BUCKETS, CODE_CLASSES, DURATION_BOUNDS, ERROR_CODES, LIMITS, POD_COLUMN } from './shared-state-layout.ts'
import type { SeriesBudget } from './metrics-budget.ts'
import { METRICS, type Metric } from './metrics-table.ts'
import {
  countOf,
  endpointsOf,
  overflowsOf,
  podTotals,
  podValue,
  type TenantTotals,
  totalsOf,
  usageOf,
} from './metrics-totals.ts'

/** What the main thread knows beside the shared memory. */
export interface PodFacts {
  readonly version: string
  /** Milliseconds since the epoch, 0 for never. */
  readonly activeSince: number
  /** By tenant, since the start. */
  readonly refusals: ReadonlyMap<string, number>
  readonly restarts: number
  readonly faults: number
  /** Lines that the sink lost, beside those that workers could not hand over. */
  readonly logDropped: number
  /** Seconds of the longest turn of the main thread's loop in the last second. */
  readonly mainLag: number
  /** Seconds since the epoch. */
  readonly startedAt: number
}

/** Which of the two text forms is asked for. */
export type MetricsFormat = 'prometheus' | 'openmetrics'

/** Content types of the two. */
export const METRICS_TYPES: Readonly<Record<MetricsFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

/** The label of requests that no tenant owns. No tenant can have it: names begin with a letter or a digit. */
const NOBODY = '_none'
const OTHER = '_other'
/** Milliseconds of work before the loop gets its turn. */
const SLICE = 5
const CHUNK = 65_536

type Labels = readonly (readonly [name: string, value: string])[]

/** One tenant in this look. */
interface Shown {
  readonly tenant: string
  readonly record: TenantRecord | undefined
  readonly totals: TenantTotals
  readonly full: boolean
}

/**
 * The whole text in pieces.
 * @param now the pod's monotonic milliseconds.
 */
export async function* writeMetrics(
  state: StateAllocator,
  budget: SeriesBudget,
  facts: PodFacts,
  format: MetricsFormat,
  now: number,
): AsyncGenerator<string> {
  const text = new Exposition(format)
  let from = performance.now()
  const pause = async () => {
    if (performance.now() - from < SLICE) return
    await new Promise((resolve) => setImmediate(resolve))
    from = performance.now()
  }
  await budget.deal(now, pause)
  const tenants: Shown[] = [{ tenant: NOBODY, record: undefined, totals: totalsOf(state, state.unowned), full: true }]
  for (const record of state.tenants.values()) {
    const { tenant } = record
    tenants.push({ tenant, record, totals: totalsOf(state, record.memory.root), full: budget.isFull(tenant) })
    await pause()
  }
  for (const write of familiesOf(state, now)) {
    text.begin(write.metric)
    for (const shown of tenants) {
      if (shown.full || write.metric.width === 'lean') write.tenant(text, shown)
      if (text.length > CHUNK) yield text.take()
      await pause()
    }
  }
  const { shown, other } = await budget.routes(pause)
  const routes = shown.map(({ route: { id }, totals }) => ({
    labels: [
      ['tenant', id.tenant],
      ['route_namespace', id.namespace],
      ['route', id.route],
    ] as Labels,
    totals,
  }))
  const merged = mergeRules(routes)
  if (countOf(other) > 0) {
    merged.push({
      labels: [
        ['tenant', OTHER],
        ['route_namespace', OTHER],
        ['route', OTHER],
      ],
      totals: other,
    })
  }
  text.begin(METRICS.routeRequests)
  for (const { labels, totals } of merged) writeClasses(text, labels, totals, 0)
  text.begin(METRICS.routeDuration)
  for (const { labels, totals } of merged) {
    text.sample('_sum', labels, (totals[CODE_CLASSES.length] ?? 0) / 1000)
    text.sample('_count', labels, countOf(totals))
  }
  writePod(text, state, budget, facts)
  yield text.end()
}

/** The whole text at once, for tests and the command line. */
export async function metricsText(
  state: StateAllocator,
  budget: SeriesBudget,
  facts: PodFacts,
  format: MetricsFormat,
  now: number,
): Promise<string> {
  let whole = ''
  for await (const piece of writeMetrics(state, budget, facts, format, now)) whole += piece
  return whole
}

interface Family {
  readonly metric: Metric
  tenant(text: Exposition, shown: Shown): void
}

function familiesOf(state: StateAllocator, now: number): readonly Family[] {
  const { column, policies } = state.layout
  const single = (metric: Metric, place: number): Family => ({
    metric,
    tenant: (text, { tenant, totals }) => text.sample('', [['tenant', tenant]], totals[place] ?? 0),
  })
  return [
    {
      metric: METRICS.requests,
      tenant: (text, { tenant, totals }) => writeClasses(text, [['tenant', tenant]], totals, column.classes),
    },
    {
      metric: METRICS.duration,
      tenant: (text, { tenant, totals, full }) =>
        text.histogram([['tenant', tenant]], totals, column.buckets, (totals[column.durationSum] ?? 0) / 1000, full),
    },
    single(METRICS.active, column.active),
    single(METRICS.bytesIn, column.bytesIn),
    single(METRICS.bytesOut, column.bytesOut),
    {
      metric: METRICS.gatewayErrors,
      tenant: (text, shown) => writeReasons(text, shown, column.gatewayErrors),
    },
    {
      metric: METRICS.upstreamErrors,
      tenant: (text, shown) => writeReasons(text, shown, column.upstreamErrors),
    },
    {
      metric: METRICS.upstreamRetries,
      tenant: (text, { tenant, totals }) => {
        for (const [index, result] of ['success', 'failure'].entries()) {
          const labels: Labels = [
            ['tenant', tenant],
            ['result', result],
          ]
          text.sampleIfAny('', labels, totals[column.retries + index] ?? 0)
        }
      },
    },
    {
      metric: METRICS.endpoints,
      tenant: (text, { tenant, record }) => {
        if (record === undefined || record.pools.size === 0) return
        for (const [name, count] of Object.entries(endpointsOf(state, record, now))) {
          text.sample(
            '',
            [
              ['tenant', tenant],
              ['state', name],
            ],
            count,
          )
        }
      },
    },
    {
      metric: METRICS.limitDecisions,
      tenant: (text, shown) => writeDecisions(text, shown, 'limit', LIMITS, column.limits, !shown.full),
    },
    {
      metric: METRICS.limitUsage,
      tenant: (text, { tenant, record }) => {
        if (record === undefined) return
        for (const [limit, share] of usageOf(record, now)) {
          text.sample(
            '',
            [
              ['tenant', tenant],
              ['limit', limit],
            ],
            share,
          )
        }
      },
    },
    {
      metric: METRICS.limiterOverflows,
      tenant: (text, { tenant, record }) => {
        if (record !== undefined) text.sampleIfAny('', [['tenant', tenant]], overflowsOf(record))
      },
    },
    {
      metric: METRICS.policyDecisions,
      tenant: (text, shown) => writeDecisions(text, shown, 'policy', policies, column.policies, false),
    },
  ]
}

function writePod(text: Exposition, state: StateAllocator, budget: SeriesBudget, facts: PodFacts): void {
  const totals = podTotals(state)
  const one = (metric: Metric, value: number, labels: Labels = []) => {
    text.begin(metric)
    text.sample('', labels, value)
  }
  text.begin(METRICS.overhead)
  text.histogram([], totals, POD_COLUMN.overheadBuckets, (totals[POD_COLUMN.overheadSum] ?? 0) / 1000, true)
  text.begin(METRICS.upstream)
  text.histogram([], totals, POD_COLUMN.upstreamBuckets, (totals[POD_COLUMN.upstreamSum] ?? 0) / 1000, true)
  text.begin(METRICS.connections)
  for (const [index, protocol] of ['http', 'https'].entries()) {
    for (const [offset, name] of ['active', 'idle'].entries()) {
      const value = totals[POD_COLUMN.connections + index * 2 + offset] ?? 0
      text.sample(
        '',
        [
          ['protocol', protocol],
          ['state', name],
        ],
        value,
      )
    }
  }
  if (facts.activeSince > 0) {
    one(METRICS.snapshotActive, facts.activeSince / 1000)
    one(METRICS.snapshotInfo, 1, [['version', facts.version]])
  }
  text.begin(METRICS.refusals)
  for (const [tenant, count] of facts.refusals) {
    text.sample(
      '',
      [
        ['tenant', tenant],
        ['reason', 'NotBuildable'],
      ],
      count,
    )
  }
  one(METRICS.restarts, facts.restarts)
  one(METRICS.faults, facts.faults)
  text.begin(METRICS.loopLag)
  for (let worker = 0; worker < state.layout.workers; worker++) {
    text.sample('', [['worker', String(worker)]], podValue(state, worker, POD_COLUMN.loopLag))
  }
  text.sample('', [['worker', 'main']], facts.mainLag)
  one(METRICS.logDropped, (totals[POD_COLUMN.logDropped] ?? 0) + facts.logDropped)
  one(METRICS.seriesDropped, budget.dropped)
  one(METRICS.stateBytes, state.bytes())
  const usage = process.cpuUsage()
  one(METRICS.cpu, (usage.user + usage.system) / 1e6)
  one(METRICS.memory, process.memoryUsage.rss())
  one(METRICS.started, facts.startedAt)
  text.begin(METRICS.heap)
  for (let worker = 0; worker < state.layout.workers; worker++) {
    text.sample('', [['worker', String(worker)]], podValue(state, worker, POD_COLUMN.heapUsed))
  }
  // Last, because it counts what stands before it, itself included.
  one(METRICS.seriesOver, Math.max(0, text.samples + 1 - budget.limit))
}

function writeClasses(text: Exposition, labels: Labels, totals: Float64Array, at: number): void {
  for (const [index, name] of CODE_CLASSES.entries()) {
    text.sampleIfAny('', [...labels, ['code_class', name]], totals[at + index] ?? 0)
  }
}

/** By reason where a tenant is shown in full, all reasons in one otherwise. */
function writeReasons(text: Exposition, { tenant, totals, full }: Shown, at: number): void {
  let all = 0
  for (const [index, reason] of ERROR_CODES.entries()) {
    const count = totals[at + index] ?? 0
    all += count
    if (full)
      text.sampleIfAny(
        '',
        [
          ['tenant', tenant],
          ['reason', reason],
        ],
        count,
      )
  }
  if (!full)
    text.sampleIfAny(
      '',
      [
        ['tenant', tenant],
        ['reason', OTHER],
      ],
      all,
    )
}

function writeDecisions(
  text: Exposition,
  { tenant, totals }: Shown,
  label: string,
  names: readonly string[],
  at: number,
  folded: boolean,
): void {
  const all = [0, 0]
  for (const [index, name] of names.entries()) {
    for (const [offset, decision] of ['allowed', 'refused'].entries()) {
      const count = totals[at + index * 2 + offset] ?? 0
      all[offset] = (all[offset] ?? 0) + count
      if (!folded)
        text.sampleIfAny(
          '',
          [
            ['tenant', tenant],
            [label, name],
            ['decision', decision],
          ],
          count,
        )
    }
  }
  if (!folded) return
  for (const [offset, decision] of ['allowed', 'refused'].entries()) {
    text.sampleIfAny(
      '',
      [
        ['tenant', tenant],
        [label, OTHER],
        ['decision', decision],
      ],
      all[offset] ?? 0,
    )
  }
}

/** Rules of one Route are counted apart and shown together: the labels name the Route. */
function mergeRules(
  routes: readonly { readonly labels: Labels; readonly totals: Float64Array }[],
): { readonly labels: Labels; readonly totals: Float64Array }[] {
  const merged = new Map<string, { labels: Labels; totals: Float64Array }>()
  for (const { labels, totals } of routes) {
    const key = JSON.stringify(labels)
    const present = merged.get(key)
    if (present === undefined) merged.set(key, { labels, totals })
    else
      for (let word = 0; word < totals.length; word++)
        present.totals[word] = (present.totals[word] ?? 0) + (totals[word] ?? 0)
  }
  return [...merged.values()]
}

/** Writes lines of either format. */
class Exposition {
  /** Lines that are samples. */
  samples = 0
  readonly #open: boolean
  #text = ''
  #name = ''

  constructor(format: MetricsFormat) {
    this.#open = format === 'openmetrics'
  }

  get length(): number {
    return this.#text.length
  }

  begin(metric: Metric): void {
    this.#name = metric.name
    // OpenMetrics names the family without the suffix that its samples have.
    const family = this.#open && metric.type === 'counter' ? metric.name.replace(/_total$/, '') : metric.name
    this.#text += `# HELP ${family} ${escapeHelp(metric.help, this.#open)}\n# TYPE ${family} ${metric.type}\n`
  }

  sample(suffix: string, labels: Labels, value: number): void {
    this.samples++
    this.#text += `${this.#name}${suffix}${writeLabels(labels)} ${value}\n`
  }

  /** Counters that never moved are left out: most reasons of most tenants. */
  sampleIfAny(suffix: string, labels: Labels, value: number): void {
    if (value !== 0) this.sample(suffix, labels, value)
  }

  /** A histogram whose buckets stand at `at`; lean: only what is needed for a mean. */
  histogram(labels: Labels, totals: Float64Array, at: number, sum: number, full: boolean): void {
    let count = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      count += totals[at + bucket] ?? 0
      const bound = DURATION_BOUNDS[bucket]
      if (bound !== undefined && !full) continue
      const le = bound === undefined ? '+Inf' : writeBound(bound / 1000)
      this.sample('_bucket', [...labels, ['le', le]], count)
    }
    this.sample('_sum', labels, sum)
    this.sample('_count', labels, count)
  }

  /** What is written so far, to be sent. */
  take(): string {
    const text = this.#text
    this.#text = ''
    return text
  }

  end(): string {
    return this.take() + (this.#open ? '# EOF\n' : '')
  }
}

function writeBound(seconds: number): string {
  // OpenMetrics wants floating point bounds to look like ones.
  return Number.isInteger(seconds) ? `${seconds}.0` : String(seconds)
}

function writeLabels(labels: Labels): string {
  if (labels.length === 0) return ''
  return `{${labels.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(',')}}`
}

/** Prometheus text format 0.0.4: backslash, double quote and line feed in label values. */
export function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function escapeHelp(help: string, open: boolean): string {
  const escaped = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
  return open ? escaped.replaceAll('"', '\\"') : escaped
}

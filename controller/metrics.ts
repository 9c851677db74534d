// The controller's metrics (names and questions: ux conventions): what the loop, the watches and the pods came to, as
// text when somebody asks. controller/cluster.ts feeds it; admin.ts shows it on the metrics port.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type Family, familyText, Histogram, type Sample } from '../model/exposition.ts'
import type { ObjectStatus } from './report/conditions.ts'
import type { LoopState } from './loop.ts'
import type { PodAcknowledgement } from './publish/publisher.ts'
import { renderWatchMetrics, type WatchStatus } from './sources/kubernetes/watch-status.ts'
import { tupleKey } from '../model/resources.ts'

/** Where gauges are read from when somebody asks. */
export interface MetricSources {
  readonly leads: () => boolean
  readonly watches: () => readonly WatchStatus[]
  readonly statuses: () => readonly ObjectStatus[]
  readonly state: () => LoopState | undefined
  /** The tenant that holds a namespace. */
  readonly tenantOf: (namespace: string) => string | undefined
  /** Status writes that wait, bytes sent to pods, pushes that failed, pods by state. */
  readonly statusWaiting: () => number
  readonly sentBytes: () => number
  readonly pushFailures: () => ReadonlyMap<string, number>
  readonly pods: () => readonly { readonly state: string }[]
}

export interface ControllerMetrics {
  /** After each cycle of the loop. `propagation`: whether this replica published. */
  cycle(state: LoopState, published: boolean): void
  /** The newest answers of pods. */
  answers(acknowledgements: readonly PodAcknowledgement[]): void
  text(): string
  stop(): void
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const MAX_CERTIFICATES = 10_000
const MAX_REFUSALS = 10_000
const READY: Readonly<Record<string, string>> = { True: 'true', False: 'false', Unknown: 'unknown' }

const LEADER = gauge('atrium_leader', 'Does this replica lead? The sum over all must be 1.')
const OBJECTS = gauge('atrium_objects', 'How many objects are there, and how many of them serve?')
const EXPIRY = gauge('atrium_certificate_expiry_timestamp_seconds', 'When does each certificate end?')
const REFUSALS = counter('atrium_shard_refusals_total', 'How often did a pod refuse the newest shard of a tenant?')
const PODS = gauge('atrium_pods', 'How many dataplane pods does this replica know, and how do they follow?')
const SENT = counter('atrium_published_bytes_total', 'How many bytes were sent to dataplane pods?')
const FAILURES = counter('atrium_push_failures_total', 'How many pushes to dataplane pods failed, each attempt one?')
const WAITING = gauge('atrium_status_waiting', 'How many objects wait for their status to be written?')
const CPU = counter('process_cpu_seconds_total', 'How much processor time did this process use?')
const MEMORY = gauge('process_resident_memory_bytes', 'How much memory does this process hold?')
const HEAP = gauge('nodejs_heap_size_used_bytes', 'How much of it is JavaScript?')
const START = gauge('process_start_time_seconds', 'When did this process start?')
const LAG = gauge(
  'atrium_eventloop_lag_seconds',
  'How long did one turn of the loop hold everything else up, at most, since this was last asked?',
)

/** Makes the metrics. Watches the event loop until `stop`. */
export function createControllerMetrics(sources: MetricSources): ControllerMetrics {
  const propagation = new Histogram(
    'atrium_propagation_seconds',
    'How long did changes take from the watch to the last pod?',
    SECONDS,
  )
  const compile = new Histogram('atrium_compile_duration_seconds', 'How long did compiling take?', SECONDS)
  const refusals = new Map<string, { tenant: string; count: number }>()
  const refusing = new Set<string>()
  const delay = monitorEventLoopDelay({ samplePerIteration: true })
  delay.enable()
  let seenVersion = ''
  return {
    cycle(state, published) {
      compile.observe(state.compileMs / 1_000)
      const { version, endpointsRevision } = state.result.snapshot
      const named = tupleKey([version, endpointsRevision])
      if (published && named !== seenVersion && state.activationMs !== undefined) {
        propagation.observe(state.activationMs / 1_000)
      }
      seenVersion = named
    },
    answers(acknowledgements) {
      const now = new Set<string>()
      for (const { pod, version, refused } of acknowledgements) {
        for (const { tenant } of refused) {
          const key = tupleKey([pod, tenant, version])
          now.add(key)
          if (refusing.has(key)) continue
          const entry = refusals.get(tenant) ?? { tenant, count: 0 }
          entry.count++
          if (refusals.size < MAX_REFUSALS) refusals.set(tenant, entry)
        }
      }
      refusing.clear()
      for (const key of now) refusing.add(key)
    },
    text() {
      const lag = delay.count === 0 ? 0 : delay.max / 1e9
      delay.reset()
      const { heapUsed, rss } = process.memoryUsage()
      const { user, system } = process.cpuUsage()
      return [
        familyText(LEADER, [one(sources.leads() ? 1 : 0)]),
        propagation.text(),
        compile.text(),
        renderWatchMetrics(sources.watches()),
        familyText(OBJECTS, objectSamples(sources.statuses())),
        familyText(EXPIRY, certificateSamples(sources)),
        familyText(
          REFUSALS,
          [...refusals.values()].map(({ tenant, count }) => ({ labels: { tenant }, value: count })),
        ),
        familyText(PODS, podSamples(sources.pods())),
        familyText(SENT, [one(sources.sentBytes())]),
        familyText(
          FAILURES,
          [...sources.pushFailures()].map(([reason, value]) => ({ labels: { reason }, value })),
        ),
        familyText(WAITING, [one(sources.statusWaiting())]),
        familyText(CPU, [one((user + system) / 1e6)]),
        familyText(MEMORY, [one(rss)]),
        familyText(HEAP, [one(heapUsed)]),
        familyText(START, [one(Math.round(performance.timeOrigin) / 1_000)]),
        familyText(LAG, [{ labels: { worker: 'main' }, value: lag }]),
      ].join('')
    },
    stop() {
      delay.disable()
    },
  }
}

function objectSamples(statuses: readonly ObjectStatus[]): readonly Sample[] {
  const counts = new Map<string, Sample>()
  for (const { object, ready } of statuses) {
    const labels = { kind: object.kind, ready: READY[ready.status] ?? 'unknown' }
    const key = tupleKey([labels.kind, labels.ready])
    counts.set(key, { labels, value: (counts.get(key)?.value ?? 0) + 1 })
  }
  return [...counts.values()]
}

function certificateSamples({ state, tenantOf }: MetricSources): readonly Sample[] {
  const samples: Sample[] = []
  for (const [namespace, partition] of state()?.resources.partitions ?? []) {
    const tenant = tenantOf(namespace)
    for (const [name, { material }] of partition.objects.get('Secret') ?? []) {
      const end = material?.certificate?.notAfter
      if (tenant === undefined || end === undefined || end === 0 || samples.length >= MAX_CERTIFICATES) continue
      samples.push({ labels: { tenant, certificate_namespace: namespace, certificate: name }, value: end / 1_000 })
    }
  }
  return samples
}

function podSamples(pods: readonly { readonly state: string }[]): readonly Sample[] {
  const counts = new Map<string, number>(['new', 'current', 'behind', 'failing'].map((state) => [state, 0]))
  for (const { state } of pods) counts.set(state, (counts.get(state) ?? 0) + 1)
  return [...counts].map(([state, value]) => ({ labels: { state }, value }))
}

function gauge(name: string, help: string): Family {
  return { name, type: 'gauge', help }
}

function counter(name: string, help: string): Family {
  return { name, type: 'counter', help }
}

function one(value: number): Sample {
  return { labels: {}, value }
}

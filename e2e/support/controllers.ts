// What the controllers say of themselves: metrics, logs, who leads. Used by the tests on a cluster that break it.
import { expect } from 'vitest'
import { NAMESPACE, type Pod, podsOf } from './installation.ts'
import { get, tryKubectl } from './kubectl.ts'
import type { OwnCluster } from './own-cluster.ts'

/** The samples of one controller, from name with labels to value. */
export type Samples = ReadonlyMap<string, number>

/** The metrics of a pod. Throws where it does not answer within five seconds. */
export function metricsOf(cluster: OwnCluster, pod: Pod): Samples {
  const text = cluster.fetch(`http://${pod.status.podIP}:9903/metrics`)
  return new Map(
    text.split('\n').flatMap((line) => {
      const [, name = '', value = ''] = /^([^#\s][^\s]*(?:\{.*\})?) (\S+)$/.exec(line) ?? []
      return name === '' ? [] : [[name, Number(value)] as const]
    }),
  )
}

/** The sum of a metric over its labels. */
export function sumOf(samples: Samples, metric: string): number {
  let sum = 0
  for (const [name, value] of samples) if (name === metric || name.startsWith(`${metric}{`)) sum += value
  return sum
}

/** The sum of a metric in each of these pods. */
export function eachSum(cluster: OwnCluster, pods: readonly Pod[], metric: string): readonly number[] {
  return pods.map((pod) => sumOf(metricsOf(cluster, pod), metric))
}

/** The pods that are up, those that are not yet left out. */
export function readyPods(component: 'controller' | 'dataplane'): readonly Pod[] {
  return podsOf(component).filter(({ status }) =>
    status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
  )
}

/** Name of the pod that leads, by the lease. */
export function leader(): string {
  const { spec } = get<{ spec: { holderIdentity?: string } }>('lease', 'atrium-controller', '-n', NAMESPACE)
  return (spec.holderIdentity ?? '').replace(/_[0-9a-f]{12}$/, '')
}

/** How often the container of each pod was started again. */
export function restarts(pods: readonly Pod[]): readonly number[] {
  return pods.map(({ status }) => status.containerStatuses?.[0]?.restartCount ?? 0)
}

/** What a pod wrote since a time, milliseconds since the epoch. */
export function logSince(pod: Pod, since: number): string {
  const time = new Date(since).toISOString()
  return tryKubectl(['logs', '-n', NAMESPACE, pod.metadata.name, `--since-time=${time}`]).stdout
}

/** Waits until each of the pods says that watches fail, or that none does; the milliseconds it took. */
export async function untilWatches(
  cluster: OwnCluster,
  pods: readonly Pod[],
  are: 'failing' | 'working',
  timeout: number,
): Promise<number> {
  const from = performance.now()
  const seen = () => eachSum(cluster, pods, 'atrium_watch_failing')
  await expect
    .poll(seen, { timeout, interval: 250, message: `all watches ${are}, failing in each controller` })
    .toSatisfy((counts: readonly number[]) => counts.every((count) => (are === 'failing' ? count > 0 : count === 0)))
  return performance.now() - from
}

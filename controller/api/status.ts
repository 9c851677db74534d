// Makes the answers of status and top from what this replica knows and what pods said. Pure; server.ts gathers and sends.
import { objectLabel } from '../../model/resources.ts'
import type { LoopState } from '../loop.ts'
import type { ObjectStatus } from '../report/conditions.ts'
import type { AttentionLine, PodLine, TenantLine, TopLine } from './answers.ts'
import type { PodAnswer } from './live-pods.ts'
import type { Scope } from './scope.ts'

const MAX_ATTENTION = 500

/** Whether a tenant is in the scope. */
function inScope(scope: Scope, tenant: string): boolean {
  return scope.all || scope.tenant === tenant
}

/** One line for each pod. */
export function podLines(answers: readonly PodAnswer[], version: string): readonly PodLine[] {
  return answers.map((answer): PodLine => {
    const { name, uid, address } = answer.pod
    if ('problem' in answer) {
      const unread = { version: '', ready: false, draining: false }
      return { name, uid, address, state: 'unreachable', problem: answer.problem, ...unread }
    }
    const { version: active, ready, draining } = Object(answer.value)
    return {
      name,
      uid,
      address,
      state: active === version ? 'current' : 'behind',
      version: typeof active === 'string' ? active : '',
      problem: '',
      ready: ready === true,
      draining: draining === true,
    }
  })
}

/** One line for each tenant in the scope, in the order of the statuses. */
export function tenantLines(
  state: LoopState,
  statuses: readonly ObjectStatus[],
  holders: ReadonlyMap<string, string>,
  scope: Scope,
): readonly TenantLine[] {
  const routes = new Map<string, { serving: number; all: number }>()
  for (const { object, tenant, ready } of statuses) {
    if (object.kind !== 'Route' || !inScope(scope, tenant)) continue
    const count = routes.get(tenant) ?? { serving: 0, all: 0 }
    count.all++
    if (ready.status === 'True') count.serving++
    routes.set(tenant, count)
  }
  const namespaces = new Map<string, number>()
  for (const tenant of holders.values()) namespaces.set(tenant, (namespaces.get(tenant) ?? 0) + 1)
  return statuses.flatMap(({ object, ready }): TenantLine[] => {
    const tenant = object.name
    if (object.kind !== 'Tenant' || !inScope(scope, tenant)) return []
    const shard = state.result.snapshot.shards.get(tenant)
    return [
      {
        tenant,
        ready: ready.status,
        reason: ready.reason,
        message: ready.message,
        suspended: shard?.suspended ?? false,
        hosts: shard?.hosts.length ?? 0,
        namespaces: namespaces.get(tenant) ?? 0,
        routes: routes.get(tenant) ?? { serving: 0, all: 0 },
      },
    ]
  })
}

/** What is not well, or warns, the worst first. */
export function attentionLines(
  statuses: readonly ObjectStatus[],
  since: (status: ObjectStatus) => number,
  scope: Scope,
): readonly AttentionLine[] {
  const lines: AttentionLine[] = []
  for (const wanted of ['False', 'True', 'Unknown'] as const) {
    for (const status of statuses) {
      const { object, tenant, ready } = status
      const isWell = ready.status === 'True' && ready.reason === 'Serving'
      if (ready.status !== wanted || isWell || !inScope(scope, tenant) || lines.length >= MAX_ATTENTION) continue
      lines.push({
        tenant,
        object: objectLabel(object),
        ready: ready.status,
        reason: ready.reason,
        message: ready.message,
        since: new Date(since(status)).toISOString(),
      })
    }
  }
  return lines
}

/** Figures of tenants, added up over pods. */
export function topLines(answers: readonly PodAnswer[], scope: Scope): readonly TopLine[] {
  const sums = new Map<string, TopLine>()
  for (const answer of answers) {
    if ('problem' in answer) continue
    const { tenants } = Object(answer.value)
    for (const each of Array.isArray(tenants) ? tenants : []) {
      const { tenant, requests, limited, durations, bytesOut, activeRequests, connections, routes, endpoints } =
        Object(each)
      if (typeof tenant !== 'string' || !inScope(scope, tenant)) continue
      const before = sums.get(tenant)
      const states = (Array.isArray(endpoints) ? endpoints : []).map((endpoint: unknown) => Object(endpoint).state)
      sums.set(tenant, {
        tenant,
        requests: added(before?.requests ?? {}, Object(requests)),
        limited: (before?.limited ?? 0) + number(limited),
        durations: added(before?.durations ?? {}, Object(durations)),
        bytesOut: (before?.bytesOut ?? 0) + number(bytesOut),
        activeRequests: (before?.activeRequests ?? 0) + number(activeRequests),
        connections: (before?.connections ?? 0) + number(connections),
        routes: Math.max(before?.routes ?? 0, number(routes)),
        // Every pod has the same endpoints, and its own view of their health: the worst view is shown.
        endpoints: worst(before?.endpoints, {
          ready: states.filter((each) => each === 'ready').length,
          all: states.length,
        }),
      })
    }
  }
  return [...sums.values()].sort((a, b) => (a.tenant < b.tenant ? -1 : 1))
}

/** CPU of the pods that answered, and the threads that they have for it. */
export function cpuOf(answers: readonly PodAnswer[]): { readonly seconds: number; readonly workers: number } {
  let seconds = 0
  let workers = 0
  for (const answer of answers) {
    if ('problem' in answer) continue
    const pod = Object(answer.value)
    seconds += number(pod.cpuSeconds)
    workers += number(Object(pod.workers).all)
  }
  return { seconds, workers }
}

/** One sentence for each pod that did not answer. */
export function podWarnings(answers: readonly PodAnswer[]): readonly string[] {
  return answers.flatMap((answer) =>
    'problem' in answer ? [`${answer.pod.name} did not answer: ${answer.problem}`] : [],
  )
}

function added(a: Readonly<Record<string, number>>, b: object): Readonly<Record<string, number>> {
  const sum: Record<string, number> = { ...a }
  for (const [name, value] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + number(value)
  return sum
}

function worst(a: TopLine['endpoints'] | undefined, b: TopLine['endpoints']): TopLine['endpoints'] {
  return a === undefined || b.ready < a.ready ? b : a
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0
}

// The `status` of an object as the API server keeps it, from what it should say and what it said before. Pure; the time
// is a parameter. kubernetes-writer.ts calls it just before it writes. Pods that come and go change Tenants only: what a
// Route or Policy once said of its generation stays until the generation, or the answer to it, changes.
import type { Reason } from '../../model/issue.ts'
import { samePlain } from '../../model/same-plain.ts'
import type { Condition, ObjectStatus } from './conditions.ts'

/** A condition with its time, as stored. */
export interface StoredCondition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
  readonly observedGeneration?: number
  /** RFC 3339, whole seconds. */
  readonly lastTransitionTime: string
}

/** The status of an object as stored. Fields that Atrium does not know are dropped when it is read. */
export interface StoredStatus {
  readonly observedGeneration?: number
  readonly conditions: readonly StoredCondition[]
  readonly summary?: Readonly<Record<string, string>>
  readonly routes?: number
  readonly hostnames?: number
  readonly serving?: { readonly generation: number; readonly pods: number; readonly programmedAfter?: string }
  readonly attached?: number
}

/** What a status says beside the conditions. */
export interface StatusFigures {
  /** Pods that have the newest version. */
  readonly podsServing: number
  readonly podsDesired: number
  /** From the edit to the answer of the last pod, milliseconds, where that is known. */
  readonly programmedAfterMs: number | undefined
  /** Tenant: hosts that it serves, namespaces that it has. */
  readonly hosts: number
  readonly namespaces: number
}

/** Reasons that pods give by coming and going. */
const OF_PODS: ReadonlySet<string> = new Set<Reason>(['PodsPending', 'NoResources', 'Programmed'])

/** The status to store. `before` is what is stored now; `now` in milliseconds since the epoch. */
export function statusBody(
  status: ObjectStatus,
  before: StoredStatus | undefined,
  figures: StatusFigures,
  now: number,
): StoredStatus {
  const { kind } = status.object
  const steady = kind !== 'Tenant'
  const programmed = condition(before, 'Programmed')
  const held =
    programmed?.status === 'True' && programmed.observedGeneration === status.generation && !isRefused(status)
  const conditions = status.conditions.map((each) => {
    const former = condition(before, each.type)
    return stamped(steady ? settled(each, former, held, status.conditions) : each, former, now)
  })
  const shared = { observedGeneration: status.generation, conditions }
  if (kind === 'Tenant') {
    const summary = { namespaces: String(figures.namespaces), pods: `${figures.podsServing}/${figures.podsDesired}` }
    return { ...shared, summary, routes: status.count, hostnames: figures.hosts }
  }
  if (kind === 'Policy') return { ...shared, summary: texts(status.summary), attached: status.count }
  const serving = servingOf(status, before, figures, conditions)
  return { ...shared, summary: texts(status.summary), ...(serving === undefined ? {} : { serving }) }
}

/** Whether two statuses are the same text. */
export function sameStatus(a: StoredStatus | undefined, b: StoredStatus): boolean {
  return a !== undefined && samePlain(a, b)
}

/** A status as read from the API server; whatever has another shape is left out. */
export function readStoredStatus(value: unknown): StoredStatus {
  const status = record(value)
  const list = status['conditions']
  const conditions = (Array.isArray(list) ? list : []).flatMap((each: unknown): StoredCondition[] => {
    const read = record(each)
    const { type, status: state, reason, message, observedGeneration, lastTransitionTime } = read
    if (typeof type !== 'string' || typeof state !== 'string' || typeof lastTransitionTime !== 'string') return []
    return [
      {
        type,
        status: state,
        reason: typeof reason === 'string' ? reason : '',
        message: typeof message === 'string' ? message : '',
        ...(typeof observedGeneration === 'number' ? { observedGeneration } : {}),
        lastTransitionTime,
      },
    ]
  })
  const { generation, pods, programmedAfter } = record(status['serving'])
  return {
    ...number(status, 'observedGeneration'),
    conditions,
    ...(status['summary'] === undefined ? {} : { summary: texts(record(status['summary'])) }),
    ...number(status, 'routes'),
    ...number(status, 'hostnames'),
    ...number(status, 'attached'),
    ...(typeof generation === 'number' && typeof pods === 'number'
      ? { serving: { generation, pods, ...(typeof programmedAfter === 'string' ? { programmedAfter } : {}) } }
      : {}),
  }
}

/** The condition of a type. */
export function condition(status: StoredStatus | undefined, type: string): StoredCondition | undefined {
  return status?.conditions.find((each) => each.type === type)
}

function isRefused(status: ObjectStatus): boolean {
  return status.conditions.some((each) => each.reason === 'PodsRefused')
}

/** What a condition says, in plain texts. */
type Saying = Omit<StoredCondition, 'lastTransitionTime'>

// The former words stay where the new ones differ by pods only.
function settled(
  each: Condition,
  former: StoredCondition | undefined,
  held: boolean,
  all: readonly Condition[],
): Saying {
  if (former?.observedGeneration !== each.observedGeneration) return each
  if (!OF_PODS.has(each.reason) && !(each.type === 'Ready' && each.reason === 'Serving')) return each
  const kept = { ...each, status: former.status, reason: former.reason, message: former.message }
  if (held && former.status === 'True' && stillHolds(former, all)) return kept
  return former.status === each.status && former.reason === each.reason ? kept : each
}

// A Ready that warns of a certificate goes when the warning does.
function stillHolds(former: StoredCondition, all: readonly Condition[]): boolean {
  if (former.reason === 'Programmed' || former.reason === 'Serving') return true
  return all.some((each) => each.type !== 'Ready' && each.reason === former.reason)
}

function stamped(each: Saying, former: StoredCondition | undefined, now: number): StoredCondition {
  const same = former?.status === each.status
  return {
    ...each,
    lastTransitionTime: same ? former.lastTransitionTime : `${new Date(now).toISOString().slice(0, 19)}Z`,
  }
}

// Written once for each generation that serves, and when a pod refuses it.
function servingOf(
  status: ObjectStatus,
  before: StoredStatus | undefined,
  figures: StatusFigures,
  conditions: readonly StoredCondition[],
): StoredStatus['serving'] {
  const generation = status.servingGeneration
  if (generation === null) return undefined
  const programmed = conditions.find((each) => each.type === 'Programmed')
  const same = before?.serving?.generation === generation ? before.serving : undefined
  const done = programmed?.status === 'True' || programmed?.reason === 'KeptLastGood'
  if (same !== undefined && (same.programmedAfter !== undefined || !done) && programmed?.reason !== 'PodsRefused') {
    return same
  }
  const after = same?.programmedAfter ?? (done ? durationText(figures.programmedAfterMs) : undefined)
  return { generation, pods: figures.podsServing, ...(after === undefined ? {} : { programmedAfter: after }) }
}

function durationText(ms: number | undefined): string | undefined {
  if (ms === undefined) return undefined
  return ms < 10_000 ? `${Math.max(1, Math.round(ms))}ms` : `${Math.round(ms / 1000)}s`
}

function texts(fields: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).filter((field): field is [string, string] => typeof field[1] === 'string'),
  )
}

function number<Name extends string>(status: Readonly<Record<string, unknown>>, name: Name): { [N in Name]?: number } {
  const value = status[name]
  const found: { [N in Name]?: number } = {}
  if (typeof value === 'number') found[name] = value
  return found
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {}
}

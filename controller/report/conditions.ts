// The conditions of one object, from what compile found and what the pods answered. Pure.
// status-book.ts calls it for each object; console-writer.ts prints them, the writer of a cluster patches them into status.
import { type ConditionType, type Issue, MAX_MESSAGE, type Reason, type Severity } from '../../model/issue.ts'
import type { ObjectRef, SourceObject } from '../../model/resources.ts'
import type { ObjectResult } from '../compile/compile-types.ts'
import { type Summary, summarise } from './summary.ts'

/** One condition, without its transition time: whoever writes it compares with what was there and stamps. */
export interface Condition {
  readonly type: ConditionType
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: Reason
  /** At most MAX_MESSAGE characters; no secret, no name of another tenant. */
  readonly message: string
  readonly observedGeneration: number
}

/** What an object's status says. */
export interface ObjectStatus {
  readonly object: ObjectRef
  readonly generation: number
  readonly tenant: string
  /** In the order of TYPES, Ready last. */
  readonly conditions: readonly Condition[]
  readonly ready: Condition
  /** The issue that decided Ready, for its place in the input. */
  readonly cause: Issue | undefined
  readonly servingGeneration: number | null
  /** See ObjectResult. */
  readonly count: number
  readonly summary: Summary
}

/** A condition before it has a type. */
export type Outcome = Omit<Condition, 'type' | 'observedGeneration'>

/** Everything that the status of one object depends on. */
export interface StatusFacts {
  readonly result: ObjectResult
  /** Those that hold now, the worst first (compareWeight). */
  readonly issues: readonly Issue[]
  /** What the pods say of the object's tenant. */
  readonly pods: Outcome
  /** Tenant only: Routes that are not in use. */
  readonly refusedRoutes: readonly string[]
  readonly written: SourceObject | undefined
}

const TYPES: Readonly<Record<string, readonly ConditionType[]>> = {
  Tenant: ['Accepted', 'Programmed', 'Healthy'],
  Route: ['Accepted', 'ResolvedRefs', 'Programmed'],
  Policy: ['Accepted', 'Attached'],
}
/** Kinds that are not ours have no status of ours; their problems are still told. */
const OTHER_TYPES: readonly ConditionType[] = ['Accepted']
const GOOD: Readonly<Record<ConditionType, Reason>> = {
  Accepted: 'Accepted',
  ResolvedRefs: 'ResolvedRefs',
  Programmed: 'Programmed',
  Attached: 'Attached',
  Healthy: 'Serving',
  Ready: 'Serving',
}
const RANK: Readonly<Record<Severity, number>> = { rejects: 0, degrades: 1, warns: 2 }
const NAMED_ROUTES = 5

/** The worst first; that a last good form is kept explains the others and never stands before them. */
export function compareWeight(a: Issue, b: Issue): number {
  return (
    RANK[a.severity] - RANK[b.severity] || Number(a.reason === 'KeptLastGood') - Number(b.reason === 'KeptLastGood')
  )
}

/** The status of an object. */
export function statusOf(facts: StatusFacts): ObjectStatus {
  const { result, issues, written } = facts
  const generation = issues.reduce((newest, issue) => Math.max(newest, issue.generation), result.generation)
  const conditions: Condition[] = []
  let accepted: Outcome | undefined
  for (const type of TYPES[result.object.kind] ?? OTHER_TYPES) {
    const outcome = outcomeOf(type, facts, generation, accepted)
    if (type === 'Accepted') accepted = outcome
    conditions.push({ type, ...outcome, observedGeneration: generation })
  }
  const ready = readyOf(result, conditions, issues, generation)
  conditions.push(ready)
  return {
    object: result.object,
    generation,
    tenant: result.tenant,
    conditions,
    ready,
    cause: issues.find((issue) => issue.reason === ready.reason) ?? issues[0],
    servingGeneration: result.servingGeneration,
    count: result.count,
    summary: written === undefined ? {} : summarise(written),
  }
}

function outcomeOf(
  type: ConditionType,
  facts: StatusFacts,
  generation: number,
  accepted: Outcome | undefined,
): Outcome {
  const { result, issues, refusedRoutes } = facts
  const own = issues.filter((issue) => issue.condition === type)
  const worst = own[0]
  if (worst !== undefined && worst.severity !== 'warns')
    return { status: 'False', reason: worst.reason, message: joinMessages(own) }
  if (type === 'Accepted' && !result.accepted) {
    const other = issues[0]
    return {
      status: 'False',
      reason: other?.reason ?? 'Invalid',
      message: other === undefined ? 'The object is not in use.' : joinMessages(issues),
    }
  }
  if (type === 'Programmed') return programmed(facts, generation, accepted)
  if (type === 'Healthy' && refusedRoutes.length > 0) return unhealthy(refusedRoutes)
  if (worst !== undefined) return { status: 'True', reason: worst.reason, message: joinMessages(own) }
  return { status: 'True', reason: GOOD[type], message: '' }
}

function programmed({ result, pods }: StatusFacts, generation: number, accepted: Outcome | undefined): Outcome {
  if (result.servingGeneration === null) {
    return {
      status: 'False',
      reason: accepted?.status === 'False' ? accepted.reason : 'Pending',
      message: 'Nothing of it serves.',
    }
  }
  if (result.servingGeneration !== generation) {
    const message = `Generation ${result.servingGeneration} serves; generation ${generation} is rejected.`
    return { status: 'False', reason: 'KeptLastGood', message }
  }
  return pods
}

function unhealthy(routes: readonly string[]): Outcome {
  const named = [...routes].sort().slice(0, NAMED_ROUTES)
  const more = routes.length > named.length ? ` and ${routes.length - named.length} more` : ''
  const are = routes.length === 1 ? 'Route is' : 'Routes are'
  return {
    status: 'False',
    reason: 'SomeRoutesRejected',
    message: cut(`${routes.length} ${are} not in use: ${named.join(', ')}${more}.`),
  }
}

// True while everything is; otherwise the worst of the others says why. A tenant's rejected Routes stand in Healthy alone.
function readyOf(
  result: ObjectResult,
  conditions: readonly Condition[],
  issues: readonly Issue[],
  generation: number,
): Condition {
  const counting = conditions.filter((condition) => condition.type !== 'Healthy')
  const direct = issues.filter((issue) => issue.condition === 'Ready')
  const decided =
    counting.find((condition) => condition.status === 'False') ??
    outcomeOfDirect(direct) ??
    counting.find((condition) => condition.status === 'Unknown') ??
    counting.find((condition) => condition.reason !== GOOD[condition.type])
  const base = { type: 'Ready', observedGeneration: generation } as const
  if (decided !== undefined)
    return { ...base, status: decided.status, reason: decided.reason, message: decided.message }
  return {
    ...base,
    status: 'True',
    reason: 'Serving',
    message: result.object.kind === 'Policy' ? attachedWords(result.count) : '',
  }
}

function outcomeOfDirect(issues: readonly Issue[]): Outcome | undefined {
  const worst = issues[0]
  if (worst === undefined) return undefined
  return { status: worst.severity === 'warns' ? 'True' : 'False', reason: worst.reason, message: joinMessages(issues) }
}

function attachedWords(count: number): string {
  return count === 1 ? 'In force on 1 rule.' : `In force on ${count} rules.`
}

/** All messages as one text, the worst first, each once. */
function joinMessages(issues: readonly Issue[]): string {
  return cut([...new Set(issues.map((issue) => issue.message))].join(' '))
}

/** A message within MAX_MESSAGE. */
export function cut(message: string): string {
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message
}

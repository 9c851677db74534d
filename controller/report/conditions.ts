// Conditions and summaries of objects, from what compile found and what the pods answered. Pure; time is a parameter.
// console-writer.ts prints them in standalone; the writer of a cluster patches them into status.
import type { CompileResult, ObjectResult } from '../compile/compile-types.ts'
import { type ConditionType, type Issue, MAX_MESSAGE, type Reason, type Severity } from '../../model/issue.ts'
import { objectKey, type ObjectRef, type Partition } from '../../model/resources.ts'
import type { PodAcknowledgement } from '../publish/publisher.ts'
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

/** What conditions are made of. */
export interface ConditionInput {
  readonly partitions: ReadonlyMap<string, Partition>
  readonly result: Pick<CompileResult, 'issues' | 'objects' | 'snapshot'>
  /** Issues of the source: objects whose newest form could not even be read. */
  readonly sourceIssues: readonly Issue[]
  readonly acknowledgements: readonly PodAcknowledgement[]
  /** Milliseconds since the epoch. */
  readonly now: number
}

type Outcome = Omit<Condition, 'type' | 'observedGeneration'>

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

/** The status of every object of Atrium, and of every other object that has an issue now. In the order of the input. */
export function objectStatuses(input: ConditionInput): readonly ObjectStatus[] {
  const issues = issuesByObject([...input.result.issues, ...input.sourceIssues], input.now)
  const pods = new PodAnswers(input)
  const ill = rejectedRoutes(input.result.objects, issues)
  const statuses: ObjectStatus[] = []
  const seen = new Set<string>()
  for (const result of input.result.objects) {
    const key = objectKey(result.object)
    seen.add(key)
    const refusedRoutes = result.object.kind === 'Tenant' ? ill.get(result.object.name) : undefined
    statuses.push(statusOf(result, issues.get(key) ?? [], pods, refusedRoutes ?? [], input.partitions))
  }
  for (const [key, list] of issues) {
    const first = list[0]
    if (first !== undefined && !seen.has(key))
      statuses.push(statusOf(unknownResult(first, list), list, pods, [], input.partitions))
  }
  return statuses
}

/** Whether an issue holds at a time. */
export function holdsAt(issue: Issue, now: number): boolean {
  return (issue.from ?? Number.NEGATIVE_INFINITY) <= now && now < (issue.until ?? Number.POSITIVE_INFINITY)
}

function issuesByObject(issues: readonly Issue[], now: number): Map<string, Issue[]> {
  const byObject = new Map<string, Issue[]>()
  for (const issue of issues) {
    if (!holdsAt(issue, now)) continue
    const key = objectKey(issue.object)
    const list = byObject.get(key)
    if (list === undefined) byObject.set(key, [issue])
    else list.push(issue)
  }
  for (const list of byObject.values()) if (list.length > 1) list.sort(compareWeight)
  return byObject
}

// The worst first; that a last good form is kept explains the others and never stands before them.
function compareWeight(a: Issue, b: Issue): number {
  return (
    RANK[a.severity] - RANK[b.severity] || Number(a.reason === 'KeptLastGood') - Number(b.reason === 'KeptLastGood')
  )
}

// An object that compile did not judge: its only form could not be read, or its kind has no status.
function unknownResult(first: Issue, issues: readonly Issue[]): ObjectResult {
  return {
    object: first.object,
    generation: Math.max(...issues.map((issue) => issue.generation)),
    tenant: first.tenant,
    accepted: issues.every((issue) => issue.severity !== 'rejects'),
    servingGeneration: null,
    count: 0,
  }
}

/** Labels of Routes that are not in use, by tenant. */
function rejectedRoutes(
  objects: readonly ObjectResult[],
  issues: ReadonlyMap<string, readonly Issue[]>,
): ReadonlyMap<string, string[]> {
  const byTenant = new Map<string, string[]>()
  for (const { object, tenant, accepted } of objects) {
    if (object.kind !== 'Route' || tenant === '') continue
    const refused = !accepted || issues.get(objectKey(object))?.[0]?.severity === 'rejects'
    if (!refused) continue
    const list = byTenant.get(tenant)
    if (list === undefined) byTenant.set(tenant, [`${object.namespace}/${object.name}`])
    else list.push(`${object.namespace}/${object.name}`)
  }
  return byTenant
}

function statusOf(
  result: ObjectResult,
  issues: readonly Issue[],
  pods: PodAnswers,
  refusedRoutes: readonly string[],
  partitions: ConditionInput['partitions'],
): ObjectStatus {
  const generation = issues.reduce((newest, issue) => Math.max(newest, issue.generation), result.generation)
  const { kind, namespace, name } = result.object
  const written = partitions.get(namespace)?.objects.get(kind)?.get(name)
  const types = TYPES[kind] ?? OTHER_TYPES
  const conditions: Condition[] = []
  let accepted: Outcome | undefined
  for (const type of types) {
    const outcome = outcomeOf(type, { ...result, generation }, issues, pods, refusedRoutes, accepted)
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
  result: ObjectResult,
  issues: readonly Issue[],
  pods: PodAnswers,
  refusedRoutes: readonly string[],
  accepted: Outcome | undefined,
): Outcome {
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
  if (type === 'Programmed') return programmed(result, pods, accepted)
  if (type === 'Healthy' && refusedRoutes.length > 0) return unhealthy(refusedRoutes)
  if (worst !== undefined) return { status: 'True', reason: worst.reason, message: joinMessages(own) }
  return { status: 'True', reason: GOOD[type], message: '' }
}

function programmed(result: ObjectResult, pods: PodAnswers, accepted: Outcome | undefined): Outcome {
  if (result.servingGeneration === null) {
    return {
      status: 'False',
      reason: accepted?.status === 'False' ? accepted.reason : 'Pending',
      message: 'Nothing of it serves.',
    }
  }
  if (result.servingGeneration !== result.generation) {
    const message = `Generation ${result.servingGeneration} serves; generation ${result.generation} is rejected.`
    return { status: 'False', reason: 'KeptLastGood', message }
  }
  return pods.outcome(result.tenant)
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

function cut(message: string): string {
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message
}

/** What the pods said of the newest snapshot. */
class PodAnswers {
  readonly #current: readonly PodAcknowledgement[]
  readonly #behind: readonly PodAcknowledgement[]
  readonly #tenants: CompileResult['snapshot']['shards']

  constructor({ acknowledgements, result }: ConditionInput) {
    this.#tenants = result.snapshot.shards
    this.#current = acknowledgements.filter((answer) => answer.version === result.snapshot.version)
    this.#behind = acknowledgements.filter((answer) => answer.version !== result.snapshot.version)
  }

  outcome(tenant: string): Outcome {
    for (const answer of [...this.#current, ...this.#behind]) {
      const refusal = answer.refused.find((each) => each.tenant === tenant)
      if (refusal !== undefined) {
        return {
          status: 'False',
          reason: 'PodsRefused',
          message: cut(`Pod ${answer.pod} keeps the former version: ${refusal.message}`),
        }
      }
    }
    if (!this.#tenants.has(tenant)) return { status: 'False', reason: 'Pending', message: 'The tenant has no shard.' }
    if (this.#current.length === 0 && this.#behind.length === 0) {
      return { status: 'Unknown', reason: 'NoResources', message: 'No dataplane has answered yet.' }
    }
    if (this.#behind.length > 0) {
      const names = this.#behind.slice(0, NAMED_ROUTES).map((answer) => answer.pod)
      return { status: 'Unknown', reason: 'PodsPending', message: cut(`Not yet on ${names.join(', ')}.`) }
    }
    return {
      status: 'True',
      reason: 'Programmed',
      message: this.#current.length === 1 ? 'On 1 pod.' : `On ${this.#current.length} pods.`,
    }
  }
}

// The statuses of all objects, kept from one report to the next: what depends on nothing new is handed on as it is.
// controller/main.ts keeps one. The book only saves time: a new one gives the same statuses.
import type { Issue } from '../../model/issue.ts'
import { objectKey, type Partition } from '../../model/resources.ts'
import type { CompileResult, ObjectResult } from '../compile/compile-types.ts'
import type { PodAcknowledgement } from '../publish/publisher.ts'
import { compareWeight, type ObjectStatus, type StatusFacts, statusOf } from './conditions.ts'
import { PodAnswers, type ShardsOf } from './pod-answers.ts'

/** What statuses are made of. */
export interface StatusInput {
  readonly partitions: ReadonlyMap<string, Partition>
  readonly result: Pick<CompileResult, 'issues' | 'objects' | 'snapshot'>
  /** Issues of the source: objects whose newest form could not even be read. */
  readonly sourceIssues: readonly Issue[]
  readonly acknowledgements: readonly PodAcknowledgement[]
  /** Default: nothing is known of former versions. */
  readonly shardsOf?: ShardsOf
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** Whether an issue holds at a time. */
export function holdsAt(issue: Issue, now: number): boolean {
  return (issue.from ?? Number.NEGATIVE_INFINITY) <= now && now < (issue.until ?? Number.POSITIVE_INFINITY)
}

interface Entry {
  readonly key: string
  readonly facts: StatusFacts
  readonly status: ObjectStatus
}

const NONE: readonly never[] = []

/** Makes statuses. */
export class StatusBook {
  #entries = new Map<ObjectResult, Entry>()
  #unjudged = new Map<string, Entry>()

  /**
   * The status of every object of Atrium, in the order of the input, then of every other object that has an issue now. A
   * status that says what it said before is the same value as before.
   */
  update(input: StatusInput): readonly ObjectStatus[] {
    const issues = issuesByObject(input)
    const pods = new PodAnswers(input.result.snapshot, input.acknowledgements, input.shardsOf)
    const keys = input.result.objects.map((result) => this.#entries.get(result)?.key ?? objectKey(result.object))
    const refused = refusedRoutes(input.result.objects, keys, issues)
    const entries = new Map<ObjectResult, Entry>()
    const statuses: ObjectStatus[] = []
    for (const [index, result] of input.result.objects.entries()) {
      const key = keys[index] ?? objectKey(result.object)
      const { kind, namespace, name } = result.object
      const entry = renewed(this.#entries.get(result), key, {
        result,
        issues: issues.get(key) ?? NONE,
        pods: pods.outcome(result.tenant),
        refusedRoutes: kind === 'Tenant' ? (refused.get(name) ?? NONE) : NONE,
        written: input.partitions.get(namespace)?.objects.get(kind)?.get(name),
      })
      entries.set(result, entry)
      statuses.push(entry.status)
      if (issues.size > 0) issues.delete(key)
    }
    this.#entries = entries
    for (const status of this.#others(issues, pods, input)) statuses.push(status)
    return statuses
  }

  /** Objects that compile did not judge: their only form could not be read, or their kind has no status of ours. */
  *#others(
    issues: ReadonlyMap<string, readonly Issue[]>,
    pods: PodAnswers,
    input: StatusInput,
  ): Generator<ObjectStatus> {
    const unjudged = new Map<string, Entry>()
    for (const [key, list] of issues) {
      const first = list[0]
      if (first === undefined) continue
      const { kind, namespace, name } = first.object
      const entry = renewed(this.#unjudged.get(key), key, {
        result: unjudgedResult(first, list),
        issues: list,
        pods: pods.outcome(first.tenant),
        refusedRoutes: NONE,
        written: input.partitions.get(namespace)?.objects.get(kind)?.get(name),
      })
      unjudged.set(key, entry)
      yield entry.status
    }
    this.#unjudged = unjudged
  }
}

function renewed(before: Entry | undefined, key: string, facts: StatusFacts): Entry {
  if (before !== undefined && sameFacts(before.facts, facts)) return before
  return { key, facts, status: statusOf(facts) }
}

// The result is the key of the entry, or says nothing beyond the issues.
function sameFacts(a: StatusFacts, b: StatusFacts): boolean {
  return (
    a.written === b.written &&
    a.pods.reason === b.pods.reason &&
    a.pods.message === b.pods.message &&
    sameItems(a.issues, b.issues) &&
    sameItems(a.refusedRoutes, b.refusedRoutes)
  )
}

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a === b || (a.length === b.length && a.every((item, index) => item === b[index]))
}

function issuesByObject({ result, sourceIssues, now }: StatusInput): Map<string, Issue[]> {
  const byObject = new Map<string, Issue[]>()
  for (const list of [result.issues, sourceIssues]) {
    for (const issue of list) {
      if (!holdsAt(issue, now)) continue
      const key = objectKey(issue.object)
      const known = byObject.get(key)
      if (known === undefined) byObject.set(key, [issue])
      else known.push(issue)
    }
  }
  for (const list of byObject.values()) if (list.length > 1) list.sort(compareWeight)
  return byObject
}

function unjudgedResult(first: Issue, issues: readonly Issue[]): ObjectResult {
  return {
    object: first.object,
    generation: Math.max(...issues.map((issue) => issue.generation)),
    tenant: first.tenant,
    accepted: issues.every((issue) => issue.severity !== 'rejects'),
    servingGeneration: null,
    count: 0,
  }
}

/** `namespace/name` of the Routes that are not in use, by tenant. */
function refusedRoutes(
  objects: readonly ObjectResult[],
  keys: readonly string[],
  issues: ReadonlyMap<string, readonly Issue[]>,
): ReadonlyMap<string, readonly string[]> {
  const byTenant = new Map<string, string[]>()
  for (const [index, { object, tenant, accepted }] of objects.entries()) {
    if (object.kind !== 'Route' || tenant === '') continue
    if (accepted && issues.get(keys[index] ?? '')?.[0]?.severity !== 'rejects') continue
    const list = byTenant.get(tenant)
    if (list === undefined) byTenant.set(tenant, [`${object.namespace}/${object.name}`])
    else list.push(`${object.namespace}/${object.name}`)
  }
  return byTenant
}

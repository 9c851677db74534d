// How the passes of compile make issues, and the one order in which issues stand. Pure. Every pass of this folder calls it.
import { compareText } from '../../model/canonical.ts'
import { type ConditionType, type FieldPath, type Issue, MAX_MESSAGE, REASONS, type Reason } from '../../model/issue.ts'
import type { Severity } from '../../model/issue.ts'
import type { ObjectRef } from '../../model/resources.ts'

/** The object an issue is about. */
export interface Subject {
  readonly object: ObjectRef
  readonly generation: number
  readonly tenant: string
  /** The last good form is looked at: paths into it would point at the wrong place of the newest. */
  readonly kept?: true
}

/** What only some issues have. */
export interface IssueDetails {
  readonly path?: FieldPath
  readonly causes?: readonly ObjectRef[]
  readonly condition?: ConditionType
  readonly from?: number
  readonly until?: number
  readonly platformNote?: string
}

/** Makes an issue. The condition is that of the reason unless `details` names another. */
export function createIssue(
  subject: Subject,
  severity: Severity,
  reason: Reason,
  message: string,
  details: IssueDetails = {},
): Issue {
  const { path = [], causes = [], condition = REASONS[reason].condition, ...rest } = details
  return {
    object: subject.object,
    generation: subject.generation,
    tenant: subject.tenant,
    causes,
    condition,
    reason,
    severity,
    message: message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message,
    path: subject.kept === true ? [] : path,
    ...rest,
  }
}

/** The order of issues: by object, then path, then reason and message. Total for issues that differ. */
export function compareIssues(a: Issue, b: Issue): number {
  return (
    compareRefs(a.object, b.object) ||
    comparePaths(a.path, b.path) ||
    compareText(a.reason, b.reason) ||
    compareText(a.message, b.message) ||
    (a.from ?? 0) - (b.from ?? 0) ||
    (a.until ?? 0) - (b.until ?? 0)
  )
}

/** The order of objects: kind, namespace, name. */
export function compareRefs(a: ObjectRef, b: ObjectRef): number {
  return compareText(a.kind, b.kind) || compareText(a.namespace, b.namespace) || compareText(a.name, b.name)
}

function comparePaths(a: FieldPath, b: FieldPath): number {
  for (let index = 0; index < a.length && index < b.length; index += 1) {
    const left = a[index]
    const right = b[index]
    if (left === right) continue
    if (typeof left === 'number' && typeof right === 'number') return left - right
    return compareText(String(left), String(right))
  }
  return a.length - b.length
}

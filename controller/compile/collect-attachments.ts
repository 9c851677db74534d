// Where the Policies of a namespace are attached: to the namespace, to Routes, to single rules. Pure. attach-policies
// asks it for the levels of each rule; targets that do not exist are told here.
import type { AttachmentPoint } from '../../model/define-policy.ts'
import type { Issue } from '../../model/issue.ts'
import type { ByName, Form, Indexed } from './indexed.ts'
import { createIssue, type Subject } from './issues.ts'
import type { PolicyTarget, PreparedPolicy, PreparedRoute } from './prepared.ts'

/** One Policy at one place. */
export interface Attachment {
  readonly policy: Indexed<PreparedPolicy>
  readonly form: Form<PreparedPolicy>
  readonly point: AttachmentPoint
}

/** The attachments of a namespace. */
export class NamespaceAttachments {
  readonly #namespace: Attachment[] = []
  readonly #routes = new Map<string, Attachment[]>()
  readonly #rules = new Map<string, Map<string, Attachment[]>>()
  readonly #attached = new Map<string, number>()

  add(attachment: Attachment, target: PolicyTarget | undefined): void {
    if (target === undefined) append(this.#namespace, attachment)
    else if (target.rule === '') append(listAt(this.#routes, target.route), attachment)
    else {
      let rules = this.#rules.get(target.route)
      if (rules === undefined) {
        rules = new Map()
        this.#rules.set(target.route, rules)
      }
      append(listAt(rules, target.rule), attachment)
    }
  }

  /** The most specific level first, each ordered by name. Counts the rule for every Policy on it: ask once a rule. */
  levelsOf(route: string, ruleName: string): readonly (readonly Attachment[])[] {
    const rule = ruleName === '' ? undefined : this.#rules.get(route)?.get(ruleName)
    const levels = [rule ?? [], this.#routes.get(route) ?? [], this.#namespace]
    for (const policy of new Set(levels.flat().map((attachment) => attachment.policy))) {
      this.#attached.set(policy.ref.name, this.rulesOf(policy.ref.name) + 1)
    }
    return levels
  }

  rulesOf(policy: string): number {
    return this.#attached.get(policy) ?? 0
  }
}

/** Sorts the Policies of a namespace by place. A Policy without a form that could be used is absent. */
export function collectAttachments(
  tenant: string,
  policies: ByName<PreparedPolicy>,
  routes: ByName<PreparedRoute>,
  issues: Issue[],
): NamespaceAttachments {
  const attachments = new NamespaceAttachments()
  for (const policy of policies.values()) {
    const form = policy.newest ?? policy.good
    if (form === undefined) continue
    const { targets } = form.value
    if (targets === undefined) {
      attachments.add({ policy, form, point: 'Namespace' }, undefined)
      continue
    }
    const subject = subjectOf(tenant, policy)
    targets.forEach((target, index) => {
      const missing = missingTarget(target, routes.get(target.route), policy, index, subject)
      if (missing !== undefined) issues.push(missing)
      else attachments.add({ policy, form, point: target.rule === '' ? 'Route' : 'Rule' }, target)
    })
  }
  return attachments
}

/** The subject of issues of a Policy. */
export function subjectOf(tenant: string, policy: Indexed<PreparedPolicy>): Subject {
  const subject = { object: policy.ref, generation: policy.generation, tenant }
  return policy.newest === undefined ? { ...subject, kept: true } : subject
}

function missingTarget(
  target: PolicyTarget,
  route: Indexed<PreparedRoute> | undefined,
  policy: Indexed<PreparedPolicy>,
  index: number,
  subject: Subject,
): Issue | undefined {
  const path = ['spec', 'targetRefs', index]
  const label = `Route ${policy.ref.namespace}/${target.route}`
  if (route === undefined) {
    const message = `${label} does not exist. Correct the name, or create the Route.`
    return createIssue(subject, 'degrades', 'TargetNotFound', message, { path: [...path, 'name'] })
  }
  const form = route.newest ?? route.good
  if (target.rule === '' || form === undefined) return undefined
  if (form.value.rules.some((rule) => rule.name === target.rule)) return undefined
  const names = form.value.rules.map((rule) => rule.name).filter((name) => name !== '')
  const message = `${label} has no rule named ${target.rule}; it has ${names.join(', ') || 'none with a name'}.`
  const details = { path: [...path, 'sectionName'], causes: [route.ref] }
  return createIssue(subject, 'degrades', 'TargetNotFound', message, details)
}

function listAt<Value>(map: Map<string, Value[]>, key: string): Value[] {
  let list = map.get(key)
  if (list === undefined) {
    list = []
    map.set(key, list)
  }
  return list
}

/** A Policy that names one place twice is there once. */
function append(list: Attachment[], attachment: Attachment): void {
  if (!list.some((other) => other.policy === attachment.policy)) list.push(attachment)
}

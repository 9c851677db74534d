// What the losers among Policies are told: which body has no effect where, and who won. Pure. attach-policies counts
// while it attaches, and calls this once at the end. Nothing is dropped in silence.
import type { PolicyDefinition } from '../../model/define-policy.ts'
import type { Issue } from '../../model/issue.ts'
import { objectLabel } from '../../model/resources.ts'
import type { AdmittedTenant } from './admission.ts'
import { subjectOf } from './collect-attachments.ts'
import type { Indexed } from './indexed.ts'
import { createIssue, type Subject } from './issues.ts'
import type { PreparedPolicy } from './prepared.ts'

/** By Policy, then by name of the body. */
export type PolicyLosses = Map<Indexed<PreparedPolicy>, Map<string, BodyOutcome>>

/** What became of one body over all rules that it is attached to. */
export interface BodyOutcome {
  inForce: number
  readonly lost: Map<Indexed<PreparedPolicy>, { rules: number; conflict: boolean }>
}

/** Makes the issues of all losers. */
export function tellLosses(
  losses: PolicyLosses,
  tenant: AdmittedTenant,
  definitions: readonly PolicyDefinition[],
  issues: Issue[],
): void {
  for (const [policy, bodies] of losses) {
    const subject = subjectOf(tenant.name, policy)
    const idle = [...bodies.values()].every((outcome) => outcome.inForce === 0)
    for (const [name, outcome] of bodies) {
      tellWinners(name, outcome, idle, subject, issues)
      const definition = definitions.find((each) => each.name === name)
      if (outcome.inForce > 0 && definition !== undefined) tellOverride(definition, policy, tenant, subject, issues)
    }
  }
}

function tellWinners(name: string, outcome: BodyOutcome, idle: boolean, subject: Subject, issues: Issue[]): void {
  for (const [winner, { rules, conflict }] of outcome.lost) {
    const where = `on ${rules} ${rules === 1 ? 'rule' : 'rules'}`
    const label = objectLabel(winner.ref)
    const message = conflict
      ? `spec.${name} has no effect ${where}: ${label} is attached to the same place and comes first by name. Remove one of the two.`
      : `spec.${name} has no effect ${where}: ${label} is attached more specifically.`
    const reason = conflict ? 'Conflicted' : idle ? 'Overridden' : 'PartlyOverridden'
    const severity = conflict || idle ? 'degrades' : 'warns'
    issues.push(createIssue(subject, severity, reason, message, { path: ['spec', name], causes: [winner.ref] }))
  }
}

/** Fields that a Tenant's override makes idle. */
function tellOverride(
  definition: PolicyDefinition,
  policy: Indexed<PreparedPolicy>,
  tenant: AdmittedTenant,
  subject: Subject,
  issues: Issue[],
): void {
  const { name } = definition
  const override = tenant.form.value.policies?.overrides?.[name]
  const own = (policy.newest ?? policy.good)?.value.bodies[name]
  if (override === undefined || own === undefined) return
  for (const lost of looserFields(definition, own, override)) {
    const whole = lost.path.length === 0
    const message = `spec.${name} ${lost.because}. The override of the Tenant holds as well.`
    issues.push(
      createIssue(subject, 'warns', whole ? 'Overridden' : 'PartlyOverridden', message, {
        path: ['spec', name, ...lost.path],
        causes: [tenant.indexed.ref],
      }),
    )
  }
}

/** A policy that fails to compare bodies keeps none from being compiled: both layers hold anyway. */
function looserFields(definition: PolicyDefinition, own: unknown, override: unknown) {
  try {
    return definition.looserFields(own as never, override as never)
  } catch {
    return []
  }
}

// One Policy by itself: its targets, and whether its bodies may stand there. Pure. index-objects calls it once for each
// form; attach-policies combines what it made.
import type { AttachmentPoint, PolicyDefinition } from '../../model/define-policy.ts'
import type { FieldProblem } from '../../model/decode.ts'
import type { PolicySpec } from '../../model/policy.ts'
import { fieldProblem } from './field-problem.ts'
import type { PolicyTarget, Prepared, PreparedPolicy } from './prepared.ts'

/** Prepares a decoded Policy, or says which body may not stand where. */
export function preparePolicy(spec: PolicySpec, definitions: readonly PolicyDefinition[]): Prepared<PreparedPolicy> {
  // Kubernetes does not tell an empty list from an absent one, and an access list must not vanish by it.
  const written = spec.targetRefs === undefined || spec.targetRefs.length === 0 ? undefined : spec.targetRefs
  const targets = written?.map((target) => ({ route: target.name, rule: target.sectionName ?? '' }))
  const problems: FieldProblem[] = []
  for (const definition of definitions) {
    if (spec.bodies[definition.name] === undefined) continue
    for (const point of pointsOf(targets)) {
      if (definition.attachesTo.includes(point)) continue
      problems.push(fieldProblem(['spec', definition.name], `cannot be attached to ${PLACES[point]}.`))
    }
  }
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, value: { targets, bodies: spec.bodies } }
}

const PLACES: Readonly<Record<AttachmentPoint, string>> = {
  TenantDefaults: 'the defaults of a Tenant',
  TenantOverrides: 'the overrides of a Tenant',
  Namespace: 'a namespace',
  Route: 'a whole Route',
  Rule: 'one rule',
}

function pointsOf(targets: readonly PolicyTarget[] | undefined): ReadonlySet<AttachmentPoint> {
  if (targets === undefined) return new Set(['Namespace'])
  return new Set(targets.map((target) => (target.rule === '' ? 'Route' : 'Rule')))
}

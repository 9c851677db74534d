// The Policy kind: what happens on the way. Pure. The bodies are handed in by policies/index.ts, so that adding a
// policy touches its own folder and one line of that list.
import { labelName, objectName } from './fields.ts'
import { list, object, oneOf, optional, type Schema, type Value } from './schema.ts'

const targetRef = object(
  {
    group: optional(oneOf(['atrium.dev'], { description: 'API group of the target.', default: 'atrium.dev' })),
    kind: oneOf(['Route'], { description: 'Kind of the target.' }),
    name: objectName('Name of a Route in the same namespace.'),
    sectionName: optional(labelName('Name of one rule of that Route. Default: all its rules.')),
  },
  { description: 'A Route, or one rule of it.' },
)

/** The schema of `Policy.spec`, given the fields of all policy bodies (each optional). */
export function policySpec(bodies: Record<string, Schema>) {
  return object(
    {
      targetRefs: optional(
        list(targetRef, {
          description: 'What the Policy applies to. Default: every Route of its namespace.',
          maxItems: 16,
          listType: 'atomic',
        }),
      ),
      ...bodies,
    },
    { description: 'What happens on the way.' },
  )
}

export type PolicyTargetRef = Value<typeof targetRef>

/** `Policy.spec` once decoded: targets, and one body per policy name. */
export interface PolicySpec {
  readonly targetRefs?: readonly PolicyTargetRef[]
  readonly bodies: Readonly<Record<string, unknown>>
}

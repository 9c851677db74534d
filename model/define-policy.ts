// PolicyDefinition, the extension point: everything the pure half of a policy says about itself. Pure.
// Each folder under policies/ exports one from policy.ts; policies/index.ts is the ordered list.
import { optional, type Schema, type Value, type ValueProblem } from './schema.ts'
import type { FieldPath } from './issue.ts'
import type { ObjectRef } from './resources.ts'

/** Where a body may be written. */
export type AttachmentPoint = 'TenantDefaults' | 'TenantOverrides' | 'Namespace' | 'Route' | 'Rule'

/** One body in force, with the object it was written in. Layers come strongest first. */
export interface PolicyLayer<Body> {
  readonly body: Body
  readonly origin: ObjectRef
  readonly point: AttachmentPoint
}

/** A field that has no effect, because an override is stricter. */
export interface LostField {
  /** Path inside the body. */
  readonly path: FieldPath
  /** One clause: `allows 20/s, the tenant's override allows 10/s`. */
  readonly because: string
}

/** A mistake that the schema cannot express, found by `check`. The message is a clause without the path. */
export type BodyProblem = ValueProblem

/** What `explain` says of a config. */
export interface PolicyDescription {
  /** One clause: `deny 203.0.113.0/24`. */
  readonly summary: string
  /** Limits in it, which explain lists with the tenant's own. `key`: what requests are told apart by, '' for nothing. */
  readonly limits?: readonly { readonly name: string; readonly rule: string; readonly key: string }[]
}

/**
 * The pure half of a policy. `compile` gets one layer (the most specific body) or two (an override first, then the
 * tenant's own body); the result must be at least as strict as every layer.
 */
export interface PolicyDefinition<BodySchema extends Schema = Schema, Config = unknown, Name extends string = string> {
  /** The field in `Policy.spec`, and the name in `requires`. */
  readonly name: Name
  readonly body: BodySchema
  readonly attachesTo: readonly AttachmentPoint[]
  /** Problems of a body beyond its schema; a body with any is refused. */
  check?(body: Value<BodySchema>): readonly BodyProblem[]
  /** Fields of `own` that are looser than `override`. Empty means: at least as strict. */
  looserFields(own: Value<BodySchema>, override: Value<BodySchema>): readonly LostField[]
  compile(layers: readonly PolicyLayer<Value<BodySchema>>[]): Config
  /** Header names that the policy may set on the request to the backend: removed from client input first. */
  ownedRequestHeaders?(config: Config): readonly string[]
  /** A config in words. */
  describe?(config: Config): PolicyDescription
}

/** Keeps the types of a definition together. */
export function definePolicy<BodySchema extends Schema, Config, const Name extends string>(
  definition: PolicyDefinition<BodySchema, Config, Name>,
): PolicyDefinition<BodySchema, Config, Name> {
  return definition
}

/** The bodies that may stand at one of `points`: fields of a schema, each optional, with the policy's own check. */
export function policyBodies(
  policies: readonly PolicyDefinition[],
  points: readonly AttachmentPoint[],
): Record<string, Schema> {
  const fields: Record<string, Schema> = {}
  for (const policy of policies) {
    if (!policy.attachesTo.some((point) => points.includes(point))) continue
    fields[policy.name] = optional(
      policy.check === undefined ? policy.body : { ...policy.body, problems: policy.check },
    )
  }
  return fields
}

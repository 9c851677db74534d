// The ordered list of all policies, by their pure halves. The list is the order: a request meets them from first to last.
// Handed to compile and to decode by whoever constructs them; the running halves are in filters.ts.
import { access } from './access/policy.ts'
import { rateLimits } from './rate-limit/policy.ts'
import type { PolicyDefinition } from '../model/define-policy.ts'

const LIST = [access, rateLimits] as const

/** Addresses first: whoever may not come in spends no rate. */
export const POLICIES: readonly PolicyDefinition[] = LIST

type Listed = (typeof LIST)[number]

export type PolicyName = Listed['name']

/** What the `compile` of a policy makes, and its filter gets. */
export type ConfigOf<Name extends PolicyName> = ReturnType<Extract<Listed, { readonly name: Name }>['compile']>

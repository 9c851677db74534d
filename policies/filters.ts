// The running halves of all policies, by name. Imported only by what builds programs from snapshots; a policy of
// index.ts that is missing here does not compile.
import type { Filter } from '../model/filter.ts'
import { accessFilter } from './access/filter.ts'
import type { ConfigOf, PolicyName } from './index.ts'
import { rateLimitFilter } from './rate-limit/filter.ts'

/** From the name of a policy to its filter. `Filter<never>`: the snapshot's `config` is what that policy's compile made. */
export const FILTERS: Readonly<Record<string, Filter<never>>> = {
  access: accessFilter,
  rateLimits: rateLimitFilter,
} satisfies { readonly [Name in PolicyName]: Filter<ConfigOf<Name>> }

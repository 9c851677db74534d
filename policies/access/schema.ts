// What users write under `access`, and what a shard carries of it. Pure. Shared by compile.ts and filter.ts.
import { addressRange } from '../../model/fields.ts'
import { list, object, optional, type Value } from '../../model/schema.ts'

/** The body of `access`. */
export const accessBody = object(
  {
    ip: optional(
      object(
        {
          allow: optional(
            list(addressRange('An address range, or one address.'), {
              description: 'Who may come in: only these, less those denied. Default: everybody.',
              minItems: 1,
              maxItems: 512,
              listType: 'set',
              example: ['10.0.0.0/8', '2001:db8::/32'],
            }),
          ),
          deny: optional(
            list(addressRange('An address range, or one address.'), {
              description: 'Who may not come in, whatever `allow` says.',
              maxItems: 512,
              listType: 'set',
              example: ['203.0.113.0/24'],
            }),
          ),
        },
        {
          description:
            'By the address of the client, as the trusted hops tell it. A range of IPv6 holds no IPv4 address: `::/0` is all of IPv6 only.',
        },
      ),
    ),
  },
  { description: 'Who may come in; others are answered 403 AddressDenied.' },
)

export type AccessBody = Value<typeof accessBody>

/** In a shard: an address must be in every list of `allow` and in no range of `deny`. Ranges in canonical text, ordered. */
export interface AccessConfig {
  readonly allow: readonly (readonly string[])[]
  readonly deny: readonly string[]
}

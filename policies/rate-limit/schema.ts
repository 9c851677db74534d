// What users write under `rateLimits`, and what a shard carries of it. Pure. Shared by compile.ts and filter.ts.
import { headerName, labelName, rate } from '../../model/fields.ts'
import { integer, list, object, optional, type Value } from '../../model/schema.ts'

const keyPart = object(
  {
    clientIP: optional(
      object(
        {},
        { description: 'The address of the client: an IPv4 address by itself, IPv6 addresses by their /64. Write {}.' },
      ),
    ),
    header: optional(
      headerName(
        'The value of this request header, its first 256 characters. Requests without it, or with it several times, share one bucket.',
      ),
    ),
    route: optional(object({}, { description: 'The rule of the Route, each with a bucket of its own. Write {}.' })),
  },
  {
    description: 'One part of the key.',
    rules: [
      {
        cel: '[has(self.clientIP), has(self.header), has(self.route)].filter(x, x).size() == 1',
        message: 'name one of clientIP, header and route; combine them as further items',
        check: (value: object) => Object.keys(value).length === 1,
        examples: {
          good: [{ clientIP: {} }, { header: 'x-api-key' }, { route: {} }],
          bad: [{}, { clientIP: {}, route: {} }],
        },
      },
    ],
  },
)

const rateLimit = object(
  {
    name: labelName('Name of the limit; it appears in the RateLimit headers.'),
    rate: rate('Requests admitted on average, for each key.'),
    burst: optional(
      integer({
        description: 'Requests that may come at once. Default: those of one period, so 20/m admits 20 at once.',
        minimum: 1,
        maximum: 10_000_000,
      }),
    ),
    key: optional(
      list(keyPart, {
        description: 'What the requests are told apart by, all parts together. Default: nothing, one bucket for all.',
        maxItems: 4,
        listType: 'atomic',
        rules: [
          {
            cel: 'self.filter(k, has(k.clientIP)).size() <= 1 && self.filter(k, has(k.route)).size() <= 1 && self.all(k, !has(k.header) || self.exists_one(o, has(o.header) && o.header.lowerAscii() == k.header.lowerAscii()))',
            message: 'each part stands in the key once',
            check: (parts: readonly { header?: string; route?: object }[]) =>
              new Set(
                parts.map((part) => (part.header === undefined ? part.route === undefined : part.header.toLowerCase())),
              ).size === parts.length,
            examples: {
              good: [[{ clientIP: {} }, { route: {} }, { header: 'x-a' }, { header: 'x-b' }]],
              bad: [
                [{ clientIP: {} }, { clientIP: {} }],
                [{ header: 'x-a' }, { header: 'X-A' }],
                [{ route: {} }, { route: {} }],
              ],
            },
          },
        ],
      }),
    ),
  },
  {
    description: 'A limit on the rate of requests.',
    example: { name: 'per-client', rate: '20/s', burst: 40, key: [{ clientIP: {} }] },
  },
)

/** The body of `rateLimits`. */
export const rateLimitsBody = list(rateLimit, {
  description:
    'Limits on the rate of requests, all of which hold, in this order; beyond one 429 RequestRateExceeded. All rules that the Policy applies to share its buckets, unless the key says route.',
  maxItems: 16,
  listType: { mapBy: ['name'] },
})

export type RateLimitsBody = Value<typeof rateLimitsBody>
export type RateLimit = RateLimitsBody[number]

/** One part of a key, in a shard. Header names in lower case. */
export type KeyPart =
  | { readonly type: 'clientIP' }
  | { readonly type: 'header'; readonly name: string }
  | { readonly type: 'route' }

/** One limit in a shard. `origin` names the object it is written in, so that its buckets outlive a configuration. */
export interface LimitConfig {
  readonly origin: readonly string[]
  readonly name: string
  readonly count: number
  readonly seconds: number
  readonly burst: number
  readonly key: readonly KeyPart[]
}

/** In a shard: all limits of all layers, strongest layer first. */
export interface RateLimitsConfig {
  readonly limits: readonly LimitConfig[]
}

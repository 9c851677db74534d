// The Tenant kind: who may do what, and how much. Pure. The policy bodies inside `policies` are handed in, because
// every body belongs to its own folder under policies/ and this folder imports none of them.
import { TENANT_DEFAULTS } from './default-values.ts'
import { exactHostname, hostname, labelName, rate, requiredPolicies, secretRef, size } from './fields.ts'
import { flag, integer, list, map, object, oneOf, optional, text, type Schema, type Value } from './schema.ts'

const selector = object(
  {
    matchLabels: optional(
      map(text({ description: 'Label value.', maxLength: 63 }), {
        description: 'Labels that a namespace must carry, all of them.',
        maxProperties: 16,
      }),
    ),
    matchExpressions: optional(
      list(
        object(
          {
            key: text({ description: 'Label key.', minLength: 1, maxLength: 317 }),
            operator: oneOf(['In', 'NotIn', 'Exists', 'DoesNotExist'], {
              description: 'How the label is compared with the values.',
            }),
            values: optional(
              list(text({ description: 'Label value.', maxLength: 63 }), {
                description: 'Values for In and NotIn.',
                maxItems: 64,
                listType: 'atomic',
              }),
            ),
          },
          {
            description: 'One requirement on a label.',
            rules: [
              {
                cel: "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
                message: 'In and NotIn need values, Exists and DoesNotExist have none',
                check: (value: { operator: string; values?: readonly string[] }) =>
                  ['In', 'NotIn'].includes(value.operator) === (value.values ?? []).length > 0,
                examples: {
                  good: [
                    { key: 'team', operator: 'In', values: ['acme'] },
                    { key: 'team', operator: 'Exists' },
                  ],
                  bad: [
                    { key: 'team', operator: 'In' },
                    { key: 'team', operator: 'Exists', values: ['acme'] },
                  ],
                },
              },
            ],
          },
        ),
        { description: 'Requirements on labels, all of them.', maxItems: 16, listType: 'atomic' },
      ),
    ),
  },
  {
    description:
      'Namespaces by label. An exact name in another Tenant wins; two Tenants that match one namespace: neither gets it.',
    rules: [
      {
        cel: '(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)',
        message: 'an empty selector would take every namespace; name at least one label',
        check: (value: { matchLabels?: Record<string, string>; matchExpressions?: readonly unknown[] }) =>
          Object.keys(value.matchLabels ?? {}).length > 0 || (value.matchExpressions ?? []).length > 0,
        examples: { good: [{ matchLabels: { team: 'acme' } }], bad: [{}, { matchLabels: {} }] },
      },
    ],
  },
)

const tls = object(
  {
    certificateRefs: optional(
      list(secretRef('A Secret of type kubernetes.io/tls.'), {
        description: 'Certificates for hosts whose Routes name none.',
        maxItems: 64,
        listType: 'atomic',
      }),
    ),
  },
  { description: 'TLS settings for all hosts of the tenant.' },
)

const limits = object(
  {
    requests: optional(
      object(
        {
          rate: rate('Requests admitted on average.'),
          burst: optional(
            integer({
              description: 'Requests that may come at once. Default: one second of the rate, at least 1.',
              minimum: 1,
              maximum: 10_000_000,
            }),
          ),
        },
        { description: 'Rate of requests of the whole tenant; beyond it 429 RequestRateExceeded.' },
      ),
    ),
    concurrency: optional(
      integer({
        description: 'Requests in flight; beyond it 429 ConcurrencyExceeded.',
        minimum: 1,
        maximum: 1_000_000,
      }),
    ),
    connections: optional(
      integer({
        description: 'Client connections that speak for this tenant; a connection beyond it is closed.',
        minimum: 1,
        maximum: 1_000_000,
      }),
    ),
    bodySize: optional({
      ...size('Largest request body; beyond it 413 BodyTooLarge.'),
      default: TENANT_DEFAULTS.bodySize,
    }),
    routes: optional(
      integer({ description: 'Number of Routes; those beyond it are refused.', minimum: 0, maximum: 100_000 }),
    ),
  },
  { description: 'How much the tenant may use, over all its Routes together.' },
)

/** The schema of `Tenant.spec`, given the fields of the policy bodies that may be defaults and overrides (each optional). */
export function tenantSpec(defaults: Record<string, Schema>, overrides: Record<string, Schema>) {
  return object(
    {
      displayName: optional(text({ description: 'Name for people.', minLength: 1, maxLength: 128 })),
      namespaces: optional(
        list(labelName('Name of a namespace.'), {
          description: 'Namespaces of the tenant, by exact name. A namespace belongs to one tenant.',
          maxItems: 256,
          listType: 'set',
        }),
      ),
      namespaceSelector: optional(selector),
      hostnames: optional(
        list(hostname('A hostname, or *.domain for one or more labels under it.'), {
          description: 'What Routes of the tenant may claim, and nobody else.',
          maxItems: 256,
          listType: 'set',
        }),
      ),
      hostnameExceptions: optional(
        list(exactHostname('A hostname under one of the own wildcards.'), {
          description: 'Carved out of the own wildcards, for another Tenant to claim.',
          maxItems: 256,
          listType: 'set',
        }),
      ),
      tls: optional(tls),
      limits: optional(limits),
      policies: optional(
        object(
          {
            defaults: optional(object(defaults, { description: "What the tenant's own Policies may change." })),
            overrides: optional(
              object(overrides, { description: "What the tenant's own Policies may only make stricter." }),
            ),
          },
          {
            description:
              "Policies for all Routes of the tenant: `defaults`, which the tenant's own Policies may change, and `overrides`, which they may only make stricter.",
          },
        ),
      ),
      requires: optional(requiredPolicies('No Route of this tenant serves without these policies in force.')),
      suspended: optional(
        flag({
          description: 'Answers every request of the tenant with 503 TenantSuspended.',
          default: TENANT_DEFAULTS.suspended,
        }),
      ),
    },
    { description: 'Who may do what, and how much.' },
  )
}

type TenantFields = Value<ReturnType<typeof tenantSpec>>

/** `Tenant.spec` once decoded. A policy body has been checked against its own schema by then. */
export type TenantSpec = Omit<TenantFields, 'policies'> & {
  readonly policies?: {
    readonly defaults?: Readonly<Record<string, unknown>>
    readonly overrides?: Readonly<Record<string, unknown>>
  }
}

// The Route kind: where traffic goes. Pure. Words and meaning of the Gateway API's HTTPRoute wherever it has them.
import { ROUTE_DEFAULTS } from './default-values.ts'
import { caRef, hostname, labelName, requiredPolicies, secretRef } from './fields.ts'
import { backendRef, healthCheck, retry, timeouts } from './route-backend.ts'
import { filter } from './route-filter.ts'
import { match } from './route-match.ts'
import { list, object, oneOf, optional, type Value } from './schema.ts'

interface PathChanging {
  readonly urlRewrite?: { readonly path?: { readonly type: string } }
  readonly requestRedirect?: { readonly path?: { readonly type: string } }
}

const rule = object(
  {
    name: optional(labelName('Name of the rule, unique in the Route; Policies target it by sectionName.')),
    matches: optional(
      list(match, { description: 'Any of them is enough. Default: every request.', maxItems: 64, listType: 'atomic' }),
    ),
    filters: optional(
      list(filter, {
        description: 'Steps, in order.',
        maxItems: 16,
        listType: 'atomic',
        rules: [
          {
            cel: "['URLRewrite', 'RequestRedirect', 'RequestHeaderModifier', 'ResponseHeaderModifier'].all(t, self.filter(f, f.type == t).size() <= 1)",
            message: 'each type of filter stands there at most once',
            check: (filters: readonly { type: string }[]) =>
              new Set(filters.map((each) => each.type)).size === filters.length,
            examples: {
              good: [[{ type: 'RequestHeaderModifier', requestHeaderModifier: {} }]],
              bad: [
                [
                  { type: 'RequestHeaderModifier', requestHeaderModifier: {} },
                  { type: 'RequestHeaderModifier', requestHeaderModifier: {} },
                ],
              ],
            },
          },
          {
            cel: "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))",
            message: 'a redirect has no backend, so nothing can be rewritten for it; name one of the two',
            check: (filters: readonly { type: string }[]) =>
              !(
                filters.some((each) => each.type === 'RequestRedirect') &&
                filters.some((each) => each.type === 'URLRewrite')
              ),
            examples: {
              good: [[{ type: 'URLRewrite', urlRewrite: {} }]],
              bad: [
                [
                  { type: 'URLRewrite', urlRewrite: {} },
                  { type: 'RequestRedirect', requestRedirect: {} },
                ],
              ],
            },
          },
        ],
      }),
    ),
    backendRefs: optional(
      list(backendRef, { description: 'Where the traffic goes.', maxItems: 16, listType: 'atomic' }),
    ),
    balance: optional(
      object(
        {
          algorithm: optional(
            oneOf(['LeastConnections', 'RoundRobin'], {
              description: 'LeastConnections: fewest requests in flight from this pod. RoundRobin: in turn.',
              default: ROUTE_DEFAULTS.algorithm,
            }),
          ),
        },
        { description: 'How an endpoint of the chosen backend is picked.' },
      ),
    ),
    timeouts: optional(timeouts),
    retry: optional(retry),
    healthCheck: optional(healthCheck),
  },
  {
    description: 'What to do with the requests that match.',
    rules: [
      {
        cel: "!(has(self.backendRefs) && self.backendRefs.size() > 0 && has(self.filters) && self.filters.exists(f, f.type == 'RequestRedirect'))",
        message: 'a redirect answers by itself; leave backendRefs out',
        check: (value: { backendRefs?: readonly unknown[]; filters?: readonly { type: string }[] }) =>
          !(
            (value.backendRefs ?? []).length > 0 &&
            (value.filters ?? []).some((each) => each.type === 'RequestRedirect')
          ),
        examples: {
          good: [{ filters: [{ type: 'RequestRedirect', requestRedirect: {} }], backendRefs: [] }],
          bad: [
            { filters: [{ type: 'RequestRedirect', requestRedirect: {} }], backendRefs: [{ name: 'web', port: 80 }] },
          ],
        },
      },
      {
        cel: "!has(self.filters) || !self.filters.exists(f, (has(f.urlRewrite) && has(f.urlRewrite.path) && f.urlRewrite.path.type == 'ReplacePrefixMatch') || (has(f.requestRedirect) && has(f.requestRedirect.path) && f.requestRedirect.path.type == 'ReplacePrefixMatch')) || !has(self.matches) || self.matches.all(m, !has(m.path) || !has(m.path.type) || m.path.type == 'PathPrefix')",
        message: 'ReplacePrefixMatch needs a prefix: all matches of the rule are of type PathPrefix',
        check: (value: { filters?: readonly PathChanging[]; matches?: readonly { path?: { type?: string } }[] }) =>
          !(value.filters ?? []).some(
            (each) =>
              each.urlRewrite?.path?.type === 'ReplacePrefixMatch' ||
              each.requestRedirect?.path?.type === 'ReplacePrefixMatch',
          ) || (value.matches ?? []).every((each) => (each.path?.type ?? 'PathPrefix') === 'PathPrefix'),
        examples: {
          good: [
            {
              matches: [{ path: { value: '/api' } }],
              filters: [
                { type: 'URLRewrite', urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' } } },
              ],
            },
          ],
          bad: [
            {
              matches: [{ path: { type: 'Exact', value: '/api' } }],
              filters: [
                { type: 'URLRewrite', urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' } } },
              ],
            },
          ],
        },
      },
    ],
  },
)

const tls = object(
  {
    certificateRefs: optional(
      list(secretRef('A Secret of type kubernetes.io/tls.'), {
        description: 'Certificates of the hosts. Default: those of the Tenant.',
        maxItems: 16,
        listType: 'atomic',
      }),
    ),
    minVersion: optional(
      oneOf(['1.2', '1.3'], {
        description: 'Lowest TLS version; the highest of all Routes of a host holds.',
        default: ROUTE_DEFAULTS.minVersion,
      }),
    ),
    plainHTTP: optional(
      oneOf(['Redirect', 'Serve', 'Refuse'], {
        description: 'What a request without TLS gets: 308 to https, the answer, or 421.',
        default: ROUTE_DEFAULTS.plainHTTP,
      }),
    ),
    clientValidation: optional(
      object(
        {
          caCertificateRefs: list(caRef('A ConfigMap or Secret with the key ca.crt.'), {
            description: 'The authorities that client certificates must come from.',
            minItems: 1,
            maxItems: 8,
            listType: 'atomic',
          }),
          mode: optional(
            oneOf(['Require', 'Optional'], {
              description: 'Whether a client without a certificate is refused.',
              default: ROUTE_DEFAULTS.clientValidationMode,
            }),
          ),
        },
        { description: 'Client certificates; holds for the whole host.' },
      ),
    ),
  },
  {
    description: 'TLS for the hosts of the Route.',
    rules: [
      {
        cel: "!(has(self.clientValidation) && has(self.plainHTTP) && self.plainHTTP == 'Serve')",
        message: 'plainHTTP: Serve would go round clientValidation',
        check: (value: { clientValidation?: unknown; plainHTTP?: string }) =>
          !(value.clientValidation !== undefined && value.plainHTTP === 'Serve'),
        examples: {
          good: [{ plainHTTP: 'Serve' }],
          bad: [{ plainHTTP: 'Serve', clientValidation: { caCertificateRefs: [{ name: 'ca' }] } }],
        },
      },
    ],
  },
)

/** The schema of `Route.spec`. */
export const routeSpec = object(
  {
    hostnames: optional(
      list(hostname('A hostname within those of the Tenant.'), {
        description: 'Hosts that the Route serves. Empty means none.',
        maxItems: 16,
        listType: 'set',
      }),
    ),
    requires: optional(requiredPolicies('Answers 503 PolicyNotReady until these policies are attached and resolved.')),
    tls: optional(tls),
    rules: optional(
      list(rule, {
        description: 'Rules; the most specific match wins, then the first.',
        maxItems: 16,
        listType: 'atomic',
        rules: [
          {
            cel: 'self.all(r, !has(r.name) || self.exists_one(o, has(o.name) && o.name == r.name))',
            message: 'names of rules are unique',
            check: (rules: readonly { name?: string }[]) => {
              const names = rules.flatMap((each) => (each.name === undefined ? [] : [each.name]))
              return new Set(names).size === names.length
            },
            examples: { good: [[{ name: 'a' }, {}]], bad: [[{ name: 'a' }, { name: 'a' }]] },
          },
          {
            cel: 'self.map(r, has(r.matches) ? r.matches.size() : 1).sum() <= 128',
            message: 'at most 128 matches over all rules',
            check: (rules: readonly { matches?: readonly unknown[] }[]) =>
              rules.reduce((sum, each) => sum + (each.matches?.length ?? 1), 0) <= 128,
            examples: {
              good: [[{ matches: [{}] }]],
              bad: [Array.from({ length: 3 }, () => ({ matches: Array.from({ length: 60 }, () => ({})) }))],
            },
          },
        ],
      }),
    ),
  },
  { description: 'Where traffic goes.' },
)

export type RouteSpec = Value<typeof routeSpec>
export type RouteRule = NonNullable<RouteSpec['rules']>[number]
export type RouteMatch = NonNullable<RouteRule['matches']>[number]
export type RouteFilter = NonNullable<RouteRule['filters']>[number]
export type BackendRef = NonNullable<RouteRule['backendRefs']>[number]
export type RouteTls = NonNullable<RouteSpec['tls']>

// The Route kind: where traffic goes. Pure. Words and meaning of the Gateway API's HTTPRoute wherever it has them.
import {
  caRef,
  duration,
  exactHostname,
  headerName,
  headerValue,
  hostname,
  labelName,
  portNumber,
  requiredPolicies,
  secretRef,
} from './fields.ts'
import { integer, integerOrText, list, object, oneOf, optional, text, type Value } from './schema.ts'

const pathText = (description: string) => text({ description, minLength: 1, maxLength: 1024 })

const pathMatch = object(
  {
    type: optional(
      oneOf(['Exact', 'PathPrefix', 'RegularExpression'], {
        description: 'Exact: the whole path. PathPrefix: by whole segments. RegularExpression: RE2, the whole path.',
        default: 'PathPrefix',
      }),
    ),
    value: optional({ ...pathText('The path, or the pattern.'), default: '/' }),
  },
  {
    description: 'A condition on the path. Case counts.',
    rules: [
      {
        cel: "!has(self.value) || (has(self.type) && self.type == 'RegularExpression') || self.value.startsWith('/')",
        message: 'a path begins with /',
        check: (value: { type?: string; value?: string }) =>
          value.value === undefined || value.type === 'RegularExpression' || value.value.startsWith('/'),
        examples: { good: [{ value: '/a' }, { type: 'RegularExpression', value: '.*' }], bad: [{ value: 'a' }] },
      },
    ],
  },
)

const valueMatch = (what: string, name: ReturnType<typeof headerName>) =>
  object(
    {
      type: optional(
        oneOf(['Exact', 'RegularExpression'], { description: 'How the value is compared.', default: 'Exact' }),
      ),
      name,
      value: text({ description: 'The value, or an RE2 pattern for the whole value.', maxLength: 1024 }),
    },
    { description: `A condition on ${what}.` },
  )

const match = object(
  {
    path: optional(pathMatch),
    method: optional(
      text({ description: 'The request method.', minLength: 1, maxLength: 32, pattern: '^[A-Z][A-Z-]*$' }),
    ),
    headers: optional(
      list(valueMatch('one header', headerName('Header name; case does not count.')), {
        description: 'Conditions on headers, all of them.',
        maxItems: 16,
        listType: { mapBy: ['name'] },
      }),
    ),
    queryParams: optional(
      list(
        valueMatch(
          'one query parameter',
          text({ description: 'Parameter name; case counts.', minLength: 1, maxLength: 256 }),
        ),
        { description: 'Conditions on query parameters, all of them.', maxItems: 16, listType: { mapBy: ['name'] } },
      ),
    ),
  },
  { description: 'All conditions must hold.' },
)

const headerModifier = (description: string) =>
  object(
    {
      set: optional(headerList('Headers to replace or add.')),
      add: optional(headerList('Headers to add to those present.')),
      remove: optional(
        list(headerName('Header name.'), { description: 'Headers to remove.', maxItems: 16, listType: 'set' }),
      ),
    },
    { description },
  )

function headerList(description: string) {
  return list(
    object({ name: headerName('Header name.'), value: headerValue('Header value.') }, { description: 'A header.' }),
    { description, maxItems: 16, listType: { mapBy: ['name'] } },
  )
}

const pathModifier = object(
  {
    type: oneOf(['ReplaceFullPath', 'ReplacePrefixMatch'], { description: 'What is replaced.' }),
    replaceFullPath: optional(pathText('The new path.')),
    replacePrefixMatch: optional(text({ description: 'What stands for the matched prefix.', maxLength: 1024 })),
  },
  {
    description: 'A new path.',
    rules: [
      {
        cel: "self.type == 'ReplaceFullPath' ? has(self.replaceFullPath) && !has(self.replacePrefixMatch) : has(self.replacePrefixMatch) && !has(self.replaceFullPath)",
        message: 'name the field that belongs to the type, and only that one',
        check: (value: { type: string; replaceFullPath?: string; replacePrefixMatch?: string }) =>
          value.type === 'ReplaceFullPath'
            ? value.replaceFullPath !== undefined && value.replacePrefixMatch === undefined
            : value.replacePrefixMatch !== undefined && value.replaceFullPath === undefined,
        examples: {
          good: [{ type: 'ReplaceFullPath', replaceFullPath: '/a' }],
          bad: [{ type: 'ReplaceFullPath' }, { type: 'ReplacePrefixMatch', replaceFullPath: '/a' }],
        },
      },
    ],
  },
)

const filter = object(
  {
    type: oneOf(['URLRewrite', 'RequestRedirect', 'RequestHeaderModifier', 'ResponseHeaderModifier'], {
      description: 'Which filter this is.',
    }),
    urlRewrite: optional(
      object(
        {
          hostname: optional(exactHostname('The Host that the backend sees.')),
          path: optional(pathModifier),
        },
        { description: 'Changes what the backend sees.' },
      ),
    ),
    requestRedirect: optional(
      object(
        {
          scheme: optional(oneOf(['http', 'https'], { description: 'Scheme of the Location.' })),
          hostname: optional(exactHostname('Host of the Location; default: the host asked for.')),
          path: optional(pathModifier),
          port: optional(portNumber('Port of the Location.')),
          statusCode: optional(
            integer({ description: '301, 302, 303, 307 or 308.', minimum: 301, maximum: 308, default: 302 }),
          ),
        },
        {
          description: 'Answers with a redirect.',
          rules: [
            {
              cel: '!has(self.statusCode) || self.statusCode in [301, 302, 303, 307, 308]',
              message: 'statusCode is one of 301, 302, 303, 307, 308',
              check: (value: { statusCode?: number }) =>
                value.statusCode === undefined || [301, 302, 303, 307, 308].includes(value.statusCode),
              examples: { good: [{ statusCode: 301 }, {}], bad: [{ statusCode: 304 }] },
            },
          ],
        },
      ),
    ),
    requestHeaderModifier: optional(headerModifier('Changes request headers before the backend sees them.')),
    responseHeaderModifier: optional(headerModifier('Changes response headers before the client sees them.')),
  },
  {
    description: 'One step on the way; the meaning is the Gateway API’s.',
    rules: [
      {
        cel: "has(self.urlRewrite) == (self.type == 'URLRewrite') && has(self.requestRedirect) == (self.type == 'RequestRedirect') && has(self.requestHeaderModifier) == (self.type == 'RequestHeaderModifier') && has(self.responseHeaderModifier) == (self.type == 'ResponseHeaderModifier')",
        message: 'name the field that belongs to the type, and only that one',
        check: (value: {
          type: string
          urlRewrite?: unknown
          requestRedirect?: unknown
          requestHeaderModifier?: unknown
          responseHeaderModifier?: unknown
        }) =>
          (value.urlRewrite !== undefined) === (value.type === 'URLRewrite') &&
          (value.requestRedirect !== undefined) === (value.type === 'RequestRedirect') &&
          (value.requestHeaderModifier !== undefined) === (value.type === 'RequestHeaderModifier') &&
          (value.responseHeaderModifier !== undefined) === (value.type === 'ResponseHeaderModifier'),
        examples: {
          good: [{ type: 'RequestRedirect', requestRedirect: { scheme: 'https' } }],
          bad: [{ type: 'URLRewrite' }, { type: 'URLRewrite', requestRedirect: {} }],
        },
      },
    ],
  },
)

const backendRef = object(
  {
    group: optional(oneOf([''], { description: 'API group of the referent.', default: '' })),
    kind: optional(oneOf(['Service'], { description: 'Kind of the referent.', default: 'Service' })),
    name: labelName('Name of the Service.'),
    namespace: optional(labelName('Namespace of the Service; another one than the own needs a ReferenceGrant there.')),
    port: integerOrText({ description: 'Port of the Service, by number or name.', maxLength: 15 }),
    weight: optional(
      integer({
        description: 'Share of the traffic: weight / sum. 0 means none.',
        minimum: 0,
        maximum: 1_000_000,
        default: 1,
      }),
    ),
  },
  { description: 'A Service that receives traffic.' },
)

const timeouts = object(
  {
    request: optional(
      duration(
        'From the first byte of the request to the last byte of the answer; 504 RequestDeadlineExceeded. Default: none.',
      ),
    ),
    backendRequest: optional(
      duration('From sending an attempt to the first byte of its answer; 504 UpstreamTimeout.', { default: '30s' }),
    ),
    connect: optional(duration('To connect to an endpoint.', { default: '1s' })),
    idle: optional(
      duration('Without a byte in either direction of a stream that has begun, tunnels included.', { default: '60s' }),
    ),
  },
  { description: 'How long each part may take.' },
)

const rule = object(
  {
    name: optional(labelName('Name of the rule, unique in the Route; Policies target it by sectionName.')),
    matches: optional(
      list(match, { description: 'Any of them is enough. Default: every request.', maxItems: 64, listType: 'atomic' }),
    ),
    filters: optional(list(filter, { description: 'Steps, in order.', maxItems: 16, listType: 'atomic' })),
    backendRefs: optional(
      list(backendRef, { description: 'Where the traffic goes.', maxItems: 16, listType: 'atomic' }),
    ),
    balance: optional(
      object(
        {
          algorithm: optional(
            oneOf(['LeastConnections', 'RoundRobin'], {
              description: 'LeastConnections: fewest requests in flight from this pod. RoundRobin: in turn.',
              default: 'LeastConnections',
            }),
          ),
        },
        { description: 'How an endpoint of the chosen backend is picked.' },
      ),
    ),
    timeouts: optional(timeouts),
    retry: optional(
      object(
        {
          attempts: optional(
            integer({
              description: 'Further attempts after the first, each at another endpoint where there is one.',
              minimum: 0,
              maximum: 5,
              default: 2,
            }),
          ),
          on: optional(
            list(oneOf(['ConnectFailure'], { description: 'What is retried.' }), {
              description:
                'ConnectFailure: the endpoint could not be reached, so nothing was sent. A safe request whose connection is lost before any answer is repeated too.',
              maxItems: 1,
              listType: 'set',
            }),
          ),
          backoff: optional(duration('Wait before a further attempt at the same endpoint.', { default: '25ms' })),
        },
        { description: 'What happens when an attempt fails. An unsafe request is never sent twice.' },
      ),
    ),
    healthCheck: optional(
      object(
        {
          passive: optional(
            object(
              {
                consecutiveFailures: optional(
                  integer({
                    description: 'Failed connections or broken answers in a row that eject an endpoint.',
                    minimum: 1,
                    maximum: 1000,
                    default: 5,
                  }),
                ),
                ejectFor: optional(duration('How long an endpoint stays out.', { default: '10s' })),
                maxEjectedPercent: optional(
                  integer({
                    description: 'At most this share of the endpoints is out at once.',
                    minimum: 0,
                    maximum: 100,
                    default: 50,
                  }),
                ),
              },
              { description: 'Ejection by what real traffic shows.' },
            ),
          ),
        },
        { description: 'How unhealthy endpoints are found.' },
      ),
    ),
  },
  { description: 'What to do with the requests that match.' },
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
        default: '1.2',
      }),
    ),
    plainHTTP: optional(
      oneOf(['Redirect', 'Serve', 'Refuse'], {
        description: 'What a request without TLS gets: 308 to https, the answer, or 421.',
        default: 'Redirect',
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
              default: 'Require',
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

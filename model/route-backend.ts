// How a rule of a Route reaches its backends: references, timeouts, retry, health. Pure. Part of route.ts.
import { ROUTE_DEFAULTS } from './default-values.ts'
import { duration, labelName, positiveDuration } from './fields.ts'
import { parseDuration } from './quantity.ts'
import { integer, integerOrText, list, object, oneOf, optional } from './schema.ts'

/** A Service that receives traffic. */
export const backendRef = object(
  {
    group: optional(oneOf([''], { description: 'API group of the referent.', default: '' })),
    kind: optional(oneOf(['Service'], { description: 'Kind of the referent.', default: 'Service' })),
    name: labelName('Name of the Service.'),
    namespace: optional(labelName('Namespace of the Service; another one than the own needs a ReferenceGrant there.')),
    port: integerOrText({
      description: 'Port of the Service, by number or name.',
      minimum: 1,
      maximum: 65535,
      maxLength: 15,
      pattern: '^([a-z0-9]+-)*[a-z0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*$',
      patternMeans:
        'a number from 1 to 65535 without quotes, or the name of a port: lower-case letters, digits and single hyphens',
    }),
    weight: optional(
      integer({
        description: 'Share of the traffic: weight / sum. 0 means none.',
        minimum: 0,
        maximum: 1_000_000,
        default: ROUTE_DEFAULTS.weight,
      }),
    ),
  },
  { description: 'A Service that receives traffic.' },
)

/** How long each part of a request may take. */
export const timeouts = object(
  {
    request: optional(
      duration(
        'From the first byte of the request to the last byte of the answer; 504 RequestDeadlineExceeded. 0s means none, which is the default.',
      ),
    ),
    backendRequest: optional(
      positiveDuration('From sending an attempt to the first byte of its answer; 504 UpstreamTimeout.', {
        default: ROUTE_DEFAULTS.backendRequest,
      }),
    ),
    connect: optional(positiveDuration('To connect to an endpoint.', { default: ROUTE_DEFAULTS.connect })),
    idle: optional(
      positiveDuration('Without a byte in either direction of a stream that has begun, tunnels included.', {
        default: ROUTE_DEFAULTS.idle,
      }),
    ),
  },
  {
    description: 'How long each part may take.',
    rules: [
      {
        cel: "!has(self.request) || !has(self.backendRequest) || duration(self.request) == duration('0s') || duration(self.backendRequest) <= duration(self.request)",
        message: 'backendRequest is at most request',
        check: (value: { request?: string; backendRequest?: string }) =>
          value.request === undefined ||
          value.backendRequest === undefined ||
          parseDuration(value.request) === 0 ||
          parseDuration(value.backendRequest) <= parseDuration(value.request),
        examples: {
          good: [{ request: '30s', backendRequest: '30s' }, { request: '0s', backendRequest: '1h' }, {}],
          bad: [{ request: '1s', backendRequest: '1500ms' }],
        },
      },
    ],
  },
)

/** What happens when an attempt fails. */
export const retry = object(
  {
    attempts: optional(
      integer({
        description: 'Further attempts after the first, each at another endpoint where there is one.',
        minimum: 0,
        maximum: 5,
        default: ROUTE_DEFAULTS.attempts,
      }),
    ),
    when: optional(
      list(oneOf(['ConnectFailure'], { description: 'What is retried.' }), {
        description:
          'ConnectFailure: the endpoint could not be reached, so nothing was sent. A safe request whose connection is lost before any answer is repeated too.',
        maxItems: 1,
        listType: 'set',
        default: ROUTE_DEFAULTS.retryOn,
      }),
    ),
    backoff: optional(
      duration('Wait before a further attempt at the same endpoint.', { default: ROUTE_DEFAULTS.backoff }),
    ),
  },
  { description: 'What happens when an attempt fails. An unsafe request is never sent twice.' },
)

/** How unhealthy endpoints are found. */
export const healthCheck = object(
  {
    passive: optional(
      object(
        {
          consecutiveFailures: optional(
            integer({
              description: 'Failed connections or broken answers in a row that eject an endpoint.',
              minimum: 1,
              maximum: 1000,
              default: ROUTE_DEFAULTS.consecutiveFailures,
            }),
          ),
          ejectFor: optional(positiveDuration('How long an endpoint stays out.', { default: ROUTE_DEFAULTS.ejectFor })),
          maxEjectedPercent: optional(
            integer({
              description: 'At most this share of the endpoints is out at once.',
              minimum: 0,
              maximum: 100,
              default: ROUTE_DEFAULTS.maxEjectedPercent,
            }),
          ),
        },
        { description: 'Ejection by what real traffic shows.' },
      ),
    ),
  },
  { description: 'How unhealthy endpoints are found.' },
)

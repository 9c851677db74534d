// What holds where a Tenant or Route says nothing, as its author would write it. Pure. The schemas show these values in
// the reference pages; defaults.ts fills them in.

/** Defaults of Tenant.spec. */
export const TENANT_DEFAULTS = { bodySize: '10Mi', suspended: false } as const

/** Defaults of Route.spec. A timeout that is not here is none. */
export const ROUTE_DEFAULTS = {
  pathType: 'PathPrefix',
  pathValue: '/',
  valueType: 'Exact',
  statusCode: 302,
  weight: 1,
  algorithm: 'LeastConnections',
  backendRequest: '30s',
  connect: '1s',
  idle: '60s',
  attempts: 2,
  retryOn: ['ConnectFailure'],
  backoff: '25ms',
  consecutiveFailures: 5,
  ejectFor: '10s',
  maxEjectedPercent: 50,
  minVersion: '1.2',
  plainHTTP: 'Redirect',
  clientValidationMode: 'Require',
} as const

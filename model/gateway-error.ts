// Every answer that the gateway gives by itself: its code, status and words, one closed table. Pure. Policies answer
// with these codes, dataplane/errors.ts writes the body, docs/errors and `atrium help` come from the same rows.

/** Whose doing it is: shown in the log as atrium.error_source. */
export type ErrorSource = 'gateway' | 'backend' | 'client'

interface ErrorRow {
  readonly status: number
  readonly title: string
  /** For the client: no address, no name of an object, nothing about other tenants. */
  readonly detail: string
  readonly source: ErrorSource
  /** For the page: what the owner does next. */
  readonly fix: string
}

/** ux conventions, section 5.5. 502: the backend spoke wrongly. 503: nobody could be asked. 504: it was too slow. */
export const GATEWAY_ERRORS = {
  BadRequest: {
    status: 400,
    title: 'Bad request',
    detail: 'The request is malformed or ambiguous.',
    source: 'client',
    fix: 'Send a request that obeys RFC 9110 and RFC 9112: one Host, one unambiguous length, a valid path.',
  },
  RequestTimeout: {
    status: 408,
    title: 'Request timeout',
    detail: 'The request did not arrive in time.',
    source: 'client',
    fix: 'Send the head within 10 s and keep the body flowing.',
  },
  BodyTooLarge: {
    status: 413,
    title: 'Body too large',
    detail: 'The request body is larger than allowed.',
    source: 'client',
    fix: 'Send less, or ask the platform team for a higher limits.bodySize.',
  },
  UriTooLong: {
    status: 414,
    title: 'URI too long',
    detail: 'The request target is longer than 8 KiB.',
    source: 'client',
    fix: 'Move data from the query into the body.',
  },
  HeadersTooLarge: {
    status: 431,
    title: 'Headers too large',
    detail: 'The request has more than 100 header fields or 32 KiB of them.',
    source: 'client',
    fix: 'Send fewer or smaller headers; large cookies are the usual cause.',
  },
  AddressDenied: {
    status: 403,
    title: 'Address denied',
    detail: 'Your address may not use this.',
    source: 'client',
    fix: 'Look at access.ip of the Policies that `atrium explain` lists, and at the trusted hops if the address shown is not the client’s.',
  },
  NoHost: {
    status: 404,
    title: 'No such host',
    detail: 'This host is not served here.',
    source: 'client',
    fix: 'Check the spelling; `atrium explain --url URL` shows who owns a host.',
  },
  NoRoute: {
    status: 404,
    title: 'No such route',
    detail: 'No route matches this request.',
    source: 'client',
    fix: '`atrium explain --url URL` shows every rule of the host and why it did not match.',
  },
  MethodNotAllowed: {
    status: 405,
    title: 'Method not allowed',
    detail: 'This method is not supported here.',
    source: 'client',
    fix: 'CONNECT and TRACE are never proxied.',
  },
  ExpectationFailed: {
    status: 417,
    title: 'Expectation failed',
    detail: 'Only 100-continue can be expected.',
    source: 'client',
    fix: 'Leave the Expect header out.',
  },
  MisdirectedRequest: {
    status: 421,
    title: 'Misdirected request',
    detail: 'This host is not served on this connection.',
    source: 'client',
    fix: 'Open a new connection with the TLS name of the host, or use https.',
  },
  RequestRateExceeded: {
    status: 429,
    title: 'Too many requests',
    detail: 'A limit on the rate of requests is exceeded.',
    source: 'client',
    fix: 'Wait for Retry-After; the RateLimit header names the limit.',
  },
  ConcurrencyExceeded: {
    status: 429,
    title: 'Too many requests at once',
    detail: 'Too many requests are in flight.',
    source: 'client',
    fix: 'Wait until others have finished; limits.concurrency of the Tenant is the bound.',
  },
  UpstreamConnectFailed: {
    status: 502,
    title: 'Backend unreachable',
    detail: 'No connection to the backend could be made.',
    source: 'backend',
    fix: 'Check that the pods listen on the Service’s targetPort.',
  },
  UpstreamReset: {
    status: 502,
    title: 'Backend connection lost',
    detail: 'The backend closed the connection before it answered.',
    source: 'backend',
    fix: 'Look at the backend’s log; a crash or a short keep-alive are usual causes.',
  },
  UpstreamProtocolError: {
    status: 502,
    title: 'Backend answer malformed',
    detail: 'The backend’s answer is malformed or ambiguous.',
    source: 'backend',
    fix: 'The backend breaks RFC 9112; its framing or header fields are wrong.',
  },
  NoHealthyEndpoint: {
    status: 503,
    title: 'No endpoint',
    detail: 'No endpoint can serve this request.',
    source: 'backend',
    fix: 'Check the pods of the Service and their readiness.',
  },
  PolicyNotReady: {
    status: 503,
    title: 'Policy not ready',
    detail: 'A required policy is not in force yet.',
    source: 'gateway',
    fix: 'The Route’s condition ResolvedRefs names the policy.',
  },
  TenantSuspended: {
    status: 503,
    title: 'Suspended',
    detail: 'This service is suspended.',
    source: 'gateway',
    fix: 'The platform team sets suspended to false.',
  },
  Overloaded: {
    status: 503,
    title: 'Overloaded',
    detail: 'The gateway cannot take this request now.',
    source: 'gateway',
    fix: 'Try again after Retry-After.',
  },
  Draining: {
    status: 503,
    title: 'Shutting down',
    detail: 'The gateway is shutting down.',
    source: 'gateway',
    fix: 'Try again; another pod will answer.',
  },
  InternalError: {
    status: 500,
    title: 'Gateway error',
    detail: 'The gateway failed.',
    source: 'gateway',
    fix: 'Report it with the request id; the log has the cause.',
  },
  UpstreamTimeout: {
    status: 504,
    title: 'Backend too slow',
    detail: 'The backend did not answer in time.',
    source: 'backend',
    fix: 'timeouts.backendRequest of the rule is the bound.',
  },
  RequestDeadlineExceeded: {
    status: 504,
    title: 'Deadline exceeded',
    detail: 'The request took longer than allowed.',
    source: 'backend',
    fix: 'timeouts.request of the rule is the bound.',
  },
} as const satisfies Readonly<Record<string, ErrorRow>>

export type GatewayErrorCode = keyof typeof GATEWAY_ERRORS

/** What a local answer adds to its row of the table. */
export interface GatewayAnswer {
  readonly code: GatewayErrorCode
  /** Whole seconds, at least 1 (RFC 9110 section 10.2.3). */
  readonly retryAfter?: number
  /** Which limit or policy decided, for the log: `limits.requests`, `rateLimits/per-client`, `access`. */
  readonly decidedBy?: string
}

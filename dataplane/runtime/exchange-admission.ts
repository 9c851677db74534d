// What stands before a route is looked for: does this connection speak for this host, is the tenant served, is there
// room within its limits. exchange.ts calls both once, in this order; the first thing that stands in the way wins.
import type { GatewayAnswer } from '../../model/gateway-error.ts'
import type { HostProgram, TenantProgram } from '../build/program.ts'
import { secureLocation } from '../build/target.ts'
import { authorityKey } from '../tls/host-identity.ts'
import type { ClientStream } from './carrier.ts'

/** Go on, send the client to https, or answer. `close`: the connection may not be used for more. */
export type Admission =
  | { readonly type: 'go' }
  | { readonly type: 'secure'; readonly location: string }
  | {
      readonly type: 'refuse'
      readonly answer: GatewayAnswer
      readonly fields?: readonly string[]
      readonly close?: true
    }

const GO: Admission = { type: 'go' }
const MISDIRECTED: Admission = { type: 'refuse', answer: { code: 'MisdirectedRequest' } }
const SUSPENDED: Admission = { type: 'refuse', answer: { code: 'TenantSuspended', retryAfter: 60 } }
const TOO_LARGE: Admission = { type: 'refuse', answer: { code: 'BodyTooLarge', decidedBy: 'limits.bodySize' } }
const TOO_MANY: Admission = {
  type: 'refuse',
  answer: { code: 'ConcurrencyExceeded', retryAfter: 1, decidedBy: 'limits.concurrency' },
}
const TOO_MANY_CONNECTIONS: Admission = {
  type: 'refuse',
  answer: { code: 'Overloaded', retryAfter: 1, decidedBy: 'limits.connections' },
  close: true,
}

/** Where clients of a trusted hop find https: its port is the hop's, not ours. */
const HOP_HTTPS_PORT = 443

/**
 * Whether the host may be asked for on this connection (RFC 9110 section 15.5.20): its TLS name's tenant must be the
 * host's, its version one that the host accepts, and where the host demands a client certificate, this connection's must
 * have been verified for it. Plain connections follow the host's plainHTTP; a trusted hop that says https counts as
 * secure.
 * @param httpsPort where clients find https, for those that are sent there.
 */
export function judgeConnection(
  host: HostProgram,
  stream: Pick<ClientStream, 'connection' | 'request'>,
  httpsPort: number,
): Admission {
  const { connection, request } = stream
  if (connection.tls !== null && (connection.tls.tenant !== host.tenant.tenant || connection.revoked())) {
    return MISDIRECTED
  }
  const tls = host.tls
  if (tls === null) return GO
  // The handshake was held to the versions of the name it was for, which may be another one of the same tenant.
  if (connection.tls !== null && tls.minVersion === '1.3' && connection.tls.version !== 'TLSv1.3') return MISDIRECTED
  if (request.scheme === 'http') {
    if (tls.plainHTTP === 'Redirect') {
      const port = connection.trustedHop ? HOP_HTTPS_PORT : httpsPort
      return { type: 'secure', location: secureLocation(request, port) }
    }
    if (tls.plainHTTP === 'Refuse') return MISDIRECTED
  }
  const validation = tls.clientValidation
  if (validation === null) return GO
  const verified = connection.tls?.verifiedAgainst ?? ''
  if (validation.closed) return MISDIRECTED
  // Optional lets a connection without a certificate in, never one that was verified for somebody else's authorities.
  if (verified === '') return validation.mode === 'Require' ? MISDIRECTED : GO
  return verified === authorityKey(validation.authorities) ? GO : MISDIRECTED
}

/**
 * Whether the tenant has room: suspended, then rate, concurrency, size of the body by its declared length, connections.
 * After `go` one place of `state.concurrency` is held and must be released.
 */
export function judgeLimits(tenant: TenantProgram, stream: Pick<ClientStream, 'connection' | 'bodyLength'>): Admission {
  if (tenant.suspended) return SUSPENDED
  const { limits, state } = tenant
  const { metrics } = state
  if (tenant.requests !== null && limits.requests !== null) {
    const decision = tenant.requests.take('')
    metrics.limitDecision('requests', decision.allowed ? 'allowed' : 'refused')
    if (!decision.allowed) {
      const wait = Math.max(1, Math.ceil(decision.retryAfter))
      return {
        type: 'refuse',
        answer: { code: 'RequestRateExceeded', retryAfter: wait, decidedBy: 'limits.requests' },
        fields: rateFields(limits.requests, wait),
      }
    }
  }
  if (!state.concurrency.tryAcquire(limits.concurrency)) {
    metrics.limitDecision('concurrency', 'refused')
    return TOO_MANY
  }
  const refusal = afterConcurrency(tenant, stream)
  if (refusal !== undefined) state.concurrency.release()
  return refusal ?? GO
}

function afterConcurrency(
  tenant: TenantProgram,
  stream: Pick<ClientStream, 'connection' | 'bodyLength'>,
): Admission | undefined {
  const { limits, state } = tenant
  if (limits.concurrency !== null) state.metrics.limitDecision('concurrency', 'allowed')
  if (stream.bodyLength !== null && stream.bodyLength > limits.bodySize) {
    state.metrics.limitDecision('bodySize', 'refused')
    return TOO_LARGE
  }
  if (!stream.connection.charge(state, limits.connections)) {
    state.metrics.limitDecision('connections', 'refused')
    return TOO_MANY_CONNECTIONS
  }
  return undefined
}

/** draft-ietf-httpapi-ratelimit-headers: the quota of one window, and what is left of it now. */
function rateFields(
  rate: { readonly count: number; readonly seconds: number; readonly burst: number },
  wait: number,
): readonly string[] {
  return ['ratelimit-policy', `"requests";q=${rate.count};w=${rate.seconds}`, 'ratelimit', `"requests";r=0;t=${wait}`]
}

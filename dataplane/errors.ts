// What a client sees when the gateway answers by itself: problem+json (RFC 9457) from the one closed table. Pure.
// The exchange and the carriers (for heads that never become an exchange) write their answers with this.
import { GATEWAY_ERRORS, type GatewayAnswer, type GatewayErrorCode } from '../model/gateway-error.ts'

/** Where the page of an error stands, without its code. */
const PAGES = 'https://atrium.dev/errors/'

/** A ready answer. */
export interface Problem {
  readonly status: number
  /** Name, value, name, value … without framing fields. */
  readonly fields: readonly string[]
  readonly body: Uint8Array
}

interface Prepared {
  readonly status: number
  readonly bodyStart: string
}

const PREPARED: ReadonlyMap<GatewayErrorCode, Prepared> = new Map(
  (Object.keys(GATEWAY_ERRORS) as GatewayErrorCode[]).map((code) => {
    const { status, title, detail } = GATEWAY_ERRORS[code]
    const text = JSON.stringify({ type: PAGES + code, title, status, detail })
    return [code, { status, bodyStart: `${text.slice(0, -1)},"request_id":"` }]
  }),
)

const ENCODER = new TextEncoder()

/** Methods that are proxied, for the Allow field that a 405 must have (RFC 9110 section 15.5.6). */
export const ALLOWED_METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'

/** Seconds to wait where a policy names none: every 429 and 503 has a Retry-After (ux conventions, section 5.5). */
const DEFAULT_WAIT = 1

/**
 * The answer for a code. `requestId` must be printable ASCII without quotes, as the exchange makes and accepts it.
 * No detail of the request, of an address or of an object is in it.
 */
export function problem(answer: GatewayAnswer, requestId: string): Problem {
  const { status, bodyStart } = PREPARED.get(answer.code) ?? { status: 500, bodyStart: '{"request_id":"' }
  const fields = [
    'content-type',
    'application/problem+json',
    'cache-control',
    'no-store',
    'x-atrium-error',
    answer.code,
    'x-request-id',
    requestId,
  ]
  if (status === 429 || status === 503) {
    fields.push('retry-after', String(Math.max(1, Math.ceil(answer.retryAfter ?? DEFAULT_WAIT))))
  }
  if (status === 405) fields.push('allow', ALLOWED_METHODS)
  return { status, fields, body: ENCODER.encode(`${bodyStart}${requestId}"}\n`) }
}

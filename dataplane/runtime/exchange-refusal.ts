// Requests that never become an exchange: heads that the gate refuses and bytes that are no request. Each still gets an
// id, an answer, a count and a log line. Carriers call it and write what comes back, then close.
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import { problem, type Problem } from '../errors.ts'
import type { ClientConnection } from './carrier.ts'
import type { ServeContext } from './exchange-context.ts'

/** What is known of a refused head; '' where nothing is. Text as the parser gave it. */
export interface RefusedHead {
  readonly method: string
  readonly target: string
}

/** Counts and logs a refusal and gives its answer. */
export type Refuse = (connection: ClientConnection, head: RefusedHead, code: GatewayErrorCode) => Problem

/** Longest part of a refused target that is logged. */
const LOGGED_TARGET = 1_024

/** @param context of the worker, as the exchanges have it. */
export function createRefuse(context: ServeContext): Refuse {
  return (connection, head, code) => {
    const requestId = context.requestIds.next()
    const answer = problem({ code }, requestId)
    context.state.unowned.gatewayError(code)
    context.state.unowned.request(answer.status, 0, 0, 0, 0, answer.body.length)
    const target = withoutUser(head.target)
    const mark = target.indexOf('?')
    context.log.write({
      time: context.wallClock(),
      requestId,
      tenant: '',
      route: null,
      method: head.method.slice(0, 32),
      scheme: connection.secure ? 'https' : 'http',
      host: '',
      path: (mark < 0 ? target : target.slice(0, mark)).slice(0, LOGGED_TARGET),
      query: mark < 0 ? '' : target.slice(mark + 1, mark + 1 + LOGGED_TARGET),
      status: answer.status,
      clientAddress: connection.client.address,
      peerAddress: connection.client.peer,
      requestSize: 0,
      responseSize: answer.body.length,
      durationMs: 0,
      upstreamMs: null,
      backend: null,
      endpoint: '',
      resends: 0,
      error: code,
      decidedBy: '',
      aborted: false,
      tls: connection.tls,
    })
    return answer
  }
}

/** An absolute target or one of CONNECT without its user information (RFC 3986 section 3.2.1): a password is not logged. */
function withoutUser(target: string): string {
  if (target.startsWith('/')) return target
  const start = target.indexOf('://')
  const from = start < 0 ? 0 : start + 3
  const [authority = ''] = target.slice(from).split(/[/?#]/, 1)
  return target.slice(0, from) + target.slice(from + authority.lastIndexOf('@') + 1)
}

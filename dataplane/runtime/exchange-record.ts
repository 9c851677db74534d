// What is counted and written when an exchange has ended: the tenant's and the route's metrics, and the access line.
// exchange.ts calls it exactly once for each request.
import type { Exchange } from '../../model/filter.ts'
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { RouteId } from '../../model/snapshot.ts'
import type { ClientConnection } from './carrier.ts'
import type { ServeContext } from './exchange-context.ts'
import type { Forwarding } from './exchange-forward.ts'
import type { RouteMetrics, TenantState } from './pod-state.ts'

/** An exchange that has ended, with what only it knew. */
export interface Ended {
  readonly exchange: Exchange
  readonly route: RouteId | null
  readonly status: number
  readonly error: GatewayErrorCode | undefined
  readonly decidedBy: string
  readonly aborted: boolean
  readonly bytesIn: number
  readonly bytesOut: number
  readonly forwarding: Forwarding | undefined
  readonly account: TenantState | undefined
  readonly routed: RouteMetrics | undefined
  readonly connection: ClientConnection
}

/** Counts and logs. */
export function record(context: ServeContext, ended: Ended): void {
  const { exchange, forwarding, account, status, bytesIn, bytesOut } = ended
  const { request } = exchange
  const duration = context.state.now() - exchange.startedAt
  const upstream = forwarding === undefined ? null : Math.min(forwarding.elapsed, duration)
  const metrics = account?.metrics ?? context.state.unowned
  metrics.request(status, duration, duration - (upstream ?? 0), upstream ?? 0, bytesIn, bytesOut)
  ended.routed?.request(status, duration)
  context.log.write({
    time: context.wallClock(),
    requestId: exchange.requestId,
    tenant: exchange.tenant,
    route: ended.route,
    method: request.method,
    scheme: request.scheme,
    host: request.host,
    path: request.path,
    query: request.query,
    status,
    clientAddress: exchange.client.address,
    peerAddress: exchange.client.peer,
    requestSize: bytesIn,
    responseSize: bytesOut,
    durationMs: duration,
    upstreamMs: upstream,
    backend: forwarding?.service ?? null,
    endpoint: forwarding?.endpoint?.label ?? '',
    resends: forwarding?.resends ?? 0,
    error: ended.error ?? null,
    decidedBy: ended.decidedBy,
    aborted: ended.aborted,
    tls: ended.connection.tls,
  })
}

// What one access line is made from. Types only: exchange-record.ts fills it, access-log-line.ts writes it.
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { RouteId } from '../../model/snapshot.ts'
import type { ConnectionTls } from './carrier.ts'

/** What is known of one request when it ends. Fields without data are '' or null and leave no trace in the line. */
export interface AccessRecord {
  /** Milliseconds since the epoch, at the end. */
  readonly time: number
  readonly requestId: string
  /** '' where no tenant owns the request. */
  readonly tenant: string
  readonly route: RouteId | null
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly path: string
  /** As received, without `?`. The writer replaces the values of secret-looking names. */
  readonly query: string
  /** 0 where the client left before any. */
  readonly status: number
  /** Resolved through trusted hops. */
  readonly clientAddress: string
  /** The other end of the socket. */
  readonly peerAddress: string
  /** Bytes of the bodies, and of a tunnel's two directions. */
  readonly requestSize: number
  readonly responseSize: number
  readonly durationMs: number
  /** Null where no backend was asked. */
  readonly upstreamMs: number | null
  readonly backend: { readonly namespace: string; readonly name: string; readonly port: string } | null
  /** `address:port` of the last attempt, '' for none. */
  readonly endpoint: string
  /** Attempts beyond the first. */
  readonly resends: number
  readonly error: GatewayErrorCode | null
  /** Which limit or policy refused: `limits.requests`, `rateLimits/per-client`, `access`. '' for none. */
  readonly decidedBy: string
  /** The client went before the end. */
  readonly aborted: boolean
  readonly tls: ConnectionTls | null
}

// What a codec offers to an exchange: one request, its body, and a place to answer. Types only. Fastify
// (dataplane/serve), the raw HTTP/1.1 stub and the in-memory carrier (test/support) implement it and pass one suite.
import type { AddressRanges } from '../../model/address.ts'
import type { ClientIdentity } from '../../model/filter.ts'
import type { ResponseFields } from './field-list.ts'
import type { TenantState } from './pod-state.ts'
import type { ReceivedRequest } from './received-request.ts'

/** What is known of the connection before any request on it. One object for each connection, shared by its requests. */
export interface ClientConnection {
  readonly client: ClientIdentity
  readonly secure: boolean
  /** The TLS name and what the handshake established; null on plain connections. */
  readonly tls: ConnectionTls | null
  /** Port that the client connected to. */
  readonly localPort: number
  /** The peer is a hop whose X-Forwarded-* are believed. */
  readonly trustedHop: boolean
  /** All such hops. */
  readonly trusted: AddressRanges
  /** The client certificate of this connection is no longer good: answer 421, close. */
  revoked(): boolean
  /**
   * Counts this connection once for a tenant that it speaks for, until it closes. false: the tenant has `bound`
   * connections already.
   */
  charge(state: TenantState, bound: number | null): boolean
}

export interface ConnectionTls {
  /** Canonical SNI name, '' where the client sent none. */
  readonly serverName: string
  /** Tenant that owned the name when the handshake ended, '' for none. */
  readonly tenant: string
  /** HTTP/1.1's ALPN, TLS version and cipher for the log. */
  readonly version: string
  readonly cipher: string
  /** Joined fingerprints of the authorities that the client certificate was verified against; '' where none was. */
  readonly verifiedAgainst: string
}

/** Receives a request body. */
export interface BodyReader {
  /** A view valid during the call. false: stop reading until `resumeBody`. */
  onChunk(chunk: Uint8Array): boolean
  /** The body is complete. Trailers as name, value, name, value … (already validated). */
  onEnd(trailers: readonly string[]): void
}

/** One request and its answer, as the codec sees them. Every method is safe to call after the client went (no-op). */
export interface ClientStream {
  readonly connection: ClientConnection
  readonly request: ReceivedRequest
  /** Bytes of the body: 0 for none, null for chunked. */
  readonly bodyLength: number | null
  /** `Expect: 100-continue` was sent; the body will not come before `continue()` (or some seconds). */
  readonly expectsContinue: boolean
  /** `Upgrade: websocket` with a valid handshake (RFC 6455 section 4.1). */
  readonly websocket: boolean

  readBody(reader: BodyReader): void
  resumeBody(): void
  /** Sends 100 once. */
  continue(): void
  /** Sends an interim answer (102 to 199 but not 101). Names and values in turn. */
  interim(status: number, fields: readonly string[]): void
  /** Sends the final head. `length`: bytes, null for unknown, 0 for none. Called once. */
  respond(head: ResponseFields, length: number | null): void
  /** false: wait for `onDrain`. The bytes are copied or written before it returns. */
  write(chunk: Uint8Array): boolean
  /** The connection ends after this answer. Before `respond`. */
  closeAfterAnswer(): void
  /** Ends the answer cleanly. An unread request body is drained up to a cap, else the connection closes in stages. */
  end(trailers: readonly string[]): void
  /** Cuts the connection so that the client can tell that the answer is not whole. */
  abort(): void
  /** Answers 101 with this head and turns the connection into a tunnel. */
  tunnel(head: ResponseFields): Tunnel
  /** A response head of this codec, to be filled and handed to `respond`. */
  createHead(status: number): ResponseFields
  /** Set once by the exchange. */
  listen(events: ClientEvents): void
}

export interface ClientEvents {
  onDrain(): void
  /** The client went before the answer was complete, or the codec failed. Never after a clean end. */
  onAbort(): void
  /** The last byte of the answer was handed to the kernel. */
  onFinish(): void
  /** The request body comes too slowly (threats, section 4: 240 B/s after 10 s): answer 408 or cut. */
  onBodyStalled(): void
}

/** Two directions of bytes after 101. Both carriers and the upstream client give one; the exchange joins two of them. */
export interface Tunnel {
  /** false: wait for onDrain. */
  write(chunk: Uint8Array): boolean
  /** Half close. */
  end(): void
  /** Cuts it. Whether onClose follows is not said: whoever cuts knows that it is gone. */
  destroy(): void
  pause(): void
  resume(): void
  listen(events: { onChunk(chunk: Uint8Array): void; onEnd(): void; onDrain(): void; onClose(): void }): void
}

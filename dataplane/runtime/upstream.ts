// The seam between an exchange and the protocol that speaks to an endpoint. Types only. dataplane/http1/client.ts
// implements EndpointClient; runtime/exchange.ts calls it; a later HTTP/2 client implements the same.
import type { Tunnel } from './carrier.ts'

/** One attempt, ready to be written: nothing in it is decided or checked again. */
export interface UpstreamRequest {
  readonly method: string
  /** Path and query, the bytes as latin1. */
  readonly target: string
  /** Name, value, name, value … complete: Host and X-Forwarded-* in, hop-by-hop fields out, no framing fields. */
  readonly fields: readonly string[]
  /** 0 for none, null for chunked. */
  readonly bodyLength: number | null
  /** Ask for `Upgrade: websocket`; the client's Sec-WebSocket-* fields are in `fields`. */
  readonly websocket: boolean
  /** Forward `Expect: 100-continue`: the body waits for the backend's 100. */
  readonly expectContinue: boolean
}

export type UpstreamErrorCode = 'UpstreamConnectFailed' | 'UpstreamReset' | 'UpstreamProtocolError' | 'UpstreamTimeout'

export interface UpstreamFailure {
  readonly code: UpstreamErrorCode
  /** For the log only: ECONNREFUSED and the like. Never shown to a client. */
  readonly cause: string
  /** No byte of this request was handed to the kernel: any method may be tried elsewhere. */
  readonly nothingSent: boolean
  /** The connection had served a request before: it may have been closed as idle, which says nothing of the endpoint. */
  readonly reused: boolean
  /** A byte of an answer (interim ones included) has arrived: nothing may be repeated. */
  readonly answered: boolean
}

/** What happens to one attempt. After onEnd, onTunnel or onFailure nothing else is called. */
export interface UpstreamEvents {
  /** 1xx except 101; at most 8 of them reach here. */
  onInterim(status: number, fields: readonly string[]): void
  /** The final head, validated (RFC 9112): length in bytes, null for chunked or until close, 0 for none. */
  onHead(status: number, fields: readonly string[], length: number | null): void
  /** A view valid during the call. false: stop reading until `resume`. */
  onChunk(chunk: Uint8Array): boolean
  onEnd(trailers: readonly string[]): void
  /** 101 with a valid accept key. */
  onTunnel(fields: readonly string[], tunnel: Tunnel): void
  /** `onDrain`: more of the request body may be written. */
  onDrain(): void
  onFailure(failure: UpstreamFailure): void
}

/** A running attempt. */
export interface UpstreamCall {
  /** false: wait for onDrain. Before the connection stands, bytes are held (at most 64 KiB, then false). */
  write(chunk: Uint8Array): boolean
  end(trailers: readonly string[]): void
  resume(): void
  /** Ends the attempt and its connection. No event follows. */
  abort(): void
}

export interface AttemptTimeouts {
  /** Milliseconds. */
  readonly connect: number
  /** From the request's last byte (or head, while the body still flows) to the head of the answer. */
  readonly firstByte: number
  /** Without a byte either way once the answer has begun. */
  readonly idle: number
}

/** Connections to one endpoint for one pool identity. Never shared between tenants. */
export interface EndpointClient {
  send(request: UpstreamRequest, timeouts: AttemptTimeouts, events: UpstreamEvents): UpstreamCall
  /** Closes idle connections at once and busy ones after their request. */
  close(): void
  readonly idle: number
  readonly busy: number
}

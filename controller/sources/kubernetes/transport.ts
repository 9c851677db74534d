// What the client needs from a way to the API server, and what both ways share. http1-transport and http2-transport
// implement it; the client adds credentials, retries and JSON.
import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { Access, ApiServer } from './access.ts'
import { ApiFailure, codeOf } from './api-failure.ts'

/** One call, ready to be sent. */
export interface OutgoingCall {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  readonly access: Access
  /** Over a connection of its own: another replica may answer. */
  readonly freshConnection: boolean
  readonly signal: AbortSignal
}

/** An answer whose body is still coming. */
export interface IncomingAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Readable
}

/** A way to the API server. */
export interface Transport {
  /** Resolves with the head of the answer; rejects with ApiFailure. An abort destroys body and connection. */
  send(call: OutgoingCall): Promise<IncomingAnswer>
  close(): void
}

/** Options of a TLS connection to the API server. */
export function tlsOptions(server: ApiServer, access: Access) {
  return {
    host: server.host,
    port: server.port,
    minVersion: 'TLSv1.2' as const,
    ...(server.serverName === undefined ? {} : { servername: server.serverName }),
    ...(access.ca === undefined ? {} : { ca: access.ca }),
    ...(access.certificate === undefined ? {} : { cert: access.certificate }),
    ...(access.key === undefined ? {} : { key: access.key.reveal() }),
  }
}

/** Milliseconds: where packets are dropped, the kernel would wait longer and longer, and miss the return by that. */
const CONNECT_MS = 3_000

/** Gives up a connection to which the other end's kernel does not answer. */
export function boundConnecting(socket: Socket): void {
  if (!socket.connecting) return
  const late = () => socket.destroy(new ApiFailure('timeout', `the API server did not connect in ${CONNECT_MS} ms`))
  const timer = setTimeout(late, CONNECT_MS)
  const done = () => clearTimeout(timer)
  socket.once('connect', done).once('close', done)
}

/** Whether two accesses may share a connection. */
export function sameTls(a: Access, b: Access): boolean {
  return a.ca === b.ca && a.certificate === b.certificate && a.key?.reveal() === b.key?.reveal()
}

/** What an error of a socket or stream is to the caller. */
export function failureOf(error: unknown, signal: AbortSignal, what: string): ApiFailure {
  if (error instanceof ApiFailure) return error
  if (signal.aborted) {
    return signal.reason instanceof ApiFailure ? signal.reason : new ApiFailure('aborted', `${what}: given up`)
  }
  return new ApiFailure('network', `${what}: the connection failed (${codeOf(error)})`)
}

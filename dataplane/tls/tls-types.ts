// What the data listener asks of the TLS front. Types only. dataplane/tls/tls-table.ts implements it; serve/listener.ts
// hands every raw connection of the TLS port to `accept` and gives what comes out to its HTTP server.
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { ConnectionTls } from '../runtime/carrier.ts'

/** The TLS side of a listener: a plain net.Server accepts, the front reads the ClientHello and then builds the socket. */
export interface TlsFront {
  /**
   * Takes a raw connection (paused or not, nothing read from it) through its handshake. `ready` gets the secure socket
   * once everything holds: name known, client certificate as the host demands it. Otherwise the connection is ended
   * here and `ready` is never called. Never throws. Hand the socket to an http.Server with `emit('connection', secure)`.
   */
  accept(socket: Socket, ready: (secure: TLSSocket) => void): void
  /** What the handshake established. Only for sockets that `ready` got. */
  describe(secure: TLSSocket): ConnectionTls
  /**
   * Whether a connection must end: its client certificate was verified against authorities that are no longer in force,
   * or the host has begun to demand one since. Checked by the front itself at every change: such sockets are destroyed
   * within 30 s, whatever runs on them; ask for each new request and refuse it with 421.
   */
  revoked(secure: TLSSocket): boolean
  /** Handshakes that are running or waiting now. */
  readonly handshaking: number
}

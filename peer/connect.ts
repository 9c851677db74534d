// Opens a connection to a peer and hands it out only when the peer is proven to be who it should be: before that, not
// one byte of a request is written. Uses node:tls. call.ts makes requests over it.
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { PeerIdentity } from '../model/peer-name.ts'
import { identify, type PeerCredentials, secureOptions } from './identify.ts'

/** Where to, with what, and whom to believe. */
export interface ConnectOptions {
  readonly host: string
  readonly port: number
  readonly credentials: PeerCredentials | { readonly authorities: string }
  /** Says why the peer is not the one, or nothing. */
  readonly check: (identity: PeerIdentity) => string | undefined
  /** Milliseconds for everything up to the check. */
  readonly timeout: number
}

/** The other end is not who it should be. */
class WrongPeer extends Error {
  override readonly name = 'WrongPeer'
}

/** Resolves with a socket whose peer passed. Rejects with WrongPeer, or with what the system or TLS said. */
export function connectPeer(options: ConnectOptions): Promise<TLSSocket> {
  const { host, port, credentials, check, timeout } = options
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      host,
      port,
      ...('key' in credentials
        ? secureOptions(credentials)
        : { ca: credentials.authorities, minVersion: 'TLSv1.3' as const }),
      rejectUnauthorized: true,
      // A peer has no host name; `identify` looks at what its certificate names instead.
      checkServerIdentity: () => undefined,
    })
    const fail = (error: Error) => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    const timer = setTimeout(() => {
      fail(Object.assign(new Error(`no connection within ${timeout} ms`), { code: 'ETIMEDOUT' }))
    }, timeout)
    socket.once('error', fail)
    socket.once('close', () => fail(new Error('the connection was closed during the handshake')))
    socket.once('secureConnect', () => {
      const identity = identify(socket)
      const problem = identity === undefined ? 'its certificate names no peer at this address' : check(identity)
      if (problem !== undefined) {
        fail(new WrongPeer(problem))
        return
      }
      clearTimeout(timer)
      socket.removeAllListeners('close')
      socket.removeListener('error', fail)
      socket.setNoDelay(true)
      socket.setKeepAlive(true, 15_000)
      resolve(socket)
    })
  })
}

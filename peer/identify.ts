// What each end of a connection between controller and dataplane shows, and how the other end knows who it is. Uses
// node:tls. Both halves of Atrium call it; nothing is believed of a peer that did not pass here.
import { constants } from 'node:crypto'
import type { TLSSocket, TlsOptions } from 'node:tls'
import type { Hidden } from '../model/hidden.ts'
import { canonicalAddress, type PeerIdentity, readPeerIdentity } from '../model/peer-name.ts'

/** A certificate with its key, and the authorities whose certificates are believed. All PEM. */
export interface PeerCredentials {
  readonly certificate: string
  readonly key: Hidden<string>
  readonly authorities: string
}

/**
 * Settings of TLS for either end. Nothing is resumed: a ticket would outlive the authority under which it was given.
 */
export function secureOptions({ certificate, key, authorities }: PeerCredentials) {
  return {
    cert: certificate,
    key: key.reveal(),
    ca: authorities,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
  } as const satisfies TlsOptions
}

/**
 * Who is at the other end of a socket whose handshake is done: undefined where the certificate was not signed by an
 * authority of ours, names nobody, or names other addresses than the one that the connection leads to.
 */
export function identify(socket: TLSSocket): PeerIdentity | undefined {
  if (!socket.authorized) return undefined
  const identity = readPeerIdentity(socket.getPeerX509Certificate()?.subjectAltName)
  const address = canonicalAddress(socket.remoteAddress ?? '')
  return identity !== undefined && address !== undefined && identity.addresses.includes(address) ? identity : undefined
}

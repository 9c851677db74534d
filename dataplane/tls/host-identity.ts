// What one host shows and asks in the handshake: its certificates, its versions, its client authorities. The server
// object that runs its handshakes is made at the first one and may be dropped again (recent-list.ts).
// The TLS table makes one for each host of a shard and keeps it while the host's TLS settings stay the same.
import { X509Certificate } from 'node:crypto'
import { createServer, type Server, type TlsOptions } from 'node:tls'
import type { Hidden } from '../../model/hidden.ts'
import type { HostTls, TenantShard } from '../../model/snapshot.ts'
import type { Named } from '../build/name-index.ts'

/** A certificate chain with its key, as PEM. */
export interface CertificateMaterial {
  readonly chainPem: string
  readonly keyPem: Hidden<string>
}

/** How client certificates are verified; null where none is asked for. */
export interface ClientValidation {
  readonly mode: 'Require' | 'Optional'
  /** Names the set of authorities: what `ConnectionTls.verifiedAgainst` is compared with. */
  readonly authorityKey: string
  /** PEM bundles. Empty means closed: nobody can be verified, so nobody comes in. */
  readonly authorities: readonly string[]
}

/** Everything about TLS of one name that the table knows. */
export interface HostIdentity extends Named {
  readonly tenant: string
  /** Equal texts, equal handshakes. */
  readonly settings: string
  readonly minVersion: HostTls['minVersion']
  /** Best first. Empty: the install's default certificate, or none. */
  readonly certificates: readonly CertificateMaterial[]
  readonly clientValidation: ClientValidation | null
}

/** The text form of a set of authorities: the fingerprints in their order. The exchange compares requests with it. */
export function authorityKey(authorities: readonly string[]): string {
  return authorities.join(',')
}

/** The identities of a shard, one for each host. A host without `tls` has one too: its name has an owner. */
export function identitiesOf(shard: TenantShard): HostIdentity[] {
  return shard.hosts.map(({ host, tls }) => ({
    host,
    tenant: shard.tenant,
    settings: JSON.stringify(tls),
    minVersion: tls?.minVersion ?? '1.2',
    certificates: (tls?.certificates ?? []).flatMap((fingerprint) => {
      const facts = shard.certificates.get(fingerprint)
      return facts === undefined || facts.problem !== undefined ? [] : [facts]
    }),
    clientValidation: clientValidationOf(shard, tls),
  }))
}

function clientValidationOf(shard: TenantShard, tls: HostTls | null): ClientValidation | null {
  const validation = tls?.clientValidation ?? null
  if (validation === null) return null
  const facts = validation.authorities.map((fingerprint) => shard.authorities.get(fingerprint))
  const readable = facts.flatMap((each) => (each === undefined || each.problem !== undefined ? [] : [each.pem]))
  // One authority that cannot be read closes the host: the others alone are not what the owner wrote.
  const closed = validation.closed || readable.length !== facts.length
  return {
    mode: validation.mode,
    authorityKey: authorityKey(validation.authorities),
    authorities: closed ? [] : readable,
  }
}

/** Why no handshake for a name can succeed, whatever the client shows; undefined where one can. */
export function handshakeObstacle(
  identity: HostIdentity | undefined,
  hasDefaultCertificate: boolean,
): 'NameUnknown' | 'NoCertificate' | 'NoAuthority' | undefined {
  if (identity?.clientValidation?.authorities.length === 0) return 'NoAuthority'
  if (hasDefaultCertificate || (identity !== undefined && identity.certificates.length > 0)) return undefined
  return identity === undefined ? 'NameUnknown' : 'NoCertificate'
}

/**
 * A server that never listens: connections are handed to it, and it runs their handshakes with this host's options.
 * Throws where the material cannot be used.
 */
export function createHandshakeServer(
  certificates: readonly CertificateMaterial[],
  minVersion: HostTls['minVersion'],
  validation: ClientValidation | null,
  handshakeTimeout: number,
): Server {
  const usable = bestOfEachType(certificates)
  const options: TlsOptions = {
    cert: usable.map(({ chainPem }) => chainPem),
    key: usable.map(({ keyPem }) => keyPem.reveal()),
    minVersion: minVersion === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout,
  }
  if (validation === null) return createServer(options)
  return createServer({
    ...options,
    ca: [...validation.authorities],
    requestCert: true,
    rejectUnauthorized: validation.mode === 'Require',
    // A ticket would carry the certificate past a change of the authorities: OpenSSL does not verify it again.
    secureOptions: NO_TICKET,
  })
}

/** SSL_OP_NO_TICKET. Node keeps no sessions of its own, so nothing can be resumed then, in TLS 1.3 either. */
const NO_TICKET = 0x4000

/** OpenSSL holds one certificate for each type of key and chooses among them by what the client can verify. */
function bestOfEachType(certificates: readonly CertificateMaterial[]): readonly CertificateMaterial[] {
  const byType = new Map<string, CertificateMaterial>()
  for (const certificate of certificates) {
    const type = new X509Certificate(certificate.chainPem).publicKey.asymmetricKeyType ?? ''
    if (!byType.has(type)) byType.set(type, certificate)
  }
  return [...byType.values()]
}

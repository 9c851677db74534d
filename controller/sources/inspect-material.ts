// The one inspector of certificates, keys and CA bundles: turns the bytes of a Secret or ConfigMap into facts. Uses
// node:crypto, so it stands at the edge; every source calls it, compile reads the facts. Never throws, never prints.
import { X509Certificate, createHash, createPrivateKey, type KeyObject } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { Hidden } from '../../model/hidden.ts'
import type { AuthorityFacts, CertificateFacts, Material } from '../../model/resources.ts'

const MAX_CHAIN = 32
const MAX_AUTHORITIES = 1_000
const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]{1,40})-----[^-]{0,1048576}-----END \1-----/g

/** Facts of a Secret, given its data with base64 taken off. A Secret with neither tls.crt, tls.key nor ca.crt has none. */
export function inspectSecret(data: Readonly<Record<string, Uint8Array>>): Material {
  const certificate = own(data, 'tls.crt')
  const key = own(data, 'tls.key')
  const authorities = own(data, 'ca.crt')
  return Object.freeze({
    ...(certificate === undefined && key === undefined
      ? {}
      : { certificate: inspectCertificate(latin1(certificate), latin1(key)) }),
    ...(authorities === undefined ? {} : { authorities: inspectAuthorities(latin1(authorities)) }),
  })
}

/** Facts of a ConfigMap, given its data. */
export function inspectConfigMap(data: Readonly<Record<string, string>>): Material {
  const authorities = own(data, 'ca.crt')
  return Object.freeze(authorities === undefined ? {} : { authorities: inspectAuthorities(authorities) })
}

function own<Value>(data: Readonly<Record<string, Value>>, key: string): Value | undefined {
  return Object.hasOwn(data, key) ? data[key] : undefined
}

// PEM is ASCII (RFC 7468 section 2); other bytes then fail as base64, with no decoder that could throw.
function latin1(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? '' : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

function inspectCertificate(chainText: string, keyText: string): CertificateFacts {
  const chain = parseChain(chainText, MAX_CHAIN)
  const leaf = chain.certificates[0]
  const chainPem = chain.certificates.map((each) => each.toString()).join('')
  const problem =
    chainText.trim() === ''
      ? 'tls.crt is missing'
      : chain.problem !== undefined
        ? `tls.crt ${chain.problem}`
        : (keyProblem(leaf, keyText) ?? contextProblem(chainPem, keyText))
  return Object.freeze({
    names: Object.freeze(leaf === undefined ? [] : dnsNames(leaf)),
    notBefore: leaf === undefined ? 0 : leaf.validFromDate.getTime(),
    notAfter: leaf === undefined ? 0 : leaf.validToDate.getTime(),
    fingerprint: fingerprint(chain.certificates, leaf),
    ...(problem === undefined ? {} : { problem }),
    chainPem,
    keyPem: new Hidden(keyText),
  })
}

function inspectAuthorities(text: string): AuthorityFacts {
  const bundle = parseChain(text, MAX_AUTHORITIES)
  const problem = bundle.problem ?? notAuthority(bundle.certificates)
  // Trust does not depend on the order, so equal sets are equal bytes.
  const ordered = [...new Map(bundle.certificates.map((each) => [each.fingerprint256, each])).values()].sort((a, b) =>
    a.fingerprint256 < b.fingerprint256 ? -1 : 1,
  )
  return Object.freeze({
    count: ordered.length,
    // The bundle is of use until its last authority ends.
    notAfter: ordered.reduce((latest, each) => Math.max(latest, each.validToDate.getTime()), 0),
    fingerprint: fingerprint(ordered, undefined),
    ...(problem === undefined ? {} : { problem: `ca.crt ${problem}` }),
    pem: ordered.map((each) => each.toString()).join(''),
  })
}

function parseChain(text: string, limit: number): { certificates: readonly X509Certificate[]; problem?: string } {
  const certificates: X509Certificate[] = []
  let block = 0
  for (const [pem, label] of text.matchAll(PEM_BLOCK)) {
    block++
    if (label !== 'CERTIFICATE' && label !== 'X509 CERTIFICATE' && label !== 'TRUSTED CERTIFICATE') continue
    if (certificates.length === limit) return { certificates, problem: `holds more than ${limit} certificates` }
    try {
      certificates.push(new X509Certificate(pem))
    } catch {
      return { certificates, problem: `cannot be read: PEM block ${block} is no certificate` }
    }
  }
  if (certificates.length === 0) return { certificates, problem: 'holds no certificate in PEM' }
  return { certificates }
}

function notAuthority(certificates: readonly X509Certificate[]): string | undefined {
  const index = certificates.findIndex((each) => !each.ca)
  return index < 0 ? undefined : `holds a certificate that is no authority (number ${index + 1})`
}

function keyProblem(leaf: X509Certificate | undefined, keyText: string): string | undefined {
  if (keyText.trim() === '') return 'tls.key is missing'
  if (/-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(keyText)) {
    return 'tls.key is encrypted; store the key without a passphrase'
  }
  let key: KeyObject
  try {
    key = createPrivateKey(keyText)
  } catch {
    return 'tls.key holds no private key in PEM'
  }
  try {
    if (leaf?.checkPrivateKey(key) !== true) return 'tls.key does not belong to the certificate in tls.crt'
  } catch {
    return 'tls.key is of a kind that TLS does not use'
  }
  return undefined
}

// What the TLS library itself refuses (a key too small, a digest too weak) must be known here, not at the first handshake.
function contextProblem(cert: string, key: string): string | undefined {
  try {
    createSecureContext({ cert, key })
    return undefined
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    return `tls.crt cannot be used for TLS (${code
      .replace(/^ERR_SSL_/, '')
      .toLowerCase()
      .replaceAll('_', ' ')})`
  }
}

/** DNS names of a certificate (RFC 6125: the subject's common name is not one), lower case, without duplicates. */
function dnsNames(certificate: X509Certificate): string[] {
  const names = new Set<string>()
  // node:crypto quotes a name as JSON where it could be taken for a separator; such a name is no hostname.
  for (const entry of (certificate.subjectAltName ?? '').split(/, (?=(?:[^"]*"[^"]*")*[^"]*$)/)) {
    const name = /^DNS:([^"\s,]+)$/.exec(entry)?.[1]
    if (name !== undefined) names.add(name.toLowerCase())
  }
  return [...names]
}

// Certificates and public keys are public and unguessable: their digest may be shown.
function fingerprint(certificates: readonly X509Certificate[], leaf: X509Certificate | undefined): string {
  const digest = createHash('sha256')
  for (const certificate of certificates) digest.update(certificate.raw)
  if (leaf !== undefined) {
    try {
      digest.update(leaf.publicKey.export({ type: 'spki', format: 'der' }))
    } catch {
      digest.update('no public key')
    }
  }
  return digest.digest('hex')
}

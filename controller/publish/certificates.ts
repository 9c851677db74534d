// Making and reading certificates of a release: authorities, leaves, requests. Over @peculiar/x509; all of it P-256 with
// SHA-256. authority.ts and identity.ts decide what is signed, this file only how.
import 'reflect-metadata'
import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  X509Certificate,
  webcrypto,
} from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { Hidden } from '../../model/hidden.ts'

/** An authority with its key. Times in milliseconds since the epoch. */
export interface AuthorityKey {
  readonly certificatePem: string
  readonly keyPem: Hidden<string>
  readonly notBefore: number
  readonly notAfter: number
}

/** The same as it is stored. */
export interface StoredKey {
  readonly certificate: string
  readonly key: string
}

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const MAX_REQUEST = 4_096

/** A new key: its public half as SubjectPublicKeyInfo, its private half as PKCS #8. */
export function makeKeyPair(): { readonly publicKey: Uint8Array; readonly keyPem: Hidden<string> } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    keyPem: new Hidden(String(privateKey.export({ type: 'pkcs8', format: 'pem' }))),
  }
}

/** A self-signed authority that signs leaves and nothing else. */
export async function makeAuthority(release: string, notBefore: number, notAfter: number): Promise<AuthorityKey> {
  const { publicKey, keyPem } = makeKeyPair()
  const [signingKey, verifyKey] = await Promise.all([importPrivate(keyPem), importPublic(publicKey)])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: [{ CN: [`atrium ${release}`] }, { OU: [randomBytes(4).toString('hex')] }],
    notBefore: new Date(notBefore),
    notAfter: new Date(notAfter),
    keys: { privateKey: signingKey, publicKey: verifyKey },
    signingAlgorithm: EC,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(verifyKey),
    ],
  })
  return { certificatePem: pem(certificate), keyPem, ...lifeOf(certificate) }
}

/** Reads a stored authority. Throws where certificate and key are none, or do not belong together. */
export function readAuthority({ certificate, key }: StoredKey): AuthorityKey {
  const parsed = new X509Certificate(certificate)
  if (!parsed.ca || !parsed.checkPrivateKey(createPrivateKey(key))) throw new TypeError('no authority')
  return { certificatePem: certificate, keyPem: new Hidden(key), ...lifeOf(new x509.X509Certificate(certificate)) }
}

/** What a leaf says. Times in milliseconds since the epoch. */
export interface LeafFacts {
  /** What it is for peers; undefined where it is for clients of the API alone. */
  readonly uri: string | undefined
  readonly address: string
  /** DNS names for clients of the API. A peer's certificate has none. */
  readonly names?: readonly string[]
  readonly publicKey: Uint8Array
  readonly notBefore: number
  readonly notAfter: number
}

/** A leaf for both ends of a connection. PEM. */
export async function signLeaf(authority: AuthorityKey, facts: LeafFacts): Promise<string> {
  const issuer = new x509.X509Certificate(authority.certificatePem)
  const publicKey = await importPublic(facts.publicKey)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: '',
    issuer: issuer.subject,
    notBefore: new Date(facts.notBefore),
    notAfter: new Date(facts.notAfter),
    publicKey,
    signingKey: await importPrivate(authority.keyPem),
    signingAlgorithm: EC,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      // Critical, because the subject is empty (RFC 5280, 4.2.1.6).
      new x509.SubjectAlternativeNameExtension(
        [
          ...(facts.uri === undefined ? [] : [{ type: 'url' as const, value: facts.uri }]),
          ...(facts.names ?? []).map((value) => ({ type: 'dns' as const, value })),
          { type: 'ip', value: facts.address },
        ],
        true,
      ),
      await x509.AuthorityKeyIdentifierExtension.create(await issuer.publicKey.export()),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  })
  return pem(certificate)
}

/**
 * The public key of a request for a certificate: SubjectPublicKeyInfo, DER. A clause where the request is none, is not
 * signed with its key, or its key is not P-256. Its names and attributes are not looked at.
 */
export async function readRequest(csr: string): Promise<Uint8Array | string> {
  try {
    const request = new x509.Pkcs10CertificateRequest(csr)
    if (request.rawData.byteLength > MAX_REQUEST) return 'is too large'
    const { algorithm } = request.publicKey
    if (!('namedCurve' in algorithm) || algorithm.name !== 'ECDSA' || algorithm.namedCurve !== 'P-256') {
      return 'must have a P-256 key'
    }
    if (!(await request.verify())) return 'is not signed with its own key'
    return new Uint8Array(request.publicKey.rawData)
  } catch {
    return 'cannot be read'
  }
}

async function importPrivate(keyPem: Hidden<string>): Promise<webcrypto.CryptoKey> {
  const key: KeyObject = createPrivateKey(keyPem.reveal())
  return await webcrypto.subtle.importKey('pkcs8', key.export({ type: 'pkcs8', format: 'der' }), EC, false, ['sign'])
}

async function importPublic(spki: Uint8Array): Promise<webcrypto.CryptoKey> {
  return await webcrypto.subtle.importKey('spki', Uint8Array.from(spki), EC, true, ['verify'])
}

function lifeOf(certificate: x509.X509Certificate): { readonly notBefore: number; readonly notAfter: number } {
  return { notBefore: certificate.notBefore.getTime(), notAfter: certificate.notAfter.getTime() }
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem').trimEnd()}\n`
}

/** Positive and unguessable (RFC 5280, 4.1.2.2). */
function serial(): string {
  return `01${randomBytes(15).toString('hex')}`
}

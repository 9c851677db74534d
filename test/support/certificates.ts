// Certificates for tests, made anew in each run: authorities, leaves, clients, of either type of key. Nothing is read
// from disk and nothing secret is committed.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { createHash } from 'node:crypto'
import { Hidden } from '../../model/hidden.ts'
import type { AuthorityFacts, CertificateFacts } from '../../model/resources.ts'

/** An authority: what signs, and the PEM that whoever verifies gets. */
export interface TestCa {
  readonly pem: string
  readonly certificate: x509.X509Certificate
  readonly keys: CryptoKeyPair
}

/** A leaf with its key. */
export interface TestLeaf {
  /** The leaf alone; verifiers know the authority. */
  readonly certPem: string
  readonly keyPem: string
}

type CryptoKeyPair = webcrypto.CryptoKeyPair

export interface LeafOptions {
  /** DNS names; the first is the common name too. */
  readonly names?: readonly string[]
  readonly commonName?: string
  /** Default EC (P-256). */
  readonly key?: 'EC' | 'RSA'
  /** Default server. */
  readonly usage?: 'server' | 'client'
  readonly notBefore?: Date
  readonly notAfter?: Date
}

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  publicExponent: new Uint8Array([1, 0, 1]),
  modulusLength: 2048,
} as const
const HOUR = 3_600_000

/** A self-signed authority. */
export async function makeCa(commonName = 'Test CA'): Promise<TestCa> {
  const keys = await generate('EC')
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=${commonName}`,
    notBefore: new Date(Date.now() - HOUR),
    notAfter: new Date(Date.now() + 24 * HOUR),
    keys,
    signingAlgorithm: EC,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  })
  return { pem: certificate.toString('pem'), certificate, keys }
}

/** A certificate for servers or clients, signed by the authority. */
export async function makeLeaf(ca: TestCa, options: LeafOptions = {}): Promise<TestLeaf> {
  const names = options.names ?? []
  const keys = await generate(options.key ?? 'EC')
  const usage = options.usage === 'client' ? x509.ExtendedKeyUsage.clientAuth : x509.ExtendedKeyUsage.serverAuth
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: `CN=${(options.commonName ?? names[0] ?? 'test').replace('*', 'wildcard')}`,
    issuer: ca.certificate.subject,
    notBefore: options.notBefore ?? new Date(Date.now() - HOUR),
    notAfter: options.notAfter ?? new Date(Date.now() + 24 * HOUR),
    publicKey: keys.publicKey,
    signingKey: ca.keys.privateKey,
    signingAlgorithm: EC,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      ...(names.length === 0
        ? []
        : [new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns' as const, value })))]),
    ],
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return {
    certPem: certificate.toString('pem'),
    keyPem: `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`,
  }
}

/** The facts of a leaf, as the inspector of a source finds them. */
export function certificateFacts(leaf: TestLeaf, names: readonly string[]): CertificateFacts {
  return {
    names,
    notBefore: Date.now() - HOUR,
    notAfter: Date.now() + 24 * HOUR,
    fingerprint: digest(leaf.certPem),
    chainPem: leaf.certPem,
    keyPem: new Hidden(leaf.keyPem),
  }
}

/** The facts of a bundle of authorities. */
export function authorityFacts(...authorities: readonly TestCa[]): AuthorityFacts {
  const pem = authorities.map((authority) => authority.pem).join('\n')
  return { count: authorities.length, notAfter: Date.now() + 24 * HOUR, fingerprint: digest(pem), pem }
}

async function generate(type: 'EC' | 'RSA'): Promise<CryptoKeyPair> {
  return type === 'EC'
    ? webcrypto.subtle.generateKey(EC, true, ['sign', 'verify'])
    : webcrypto.subtle.generateKey(RSA, true, ['sign', 'verify'])
}

function serial(): string {
  return `01${Buffer.from(webcrypto.getRandomValues(new Uint8Array(8))).toString('hex')}`
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

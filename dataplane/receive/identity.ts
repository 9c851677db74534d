// The certificate of this pod: a key that never leaves the process, a request with the projected token to any controller,
// renewed at a third of its life, or when another authority signs. Believes the authorities of the mounted file, and, until that changes, those that came
// with the certificate.
import 'reflect-metadata'
import { generateKeyPairSync, webcrypto, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { Hidden } from '../../model/hidden.ts'
import { readPeerIdentity } from '../../model/peer-name.ts'
import { PUSH_LIMITS, PUSH_PATHS, readSigningAnswer, type SigningAnswer } from '../../model/push.ts'
import { CallRefused } from '../../peer/call.ts'
import type { PeerCredentials } from '../../peer/identify.ts'
import type { Controllers } from './controllers.ts'

export interface PodIdentityOptions {
  readonly release: string
  /** UID of this Pod. */
  readonly uid: string
  /** On which this pod listens for controllers. */
  readonly port: () => number
  /** The projected token; read anew for every request, because the kubelet renews it. */
  readonly tokenFile: string
  /** The mounted bundle of authorities, PEM. */
  readonly authorityFile: string
  readonly controllers: Controllers
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** How often the bundle is read again, milliseconds. */
  readonly lookEvery: number
  /** A number from 0 to 1. */
  readonly random: () => number
  /** Shown from now on. */
  readonly renewed: (credentials: PeerCredentials) => void
  /** One sentence, when something does not work. */
  readonly warn: (message: string) => void
}

/** Milliseconds. */
const CALL = { timeout: 10_000, idle: 10_000 }
const FIRST_WAIT = 250
const LONGEST_WAIT = 5_000
const LONGEST_WAIT_FOR_SIGNER = 600_000
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** See the head of this file. */
export class PodIdentity {
  readonly #options: PodIdentityOptions
  #credentials: PeerCredentials | undefined
  #renewAt = 0
  /** While another authority signs than that of the present certificate: when to ask, and how long to wait after that. */
  #otherSigner: { askAt: number; wait: number } | undefined
  #authorities = ''
  /** The file as it was read last. */
  #file = ''
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  #looking = false
  /** Milliseconds for which the controller asked. */
  #retryAfter = 0
  #warned = ''

  constructor(options: PodIdentityOptions) {
    this.#options = options
  }

  /** Whether there is a certificate. */
  get has(): boolean {
    return this.#credentials !== undefined
  }

  /** What is shown now. Throws before `start` is done. */
  get credentials(): PeerCredentials {
    if (this.#credentials === undefined) throw new Error('this pod has no certificate yet')
    return this.#credentials
  }

  /** What is believed now. */
  get authorities(): string {
    return this.#authorities
  }

  /** Resolves with the first certificate, however long it takes; undefined where `stop` came first. */
  async start(): Promise<PeerCredentials | undefined> {
    for (let failures = 0; !this.#stopped; failures++) {
      if (await this.#renew()) break
      const own = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(failures, 10))
      const wait = Math.max(own, this.#retryAfter)
      await new Promise<void>((resolve) => {
        this.#timer = setTimeout(resolve, wait * (0.5 + this.#options.random() / 2))
      })
    }
    if (this.#stopped) return undefined
    this.#timer = setInterval(() => void this.#look(), this.#options.lookEvery)
    this.#timer.unref()
    return this.#credentials
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  async #look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    try {
      await this.#readAuthorities()
      const now = this.#options.now()
      const other = this.#otherSigner
      const asks = other !== undefined && now >= other.askAt
      // A replica that is asked may not know it yet, and a former version names the newest first, not the one that signs.
      if (asks) {
        other.askAt = now + other.wait
        other.wait = Math.min(other.wait * 2, LONGEST_WAIT_FOR_SIGNER)
      }
      if (asks || now >= this.#renewAt) await this.#renew()
    } finally {
      this.#looking = false
    }
  }

  /** Whether there is a certificate now that is worth showing. */
  async #renew(): Promise<boolean> {
    const { controllers, tokenFile, release, uid, port, now, random, renewed } = this.#options
    try {
      await this.#readAuthorities()
      if (this.#authorities === '') throw new Error('there is no bundle of authorities yet')
      const token = (await readFile(tokenFile, 'utf8')).trim()
      const { csr, key } = await makeRequest()
      const body = { type: 'application/json', content: JSON.stringify({ csr, port: port() }) }
      const headers = { authorization: `Bearer ${token}` }
      const answer = await controllers.ask({ authorities: this.#authorities }, async (caller) => {
        const call = { method: 'POST', path: PUSH_PATHS.sign, headers, body, maxAnswer: PUSH_LIMITS.answer } as const
        return check(readSigningAnswer(await caller.json({ ...call, ...CALL })), release, uid)
      })
      const life = lifeOf(answer.certificate)
      // Either may be behind the other: the file by the kubelet, the answer by a replica that has not read it yet.
      this.#authorities = unite(this.#file, answer.authorities)
      this.#credentials = { certificate: answer.certificate, key, authorities: this.#authorities }
      // Not all pods at one moment.
      this.#renewAt = now() + ((life.notAfter - now()) / 3) * (0.9 + random() / 10)
      this.#warned = ''
      if (isSignedByFirst(answer.certificate, this.#file)) this.#otherSigner = undefined
      renewed(this.#credentials)
      return true
    } catch (error) {
      this.#retryAfter = error instanceof CallRefused ? (error.retryAfter ?? 0) : 0
      this.#warn(error instanceof Error ? error.message : String(error))
      return false
    }
  }

  async #readAuthorities(): Promise<void> {
    try {
      const text = await readFile(this.#options.authorityFile, 'utf8')
      if (text === this.#file || text.trim() === '') return
      this.#file = text
      this.#authorities = text
      if (this.#credentials === undefined) return
      this.#credentials = { ...this.#credentials, authorities: text }
      const signs = isSignedByFirst(this.#credentials.certificate, text)
      this.#otherSigner = signs ? undefined : { askAt: 0, wait: this.#options.lookEvery }
      this.#options.renewed(this.#credentials)
    } catch (error) {
      this.#warn(error instanceof Error ? error.message : String(error))
    }
  }

  #warn(message: string): void {
    if (message === this.#warned) return
    this.#warned = message
    this.#options.warn(`no certificate could be had: ${message}`)
  }
}

function unite(...bundles: readonly string[]): string {
  const blocks = bundles.flatMap(
    (bundle) => bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [],
  )
  return [...new Set(blocks)].map((block) => `${block}\n`).join('')
}

/** Whether the authority that a bundle names first has signed a certificate. */
function isSignedByFirst(certificate: string, bundle: string): boolean {
  return new X509Certificate(certificate).verify(new X509Certificate(bundle).publicKey)
}

function check(read: ReturnType<typeof readSigningAnswer>, release: string, uid: string): SigningAnswer {
  if (typeof read === 'string') throw new Error(`the answer of the controller makes no sense: ${read}`)
  const identity = readPeerIdentity(new X509Certificate(read.value.certificate).subjectAltName)
  if (identity?.release !== release || identity.role !== 'dataplane' || identity.uid !== uid) {
    throw new Error('the controller signed for somebody else')
  }
  return read.value
}

function lifeOf(certificate: string): { readonly notAfter: number } {
  return { notAfter: new X509Certificate(certificate).validToDate.getTime() }
}

/** A key, and a request that proves to have it. No names: the controller knows better. */
async function makeRequest(): Promise<{ readonly csr: string; readonly key: Hidden<string> }> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { subtle } = webcrypto
  const keys = {
    privateKey: await subtle.importKey('pkcs8', privateKey.export({ type: 'pkcs8', format: 'der' }), EC, false, [
      'sign',
    ]),
    publicKey: await subtle.importKey('spki', publicKey.export({ type: 'spki', format: 'der' }), EC, true, ['verify']),
  }
  const request = await Pkcs10CertificateRequestGenerator.create({ name: '', keys, signingAlgorithm: EC })
  return {
    csr: `${request.toString('pem').trimEnd()}\n`,
    key: new Hidden(String(privateKey.export({ type: 'pkcs8', format: 'pem' }))),
  }
}

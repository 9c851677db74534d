// The authority of a release: signs the certificates by which controllers and dataplane pods know each other, renews
// itself at half of its life, and keeps the former one believed until its last leaf has ended. Controller replicas share
// it through a store; only the leader changes it. The key is nowhere but in the store and in this process.
import { Hidden } from '../../model/hidden.ts'
import { formatPeerName, type PeerName } from '../../model/peer-name.ts'
import type { PeerCredentials } from '../../peer/identify.ts'
import {
  type AuthorityKey,
  type LeafFacts,
  makeAuthority,
  makeKeyPair,
  readAuthority,
  signLeaf,
  type StoredKey,
} from './certificates.ts'

/** Where the authority is kept: a Secret in a cluster, a folder or memory elsewhere. */
export interface AuthorityStore {
  /** What was saved last, with a word for its version; undefined where there is nothing. Rejects where nobody can tell. */
  load(): Promise<{ readonly content: Hidden<string>; readonly version: string } | undefined>
  /**
   * Saves only where the version is still that (undefined: where there is nothing). Resolves with the new version, or
   * with undefined where somebody else was first.
   */
  save(content: Hidden<string>, version: string | undefined): Promise<string | undefined>
}

export interface AuthorityOptions {
  readonly release: string
  readonly store: AuthorityStore
  /** Shows the authorities to believe to every pod: PEM. Called when they change, and again by every `maintain`. */
  readonly publishBundle: (pem: string) => Promise<void>
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Times in milliseconds. */
const DAY = 86_400_000
const AUTHORITY_LIFE = 365 * DAY
const LEAF_LIFE = 60 * DAY
/** A new authority is believed everywhere before it signs. */
const SETTLE = DAY
/** Clocks differ. */
const BACKDATED = 3_600_000
const ATTEMPTS = 5

/** One authority in the store. */
interface Generation {
  readonly key: AuthorityKey
  /** It signs from then on, until a later one does. */
  readonly signsFrom: number
}

/** A signed certificate. */
export interface Leaf {
  readonly certificate: string
  /** Milliseconds since the epoch. */
  readonly notAfter: number
  /** When it is time for the next one. */
  readonly renewAt: number
}

/** See the head of this file. `load` or `maintain` comes before anything else. */
export class Authority {
  readonly #options: AuthorityOptions
  #generations: readonly Generation[] = []
  #version: string | undefined
  #bundle = ''
  #published = ''

  constructor(options: AuthorityOptions) {
    this.#options = options
  }

  /** The authorities to believe now, PEM, newest first. */
  get bundle(): string {
    return this.#bundle
  }

  /** Reads the store. Resolves with false where there is no authority yet: the leader makes one. */
  async load(): Promise<boolean> {
    const stored = await this.#options.store.load()
    if (stored === undefined) return this.#generations.length > 0
    if (stored.version !== this.#version) this.#take(await parse(stored.content), stored.version)
    return true
  }

  /**
   * What the leader does now and then: makes the first authority, the next one at half life, forgets one whose leaves
   * have all ended, and shows the bundle. Rejects where store or publication fail; the next call goes on.
   */
  async maintain(): Promise<void> {
    const { store, now, publishBundle } = this.#options
    for (let attempt = 1; ; attempt++) {
      const stored = await store.load()
      // Somebody took the store away: what is believed everywhere goes back into it.
      if (stored !== undefined && stored.version !== this.#version)
        this.#take(await parse(stored.content), stored.version)
      const next = await this.#next(now())
      if (next === undefined && stored !== undefined) break
      const generations = next ?? this.#generations
      const version = await store.save(serialize(generations), stored?.version)
      if (version !== undefined) {
        this.#take(generations, version)
        break
      }
      if (attempt === ATTEMPTS) throw new Error('the authority is changed by others all the time')
    }
    const bundle = this.#bundle
    await publishBundle(bundle)
    this.#published = bundle
  }

  /** Whether every change was shown. */
  get isPublished(): boolean {
    return this.#published === this.#bundle
  }

  /**
   * Signs a key for a peer at an address. Nothing but the key comes from whoever asks.
   * @param publicKey SubjectPublicKeyInfo, DER, of a P-256 key.
   */
  async sign(name: PeerName, address: string, publicKey: Uint8Array): Promise<Leaf> {
    return await this.#sign({ uri: formatPeerName(name), address, publicKey })
  }

  /** Credentials for the API of this process, by DNS names. They stand for nobody among peers: they name none. */
  async issueServer(names: readonly string[], address: string): Promise<Pick<PeerCredentials, 'certificate' | 'key'>> {
    const { publicKey, keyPem } = makeKeyPair()
    const leaf = await this.#sign({ uri: undefined, names, address, publicKey })
    return { certificate: leaf.certificate, key: keyPem }
  }

  async #sign(facts: Omit<LeafFacts, 'notBefore' | 'notAfter'>): Promise<Leaf> {
    const now = this.#options.now()
    const { key } = this.#signer(now)
    const notAfter = Math.min(now + LEAF_LIFE, key.notAfter)
    if (notAfter <= now) throw new Error('the authority of the release has ended')
    const certificate = await signLeaf(key, {
      ...facts,
      notBefore: Math.max(now - BACKDATED, key.notBefore),
      notAfter,
    })
    return { certificate, notAfter, renewAt: now + (notAfter - now) / 3 }
  }

  /** Credentials for this process itself, with a key of its own. */
  async issue(name: PeerName, address: string): Promise<{ credentials: PeerCredentials; leaf: Leaf }> {
    const { publicKey, keyPem } = makeKeyPair()
    const leaf = await this.sign(name, address, publicKey)
    return { credentials: { certificate: leaf.certificate, key: keyPem, authorities: this.#bundle }, leaf }
  }

  #signer(now: number): Generation {
    const signing = this.#generations.filter(({ signsFrom }) => signsFrom <= now).at(-1)
    if (signing === undefined) throw new Error('the release has no authority yet')
    return signing
  }

  /** What should be in the store, undefined where that is what is there. */
  async #next(now: number): Promise<readonly Generation[] | undefined> {
    const { release } = this.#options
    const kept = this.#generations.filter(({ key }, index) => {
      const successor = this.#generations[index + 1]
      return now < key.notAfter && (successor === undefined || now < successor.signsFrom + LEAF_LIFE)
    })
    const newest = kept.at(-1)
    if (newest === undefined) {
      return [{ key: await makeAuthority(release, now - BACKDATED, now + AUTHORITY_LIFE), signsFrom: now }]
    }
    if (now >= newest.key.notBefore + (newest.key.notAfter - newest.key.notBefore) / 2) {
      const key = await makeAuthority(release, now - BACKDATED, now + AUTHORITY_LIFE)
      // Where the present one ends sooner, there is no time to settle.
      return [...kept, { key, signsFrom: Math.min(now + SETTLE, newest.key.notAfter) }]
    }
    return kept.length === this.#generations.length ? undefined : kept
  }

  #take(generations: readonly Generation[], version: string | undefined): void {
    this.#generations = generations
    this.#version = version
    this.#bundle = [...generations]
      .reverse()
      .map(({ key }) => key.certificatePem)
      .join('')
  }
}

interface StoredGeneration extends StoredKey {
  readonly signsFrom: number
}

function serialize(generations: readonly Generation[]): Hidden<string> {
  const stored = generations.map(
    ({ key, signsFrom }): StoredGeneration => ({
      certificate: key.certificatePem,
      key: key.keyPem.reveal(),
      signsFrom,
    }),
  )
  return new Hidden(JSON.stringify({ generations: stored }))
}

async function parse(content: Hidden<string>): Promise<readonly Generation[]> {
  try {
    const { generations } = JSON.parse(content.reveal()) as { readonly generations: readonly StoredGeneration[] }
    const read = generations.map(({ signsFrom, ...stored }) => ({ key: readAuthority(stored), signsFrom }))
    if (read.length === 0 || read.some(({ signsFrom }) => !Number.isFinite(signsFrom))) throw new TypeError()
    return read
  } catch {
    // Making another in its place would cut every pod off; the text holds keys and is not shown.
    throw new Error('the stored authority cannot be read: restore it, or remove it to begin anew')
  }
}

// The authority of a release: signs the certificates by which controllers and dataplane pods know each other, renews
// itself at half of its life or when somebody asks for it, and keeps the former one believed for a while. Controller
// replicas share it through a store; only the leader changes it. The key is nowhere but in the store and in this process.
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
  /** What was saved last; undefined where there is nothing. Rejects where nobody can tell. */
  load(): Promise<StoredAuthority | undefined>
  /**
   * Saves only where the version is still that (undefined: where there is nothing). Resolves with the new version, or
   * with undefined where somebody else was first.
   * @param progress how far the replacement is, for people; undefined where none was asked for.
   */
  save(content: Hidden<string>, version: string | undefined, progress?: string): Promise<string | undefined>
}

/** What a store holds. */
export interface StoredAuthority {
  readonly content: Hidden<string>
  readonly version: string
  /** That the authority be replaced at once: done one time for each word. */
  readonly request?: RotationRequest | undefined
}

/** A wish of an operator. */
export interface RotationRequest {
  readonly word: string
  /** Milliseconds for which both are believed. In the first half the new one is made known, in the second it signs. */
  readonly overlap: number
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
/** Pods read the bundle within two minutes: kubelets take up to 90 s. */
const LEAST_OVERLAP = 60_000

/** One authority in the store. */
interface Generation {
  readonly key: AuthorityKey
  /** It signs from then on, until a later one does. */
  readonly signsFrom: number
  /** Those before it are believed until then. */
  readonly formerUntil: number
  /** The last request that was followed when it was made, '' for none so far. */
  readonly word: string
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

  constructor(options: AuthorityOptions) {
    this.#options = options
  }

  /** The authorities to believe now, PEM. The first is the one that signs: whoever has a leaf of another gets a new one. */
  get bundle(): string {
    const now = this.#options.now()
    const believed = stillBelieved(this.#generations, now)
    const signer = signerOf(believed, now)
    const others = believed.filter((each) => each !== signer).reverse()
    return [...(signer === undefined ? [] : [signer]), ...others].map(({ key }) => key.certificatePem).join('')
  }

  /** When the bundle changes by time alone, milliseconds since the epoch; undefined where it does not. */
  get changesAt(): number | undefined {
    const now = this.#options.now()
    const times = this.#generations.flatMap(({ signsFrom, formerUntil }, index) =>
      index === 0 ? [] : [signsFrom, formerUntil],
    )
    const next = Math.min(...times.filter((time) => time > now))
    return Number.isFinite(next) ? next : undefined
  }

  /** Reads the store. Resolves with false where there is no authority yet: the leader makes one. */
  async load(): Promise<boolean> {
    const stored = await this.#options.store.load()
    if (stored === undefined) return this.#generations.length > 0
    if (stored.version !== this.#version) this.#take(await parse(stored.content), stored.version)
    return true
  }

  /**
   * What the leader does now and then: makes the first authority, the next one at half life or on request, forgets one
   * whose time is over, and shows the bundle. Rejects where store or publication fail; the next call goes on.
   */
  async maintain(): Promise<void> {
    const { store, now, publishBundle } = this.#options
    for (let attempt = 1; ; attempt++) {
      const stored = await store.load()
      // Somebody took the store away: what is believed everywhere goes back into it.
      if (stored !== undefined && stored.version !== this.#version)
        this.#take(await parse(stored.content), stored.version)
      const next = await this.#next(now(), stored?.request)
      if (next === undefined && stored !== undefined) break
      const generations = next ?? this.#generations
      const version = await store.save(serialize(generations), stored?.version, progressOf(generations))
      if (version !== undefined) {
        this.#take(generations, version)
        break
      }
      if (attempt === ATTEMPTS) throw new Error('the authority is changed by others all the time')
    }
    await publishBundle(this.bundle)
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
    return { credentials: { certificate: leaf.certificate, key: keyPem, authorities: this.bundle }, leaf }
  }

  #signer(now: number): Generation {
    const signing = signerOf(this.#generations, now)
    if (signing === undefined) throw new Error('the release has no authority yet')
    return signing
  }

  /** What should be in the store, undefined where that is what is there. */
  async #next(now: number, request: RotationRequest | undefined): Promise<readonly Generation[] | undefined> {
    const { release } = this.#options
    const kept = stillBelieved(this.#generations, now)
    const newest = kept.at(-1)
    const make = () => makeAuthority(release, now - BACKDATED, now + AUTHORITY_LIFE)
    if (newest === undefined) {
      return [{ key: await make(), signsFrom: now, formerUntil: now, word: request?.word ?? '' }]
    }
    // One after the other: the newest signs before there is a newer one.
    if (request !== undefined && request.word !== newest.word && now >= newest.signsFrom) {
      const overlap = Math.min(Math.max(request.overlap, LEAST_OVERLAP), LEAF_LIFE)
      const signsFrom = Math.min(now + overlap / 2, newest.key.notAfter)
      return [...kept, { key: await make(), signsFrom, formerUntil: now + overlap, word: request.word }]
    }
    if (now >= newest.key.notBefore + (newest.key.notAfter - newest.key.notBefore) / 2) {
      // Where the present one ends sooner, there is no time to settle.
      const signsFrom = Math.min(now + SETTLE, newest.key.notAfter)
      return [...kept, { key: await make(), signsFrom, formerUntil: signsFrom + LEAF_LIFE, word: newest.word }]
    }
    return kept.length === this.#generations.length ? undefined : kept
  }

  #take(generations: readonly Generation[], version: string | undefined): void {
    this.#generations = generations
    this.#version = version
  }
}

function stillBelieved(generations: readonly Generation[], now: number): readonly Generation[] {
  return generations.filter(
    ({ key }, index) =>
      now < key.notAfter && generations.slice(index + 1).every((successor) => now < successor.formerUntil),
  )
}

function signerOf(generations: readonly Generation[], now: number): Generation | undefined {
  return generations.filter(({ signsFrom }) => signsFrom <= now).at(-1)
}

/** For whoever asked, and waits. */
function progressOf(generations: readonly Generation[]): string | undefined {
  const [newest, former] = [generations.at(-1), generations.at(-2)]
  if (newest === undefined) return undefined
  if (former === undefined) return newest.word === '' ? undefined : `${newest.word}: done`
  const cause = newest.word === former.word ? 'by age' : newest.word
  const [signs, until] = [newest.signsFrom, newest.formerUntil].map((time) => new Date(time).toISOString())
  return `${cause}: the new authority signs from ${signs}, the former is believed until ${until}`
}

interface StoredGeneration extends StoredKey {
  readonly signsFrom: number
  /** Not written by versions that replace by age only. */
  readonly formerUntil?: number
  readonly word?: string
}

function serialize(generations: readonly Generation[]): Hidden<string> {
  const stored = generations.map(
    ({ key, ...rest }): StoredGeneration => ({
      certificate: key.certificatePem,
      key: key.keyPem.reveal(),
      ...rest,
    }),
  )
  return new Hidden(JSON.stringify({ generations: stored }))
}

async function parse(content: Hidden<string>): Promise<readonly Generation[]> {
  try {
    const { generations } = JSON.parse(content.reveal()) as { readonly generations: readonly StoredGeneration[] }
    const read = generations.map(({ signsFrom, formerUntil = signsFrom + LEAF_LIFE, word = '', ...stored }) => ({
      key: readAuthority(stored),
      signsFrom,
      formerUntil,
      word: String(word),
    }))
    if (read.length === 0 || read.some(({ signsFrom, formerUntil }) => !Number.isFinite(signsFrom + formerUntil)))
      throw new TypeError()
    return read
  } catch {
    // Making another in its place would cut every pod off; the text holds keys and is not shown.
    throw new Error('the stored authority cannot be read: restore it, or remove it to begin anew')
  }
}

// Which dataplane pods there are: those that called with a token or certificate, and those that the EndpointSlices of
// the release list. Who is listed is only a guess at where a pod may be; what is sent there is decided by certificate.
import { canonicalAddress } from '../../model/peer-name.ts'

/** Where a pod is. */
export interface Peer {
  /** UID of the Pod. */
  readonly uid: string
  readonly name: string
  /** Canonical text. */
  readonly address: string
  readonly port: number
}

/** What the publisher is told. */
export interface PeerListener {
  /** A pod that is new, or at a new address. */
  added(peer: Peer): void
  removed(peer: Peer): void
  /** A pod that is known gave a sign of life; `root` is that of the set it has, where it said so. */
  heard(peer: Peer, root: string | undefined): void
}

interface Entry {
  peer: Peer
  /** What the API server calls it, which weighs more than what it says itself. */
  listedName: string | undefined
  /** When it proved itself last, by the clock of this file. undefined: only listed. */
  provenAt: number | undefined
  listed: boolean
  /** When it stood in the list no more, until it stands there again. */
  leftAt: number | undefined
}

/** A pod that is not listed any more and was silent for this long is gone. Milliseconds. */
const SILENCE = 120_000
const MAX_PEERS = 10_000

/** See the head of this file. */
export class Peers {
  readonly #now: () => number
  readonly #entries = new Map<string, Entry>()
  readonly #listeners = new Set<PeerListener>()

  /** @param now monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Tells `listener` of every pod there is, and of every change from now on. Returns how to stop. */
  watch(listener: PeerListener): () => void {
    this.#listeners.add(listener)
    for (const { peer } of this.#entries.values()) listener.added(peer)
    return () => void this.#listeners.delete(listener)
  }

  all(): readonly Peer[] {
    return [...this.#entries.values()].map(({ peer }) => peer)
  }

  /** Where a pod was proven or listed to be. */
  get(uid: string): Peer | undefined {
    return this.#entries.get(uid)?.peer
  }

  /** A pod called, and proved by token or certificate that it is this one. `root` names the set that it has. */
  prove(peer: Peer, root?: string): void {
    // An address has one holder: the one that proved itself last.
    for (const { peer: other } of [...this.#entries.values()]) {
      if (other.uid !== peer.uid && other.address === peer.address && other.port === peer.port) this.#remove(other.uid)
    }
    const entry = this.#put(peer)
    if (entry === undefined) return
    entry.peer = { ...peer, name: entry.listedName ?? peer.name }
    entry.provenAt = this.#now()
    for (const listener of this.#listeners) listener.heard(entry.peer, root)
  }

  /** The pods that the API server lists now. Called by whoever watches the release's EndpointSlices. */
  list(peers: readonly Peer[]): void {
    const listed = new Set<string>()
    for (const { uid, name, address: text, port } of peers) {
      const address = canonicalAddress(text)
      if (address === undefined) continue
      listed.add(uid)
      const known = this.#entries.get(uid)
      // Where a pod proved to be weighs more than where it is listed.
      const entry = known?.provenAt === undefined ? this.#put({ uid, name, address, port }) : known
      if (entry === undefined) continue
      entry.listedName = name
      entry.peer = { ...entry.peer, name }
    }
    for (const [uid, entry] of this.#entries) {
      const isListed = listed.has(uid)
      if (isListed) entry.leftAt = undefined
      else if (entry.listed) entry.leftAt = this.#now()
      entry.listed = isListed
    }
    this.expire()
  }

  /**
   * Whether a pod left the list and gave no sign of life since. Most likely it has ended; it is kept for a while all the
   * same, because a list may be wrong. Who counts pods does not count it.
   */
  hasLeft(uid: string): boolean {
    const entry = this.#entries.get(uid)
    return entry?.leftAt !== undefined && (entry.provenAt ?? 0) <= entry.leftAt
  }

  /** Forgets pods that are not listed and gave no sign of life. Called now and then. */
  expire(): void {
    const before = this.#now() - SILENCE
    for (const [uid, { listed, provenAt }] of [...this.#entries]) {
      if (!listed && (provenAt === undefined || provenAt < before)) this.#remove(uid)
    }
  }

  /** A push came through: as good as a call. */
  reached(uid: string): void {
    const entry = this.#entries.get(uid)
    if (entry !== undefined) entry.provenAt = this.#now()
  }

  #put(peer: Peer): Entry | undefined {
    const known = this.#entries.get(peer.uid)
    if (known !== undefined) {
      if (known.peer.address === peer.address && known.peer.port === peer.port) return known
      this.#remove(peer.uid)
    }
    if (this.#entries.size >= MAX_PEERS) return undefined
    const entry: Entry = {
      peer,
      listedName: known?.listedName,
      provenAt: undefined,
      listed: known?.listed ?? false,
      leftAt: undefined,
    }
    this.#entries.set(peer.uid, entry)
    for (const listener of this.#listeners) listener.added(peer)
    return entry
  }

  #remove(uid: string): void {
    const entry = this.#entries.get(uid)
    if (entry === undefined) return
    this.#entries.delete(uid)
    for (const listener of this.#listeners) listener.removed(entry.peer)
  }
}

// This replica's own certificate, and its part in keeping the release's authority: the leader makes and renews it, the
// others read it again now and then. controller/cluster.ts starts one before it opens the port for pods.
import { setTimeout as sleep } from 'node:timers/promises'
import type { PeerName } from '../../model/peer-name.ts'
import type { PeerCredentials } from '../../peer/identify.ts'
import type { Authority, Leaf } from '../publish/authority.ts'

export interface OwnIdentityOptions {
  readonly authority: Authority
  readonly name: PeerName
  /** Of this pod. */
  readonly address: string
  /** DNS names of the API. */
  readonly apiNames: readonly string[]
  readonly leads: () => boolean
  /** New credentials: from the next handshake on. */
  readonly onRenew: (credentials: PeerCredentials, api: ApiCredentials) => void
  readonly warn: (message: string, error?: unknown) => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** What the API shows. */
export type ApiCredentials = Pick<PeerCredentials, 'certificate' | 'key'>

const TRY_AGAIN_MS = 500
const LOOK_MS = 30_000

/** See the head of this file. */
export class OwnIdentity {
  readonly #options: OwnIdentityOptions
  #credentials: PeerCredentials | undefined
  #api: ApiCredentials | undefined
  #leaf: Leaf | undefined
  #trouble = false
  #stopped = false
  #timer: NodeJS.Timeout | undefined

  constructor(options: OwnIdentityOptions) {
    this.#options = options
  }

  /** What this replica shows. Throws before `start` has resolved. */
  get credentials(): PeerCredentials {
    if (this.#credentials === undefined) throw new Error('this replica has no certificate yet')
    return this.#credentials
  }

  /** What the API shows. Throws before `start` has resolved. */
  get apiCredentials(): ApiCredentials {
    if (this.#api === undefined) throw new Error('this replica has no certificate yet')
    return this.#api
  }

  /** Resolves with the first credentials, which come once a leader has made the authority. */
  async start(): Promise<PeerCredentials> {
    while (!this.#stopped && !(await this.#look())) await sleep(TRY_AGAIN_MS)
    this.#plan()
    return this.credentials
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #plan(): void {
    if (this.#stopped) return
    const { authority, now } = this.#options
    const change = authority.changesAt ?? Number.POSITIVE_INFINITY
    // All replicas change at one moment, not each when it happens to look.
    const wait = Math.min(LOOK_MS, Math.max(change - now() + 20, 100))
    this.#timer = setTimeout(() => void this.#look().finally(() => this.#plan()), wait)
    this.#timer.unref()
  }

  /** Whether there are credentials. */
  async #look(): Promise<boolean> {
    const { authority, leads, warn } = this.#options
    try {
      if (leads()) await authority.maintain()
      else if (!(await authority.load())) return this.#credentials !== undefined
      await this.#renew()
      this.#trouble = false
    } catch (error) {
      if (!this.#trouble) warn('The authority of the release cannot be kept; trying again.', error)
      this.#trouble = true
    }
    return this.#credentials !== undefined
  }

  async #renew(): Promise<void> {
    const { authority, name, address, apiNames, now, onRenew } = this.#options
    const due = this.#leaf === undefined || now() >= this.#leaf.renewAt
    if (!due && this.#credentials?.authorities === authority.bundle) return
    // With another authority comes another certificate: the former one may be signed by one that is leaving.
    const { credentials, leaf } = await authority.issue(name, address)
    const api = await authority.issueServer(apiNames, address)
    const first = this.#credentials === undefined
    this.#credentials = credentials
    this.#api = api
    this.#leaf = leaf
    if (!first) onRenew(credentials, api)
  }
}

// The publisher of a cluster: a lane to every dataplane pod, one round for each snapshot, over mutual TLS. Every replica
// has one; only the leader's pushes, the others keep the newest set at hand for pods that come and ask.
import type { Digest } from '../../model/canonical.ts'
import type { Position, PushAcknowledgement, SetName } from '../../model/push.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { PeerCredentials } from '../../peer/identify.ts'
import { CallBudget } from './call-budget.ts'
import { CURRENT_FORMAT, type FormatWriter, SnapshotContent } from './content.ts'
import { type LaneState, PeerLane } from './peer-lane.ts'
import type { Peer, Peers } from './peers.ts'
import type { PodAcknowledgement, Publisher } from './publisher.ts'
import { PUSH_FAILURES, type PushFailure } from './push-failure.ts'
import type { PushSource } from './push-to-peer.ts'
import { Round } from './round.ts'

/** Whether this replica leads, and the fence of whoever does. */
export interface Leadership {
  readonly leads: boolean
  /** Rises whenever another replica becomes the leader; a standby knows that of the present leader. */
  readonly fence: number
}

export interface HttpPublisherOptions {
  readonly release: string
  readonly peers: Peers
  readonly leadership: () => Leadership
  readonly credentials: () => PeerCredentials
  /** SHA-256 in hexadecimal. */
  readonly digest: Digest
  /** Called with the fence that a pod which refused has followed: one above ours means that ours began too low. */
  readonly heardOf?: (fence: number) => void
  /** Called when the answers of pods changed between publications. */
  readonly onChange?: () => void
  /** Formats written, newest first. */
  readonly writers?: readonly FormatWriter[]
  /** A number from 0 to 1. */
  readonly random?: () => number
}

/** What pods that ask get. */
export interface PullSet {
  readonly content: SnapshotContent
  readonly position: Position
}

/** Milliseconds. */
const HEARTBEAT = 30_000

/** See the head of this file. */
export class HttpPublisher implements Publisher {
  readonly #options: HttpPublisherOptions
  readonly #contents: readonly SnapshotContent[]
  readonly #lanes = new Map<string, PeerLane>()
  readonly #source: PushSource
  readonly #more = new CallBudget(() => performance.now())
  readonly #stopWatching: () => void
  readonly #heartbeat: NodeJS.Timeout
  #sequence = 0
  #round: { readonly round: Round; readonly snapshot: Snapshot } | undefined
  #sent = 0
  readonly #failures = new Map<PushFailure, number>(PUSH_FAILURES.map((why) => [why, 0]))

  constructor(options: HttpPublisherOptions) {
    this.#options = options
    this.#contents = (options.writers ?? [CURRENT_FORMAT]).map((writer) => new SnapshotContent(options.digest, writer))
    this.#source = {
      release: options.release,
      content: (formats) =>
        formats.length === 0 ? this.#contents[0] : this.#contents.find(({ writer }) => formats.includes(writer.format)),
      beforeMore: async (uid) => {
        for (let wait = this.#more.take(uid); wait > 0; wait = this.#more.take(uid)) {
          await new Promise((resolve) => setTimeout(resolve, wait))
        }
      },
      sent: (bytes) => {
        this.#sent += bytes
      },
      heardOf: (fence) => options.heardOf?.(fence),
    }
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT)
    this.#heartbeat.unref()
    this.#stopWatching = options.peers.watch({
      added: (peer) => this.#added(peer),
      removed: (peer) => this.#removed(peer),
      heard: (peer, root) => this.#lanes.get(peer.uid)?.heard(root),
    })
  }

  async publish(snapshot: Snapshot, sequence: number): Promise<readonly PodAcknowledgement[]> {
    this.#sequence = sequence
    for (const content of this.#contents) content.take(snapshot)
    return await this.#push(snapshot)
  }

  /** This replica has become the leader, or leads under a new fence: every pod hears of it at once. */
  async lead(): Promise<readonly PodAcknowledgement[]> {
    const newest = this.#contents[0]?.newest
    return newest === undefined ? [] : await this.#push(newest.snapshot)
  }

  /** What a pod that asks gets, in a format that it reads; undefined before the first snapshot, or where there is none. */
  pullSet(formats: readonly number[]): PullSet | undefined {
    const content = this.#source.content(formats)
    return content?.newest === undefined ? undefined : { content, position: this.#position() }
  }

  /** The newest set, as pods name it; null before the first. */
  newestName(): SetName | null {
    const newest = this.#contents[0]?.newest
    if (newest === undefined) return null
    const { version, endpointsRevision } = newest.snapshot
    return { ...this.#position(), version, endpointsRevision, root: newest.root }
  }

  /** The pods, as far as they are known. */
  pods(): readonly LaneState[] {
    return [...this.#lanes.values()].map((lane) => lane.state)
  }

  /** What pods said last that they have. */
  acknowledgements(): readonly PodAcknowledgement[] {
    return this.pods().flatMap(({ peer, acknowledged, state }) =>
      acknowledged === undefined || state === 'failing' ? [] : [this.#toPod(peer, acknowledged)],
    )
  }

  /** Bytes of bodies that were sent to all pods. */
  get sentBytes(): number {
    return this.#sent
  }

  /** Pushes that failed, each attempt one, by why. */
  get failures(): ReadonlyMap<PushFailure, number> {
    return this.#failures
  }

  stop(): void {
    clearInterval(this.#heartbeat)
    this.#stopWatching()
    for (const lane of this.#lanes.values()) lane.stop()
    this.#lanes.clear()
    this.#round?.round.finish()
  }

  async #push(snapshot: Snapshot): Promise<readonly PodAcknowledgement[]> {
    const { leads, fence } = this.#options.leadership()
    if (!leads) {
      this.#endRound()
      return []
    }
    const former = this.#round
    if (former?.snapshot !== snapshot || former.round.position.fence !== fence) this.#open(snapshot, fence)
    else for (const lane of this.#lanes.values()) lane.resume()
    const round = this.#round?.round
    await round?.over
    return [...this.#lanes.values()].flatMap((lane) => {
      const { acknowledged, peer } = lane.state
      return acknowledged !== undefined && lane.hasReached(round) ? [this.#toPod(peer, acknowledged)] : []
    })
  }

  #open(snapshot: Snapshot, fence: number): void {
    const likely = [...this.#lanes.values()].filter((lane) => lane.isLikely).map(({ peer }) => peer.uid)
    this.#endRound()
    const round = new Round({ fence, sequence: this.#sequence }, likely)
    this.#round = { round, snapshot }
    for (const lane of this.#lanes.values()) lane.offer(round)
  }

  #endRound(): void {
    const round = this.#round?.round
    this.#round = undefined
    if (round === undefined) return
    round.isSuperseded = true
    round.finish()
  }

  #position(): Position {
    const { leads, fence } = this.#options.leadership()
    const pushed = this.#round?.round.position
    // Below whatever the leader itself pushes, so that its word always counts for more.
    return leads && pushed?.fence === fence ? pushed : { fence, sequence: 0 }
  }

  /** Pods are asked now and then even where nothing changes, so that none is behind without anybody's knowing. */
  #beat(): void {
    this.#options.peers.expire()
    for (const lane of this.#lanes.values()) lane.verify()
  }

  #added(peer: Peer): void {
    const { release, credentials, random = Math.random, onChange = () => {} } = this.#options
    const lane = new PeerLane({
      peer,
      release,
      source: this.#source,
      credentials,
      random,
      mayPush: () => this.#options.leadership().leads,
      reached: () => this.#options.peers.reached(peer.uid),
      failed: (why) => this.#failures.set(why, (this.#failures.get(why) ?? 0) + 1),
      changed: onChange,
    })
    this.#lanes.set(peer.uid, lane)
    if (this.#round !== undefined) lane.offer(this.#round.round)
  }

  #removed(peer: Peer): void {
    this.#lanes.get(peer.uid)?.stop()
    this.#lanes.delete(peer.uid)
  }

  #toPod({ uid, name }: Peer, { active, refused }: PushAcknowledgement): PodAcknowledgement {
    return {
      pod: this.#options.peers.get(uid)?.name ?? name,
      sequence: active.sequence,
      version: active.version,
      endpointsRevision: active.endpointsRevision,
      refused,
    }
  }
}

// One dataplane pod, as the publisher sees it: a lane of its own with at most one push in flight, always of the newest
// set, tried again after a wait that differs from lane to lane. What happens here delays no other lane.
import { isDeepStrictEqual } from 'node:util'
import { connectPeer } from '../../peer/connect.ts'
import { PeerCaller } from '../../peer/call.ts'
import type { PeerCredentials } from '../../peer/identify.ts'
import type { PushAcknowledgement, SetName } from '../../model/push.ts'
import type { Peer } from './peers.ts'
import { type PushFailure, pushFailureOf } from './push-failure.ts'
import { type PushSource, PushSuperseded, pushTo } from './push-to-peer.ts'
import type { Round } from './round.ts'

/** What became of a pod, for status. */
export interface LaneState {
  readonly peer: Peer
  readonly state: 'new' | 'current' | 'behind' | 'failing'
  /** What it said last that it has. */
  readonly acknowledged: PushAcknowledgement | undefined
  /** Why the last push failed, '' where it did not. */
  readonly problem: string
  /** Pushes that failed since the last that came through. */
  readonly failures: number
}

export interface LaneOptions {
  readonly peer: Peer
  readonly release: string
  readonly source: PushSource
  readonly credentials: () => PeerCredentials
  /** A number from 0 to 1. */
  readonly random: () => number
  /** Whether this replica leads: asked before every push. */
  readonly mayPush: () => boolean
  /** The pod answered, and was proven by its certificate. */
  readonly reached: () => void
  /** A push failed; it is tried again. */
  readonly failed: (why: PushFailure) => void
  /** Something in `state` changed. */
  readonly changed: () => void
}

/** Milliseconds. The longest wait is what a pod that comes back has to wait for. */
const CONNECT = 3_000
const FIRST_WAIT = 100
const LONGEST_WAIT = 1_500

/** See the head of this file. */
export class PeerLane {
  readonly peer: Peer
  readonly #options: LaneOptions
  #caller: PeerCaller
  #credentials: PeerCredentials | undefined
  #wanted: Round | undefined
  /** What the pod followed last. */
  #reached: Round | undefined
  #acknowledged: PushAcknowledgement | undefined
  /** What the pod is known to have; undefined where that has to be asked. */
  #known: SetName | undefined
  #problem = ''
  #failures = 0
  #running = false
  #stopped = false
  #wait: { readonly timer: NodeJS.Timeout; end(): void } | undefined

  constructor(options: LaneOptions) {
    this.#options = options
    this.peer = options.peer
    this.#caller = this.#newCaller()
  }

  get state(): LaneState {
    const current = this.#reached !== undefined && this.#reached === this.#wanted
    return {
      peer: this.peer,
      state: this.#failures > 0 ? 'failing' : current ? 'current' : this.#acknowledged === undefined ? 'new' : 'behind',
      acknowledged: this.#acknowledged,
      problem: this.#problem,
      failures: this.#failures,
    }
  }

  /** Whether an answer is likely to come soon. */
  get isLikely(): boolean {
    return this.#failures === 0 && !this.#running
  }

  /** Whether the pod followed in this round. */
  hasReached(round: Round | undefined): boolean {
    return round !== undefined && this.#reached === round
  }

  /** From now on this is what the pod should have. */
  offer(round: Round): void {
    this.#wanted?.settle(this.peer.uid, false)
    this.#wanted = round
    void this.#run()
  }

  /** The pod gave a sign of life, and perhaps said what it has: there is no reason to wait any longer. */
  heard(root: string | undefined): void {
    if (root !== undefined && root !== this.#known?.root) {
      this.#known = undefined
      this.#reached = undefined
    }
    this.#wait?.end()
    void this.#run()
  }

  /** Goes on where a push was left out because this replica did not lead for a moment. */
  resume(): void {
    void this.#run()
  }

  /** Asks the pod whether it still has what it had. */
  verify(): void {
    this.#reached = undefined
    void this.#run()
  }

  /** Nothing is pushed any more. */
  stop(): void {
    this.#stopped = true
    this.#wanted?.settle(this.peer.uid, false)
    this.#wait?.end()
    this.#caller.close()
  }

  async #run(): Promise<void> {
    if (this.#running) return
    this.#running = true
    try {
      for (;;) {
        const round = this.#wanted
        if (this.#stopped || round === undefined || round === this.#reached) return
        if (round.isSuperseded) return
        if (!this.#options.mayPush()) {
          // Nobody waits for a pod to which nothing may be sent.
          round.settle(this.peer.uid, false)
          return
        }
        await this.#try(round)
      }
    } finally {
      this.#running = false
    }
  }

  async #try(round: Round): Promise<void> {
    const { uid } = this.peer
    try {
      const base = this.#known?.root
      const acknowledgement = await pushTo(this.#freshCaller(), this.#options.source, round, uid, base)
      this.#known = acknowledgement.active
      this.#reached = round
      const changed = this.#failures > 0 || !isDeepStrictEqual(acknowledgement, this.#acknowledged)
      this.#acknowledged = acknowledgement
      this.#failures = 0
      this.#problem = ''
      round.settle(uid, true)
      this.#options.reached()
      if (changed) this.#options.changed()
    } catch (error) {
      round.settle(uid, false)
      if (error instanceof PushSuperseded) return
      this.#known = undefined
      this.#reached = undefined
      this.#failures++
      this.#problem = error instanceof Error ? error.message : String(error)
      this.#options.failed(pushFailureOf(error))
      this.#options.changed()
      await this.#pause()
    }
  }

  async #pause(): Promise<void> {
    if (this.#stopped) return
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(this.#failures - 1, 10))
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer)
        this.#wait = undefined
        resolve()
      }
      // Lanes that fail together must not come back together.
      const timer = setTimeout(end, longest * (0.5 + this.#options.random() / 2))
      timer.unref()
      this.#wait = { timer, end }
    })
  }

  /** Connections of former credentials are not used for anything new. */
  #freshCaller(): PeerCaller {
    const credentials = this.#options.credentials()
    if (this.#credentials !== undefined && this.#credentials !== credentials) {
      this.#caller.close()
      this.#caller = this.#newCaller()
    }
    this.#credentials = credentials
    return this.#caller
  }

  #newCaller(): PeerCaller {
    const { release, peer, credentials } = this.#options
    return new PeerCaller(() =>
      connectPeer({
        host: peer.address,
        port: peer.port,
        credentials: credentials(),
        timeout: CONNECT,
        check: (identity) => {
          if (identity.release !== release || identity.role !== 'dataplane') return 'it is no dataplane of this release'
          return identity.uid === peer.uid ? undefined : 'it is another pod than the one that was at this address'
        },
      }),
    )
  }
}

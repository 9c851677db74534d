// One push to one pod: manifest, what it lacks, content, the barrier, activation. Short roads: one call for all of it where
// only endpoints or a few tenants changed, one for manifest and content where little did. Throws where the pod does not
// follow; peer-lane.ts tries again.
import {
  CONTENT_TYPE,
  comparePositions,
  type ManifestAnswer,
  PUSH_LIMITS,
  PUSH_PATHS,
  type PushAcknowledgement,
  type PushManifest,
  type Reader,
  readAcknowledgement,
  readChangeAnswer,
  readContentAnswer,
  readManifestAnswer,
  readShortAnswer,
} from '../../model/push.ts'
import { CallRefused, type PeerCaller } from '../../peer/call.ts'
import { type Difference, type PublishableSet, SMALL_CHANGE, type SnapshotContent } from './content.ts'
import type { Round } from './round.ts'

/** What is pushed. */
export interface PushSource {
  readonly release: string
  /** The newest set in the newest of these formats that this controller writes; undefined where it writes none. */
  content(formats: readonly number[]): SnapshotContent | undefined
  /** Resolves when a pod may be sent what it lacks beyond what changed: one that keeps asking has to wait for it. */
  beforeMore(uid: string): Promise<void>
  /** Bytes that were sent. */
  sent(bytes: number): void
  /** A pod that refused has followed this fence. */
  heardOf(fence: number): void
}

/** Not Found: an older release without the short road. Conflict: what was sent is not what it can take. */
const LONG_ROAD: ReadonlySet<number> = new Set([404, 409])

/** A pod that does not follow. */
class PushFailed extends Error {
  override readonly name = 'PushFailed'
}

/** There is a newer set meanwhile: it is no failure of the pod. */
export class PushSuperseded extends Error {
  override readonly name = 'PushSuperseded'
}

/** Milliseconds. */
const QUICK = { timeout: 15_000, idle: 10_000 }
const CONTENT = { timeout: 240_000, idle: 10_000 }
/** Workers build meanwhile, so nothing comes for a while. */
const ACTIVATE = { timeout: 120_000, idle: 120_000 }
/** They may build, and one of them die over it, but it is little. */
const CHANGE = { timeout: 120_000, idle: 30_000 }
const JSON_TYPE = 'application/json'
/**
 * Changes of more tenants than this become active everywhere at nearly one moment. Those of fewer wait for no other pod, as
 * those of endpoints: pods differ for as long as one of them is told later.
 */
const FEW_TENANTS = 4
/** Pools of which more have changed take the long road. */
const FEW_POOLS = 1_000
/** Another base, another format, everything. */
const ATTEMPTS = 4

/** Brings the newest set to a pod. `base` is the root of what it is known to have, undefined where that is not known. */
export async function pushTo(
  caller: PeerCaller,
  source: PushSource,
  round: Round,
  uid: string,
  base: string | undefined,
): Promise<PushAcknowledgement> {
  const push = new Push(caller, source, round, uid)
  const short = base === undefined ? undefined : ((await push.endpointsOnly(base)) ?? (await push.atOnce(base)))
  return short ?? (await push.whole(base))
}

class Push {
  readonly #caller: PeerCaller
  readonly #source: PushSource
  readonly #round: Round
  readonly #uid: string
  #content: SnapshotContent

  constructor(caller: PeerCaller, source: PushSource, round: Round, uid: string) {
    this.#caller = caller
    this.#source = source
    this.#round = round
    this.#uid = uid
    this.#content = this.#choose(undefined)
  }

  /** The short road; undefined where it does not lead there. */
  async endpointsOnly(base: string): Promise<PushAcknowledgement | undefined> {
    this.#checkRound()
    const difference = this.#content.difference(base)
    if (difference.base === null || difference.shards.length > 0 || difference.pools.length > FEW_POOLS)
      return undefined
    const set = this.#set()
    const changed = difference.pools.flatMap(([key, hash]) => (hash === null ? [] : [key]))
    const manifest = this.#content.manifest(this.#source.release, this.#round.position, difference)
    const body = JSON.stringify({ manifest, pools: this.#content.pools(set, changed) })
    if (body.length > PUSH_LIMITS.endpoints / 4) return undefined
    const answer = await this.#post(PUSH_PATHS.endpoints, body, readShortAnswer, QUICK)
    return answer.type === 'active' ? this.#checked(answer.acknowledgement, manifest) : undefined
  }

  /**
   * Manifest and content in one call, where the pod's set is known and the change is small; undefined where not. The same
   * call activates where few tenants are concerned.
   */
  async atOnce(base: string): Promise<PushAcknowledgement | undefined> {
    this.#checkRound()
    const difference = this.#content.difference(base)
    const lines = this.#content.text(difference)
    if (lines === undefined) return undefined
    const set = this.#set()
    const manifest = this.#content.manifest(this.#source.release, this.#round.position, difference)
    const head = JSON.stringify(manifest)
    if (head.length + lines.length > SMALL_CHANGE) return undefined
    try {
      const text = `${head}\n${lines}`
      const path = difference.shards.length > FEW_TENANTS ? PUSH_PATHS.change : PUSH_PATHS.changeAndActivate
      const answer = await this.#post(path, text, readChangeAnswer, CHANGE, CONTENT_TYPE)
      if (answer.type === 'active') return this.#checked(answer.acknowledgement, manifest)
      return answer.answer.refused === null ? await this.#deliver(set, manifest, answer.answer) : undefined
    } catch (error) {
      // A pod of an older release knows the long road alone, or shards that are told whole.
      if (error instanceof CallRefused && LONG_ROAD.has(error.status)) return undefined
      throw error
    }
  }

  /** The long road. */
  async whole(base: string | undefined): Promise<PushAcknowledgement> {
    // A pod of which nothing is known may well have everything; if not, it says what it has.
    let difference = this.#content.difference(base ?? this.#set().root)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      this.#checkRound()
      const set = this.#set()
      const manifest = this.#content.manifest(this.#source.release, this.#round.position, difference)
      const answer = await this.#post(PUSH_PATHS.manifest, JSON.stringify(manifest), readManifestAnswer, QUICK)
      if (answer.refused === null) return await this.#deliver(set, manifest, answer)
      difference = this.#afterRefusal(answer, difference)
    }
    throw new PushFailed('it does not agree on what it has')
  }

  async #deliver(set: PublishableSet, manifest: PushManifest, answer: ManifestAnswer): Promise<PushAcknowledgement> {
    const lacking = answer.lacksShards.length + answer.lacksPools.length
    const changed = manifest.base === null ? 0 : manifest.shards.length + manifest.pools.length
    if (lacking > changed) await this.#source.beforeMore(this.#uid)
    if (lacking > 0) await this.#sendContent(set, manifest, answer)
    await this.#round.ready(this.#uid)
    const { fence, sequence, root } = manifest
    const order = JSON.stringify({ fence, sequence, root })
    const acknowledgement = await this.#post(PUSH_PATHS.activate, order, readAcknowledgement, ACTIVATE)
    return this.#checked(acknowledgement, manifest)
  }

  async #sendContent(set: PublishableSet, manifest: PushManifest, answer: ManifestAnswer): Promise<void> {
    const { fence, sequence } = manifest
    // Each once, whatever the pod asks for.
    const content = this.#content.lines(set, new Set(answer.lacksShards), new Set(answer.lacksPools), {
      sent: (bytes) => this.#source.sent(bytes),
    })
    const body = await this.#caller.json({
      method: 'POST',
      path: `${PUSH_PATHS.content}?fence=${fence}&sequence=${sequence}`,
      body: { type: CONTENT_TYPE, content },
      ...CONTENT,
      maxAnswer: PUSH_LIMITS.order,
    })
    if (!read(readContentAnswer, body).complete) throw new PushFailed('it still lacks content that was sent')
  }

  #afterRefusal({ refused, active, formats }: ManifestAnswer, tried: Difference): Difference {
    const reason = refused?.reason
    this.#source.heardOf(active.fence)
    if (reason === 'Format') {
      const former = this.#content
      this.#content = this.#choose(formats)
      if (this.#content === former) throw new PushFailed(refused?.message ?? '')
      return this.#content.difference(active.root)
    }
    if ((reason === 'Base' || reason === 'Root') && tried.base !== null) {
      const better = this.#content.difference(reason === 'Base' ? active.root : null)
      return better.base === tried.base ? this.#content.difference(null) : better
    }
    throw new PushFailed(refused?.message ?? 'it refused without a word')
  }

  /** Differences lead to the newest set, and the position of a round must not name two sets. */
  #checkRound(): void {
    if (this.#round.isSuperseded) throw new PushSuperseded()
  }

  #choose(formats: readonly number[] | undefined): SnapshotContent {
    const content = this.#source.content(formats ?? [])
    if (content === undefined) {
      throw new PushFailed(`it reads formats ${formats?.join(', ') ?? ''}, none of which this controller writes`)
    }
    return content
  }

  #set(): PublishableSet {
    const set = this.#content.newest
    if (set === undefined) throw new PushFailed('there is nothing to publish yet')
    return set
  }

  #checked(acknowledgement: PushAcknowledgement, manifest: PushManifest): PushAcknowledgement {
    const { active } = acknowledgement
    if (active.root === manifest.root && comparePositions(active, manifest) === 0) return acknowledgement
    throw new PushFailed('it activated something else than it was told')
  }

  async #post<Value>(
    path: string,
    content: string,
    reader: Reader<Value>,
    limits: { readonly timeout: number; readonly idle: number },
    type = JSON_TYPE,
  ): Promise<Value> {
    const body = { type, content }
    const maxAnswer = PUSH_LIMITS.answer
    const answer = await this.#caller.json({ method: 'POST', path, body, ...limits, maxAnswer })
    this.#source.sent(Buffer.byteLength(content))
    return read(reader, answer)
  }
}

function read<Value>(reader: Reader<Value>, body: unknown): Value {
  const result = reader(body)
  if (typeof result === 'string') throw new PushFailed(`its answer makes no sense: ${result}`)
  return result.value
}

// What a pod has, and what is on its way to it: a manifest shows a set, content fills it, and only the whole of it is
// handed on, at once. Knows nothing of the network. push-routes.ts and pull.ts feed it; the dataplane is what it feeds.
import type { Digest } from '../../model/canonical.ts'
import {
  boundRefused,
  comparePositions,
  type EndpointsOrder,
  FORMATS_READ,
  type ManifestAnswer,
  NOTHING,
  type Position,
  type PushAcknowledgement,
  type PushManifest,
  type RefusalReason,
  type SetName,
  type ShortAnswer,
} from '../../model/push.ts'
import { poolLine, readContentLine } from '../../model/push-shard.ts'
import { EMPTY_ROOT, type EntryKind, RootHash } from '../../model/root-hash.ts'
import { applyChange, isChange } from '../../model/shard-change.ts'
import type { TenantShard } from '../../model/snapshot.ts'
import type { Acknowledgement, Change } from '../receive.ts'
import { Turn } from '../turn.ts'
import { apply, changesOf, type Received, type Staged, stage } from './staged.ts'
import { tenantOf, Withheld } from './withheld.ts'

/** Where whole changes go: the dataplane of this process. */
export interface ChangeTarget {
  /** Makes a change active, and says what is active then and which tenants it refuses to run. */
  deliver(change: Change): Promise<Acknowledgement>
}

/** A set that became active, for whoever keeps it for a restart. */
export interface ActivatedSet {
  readonly name: SetName
  readonly format: number
  /** What is new and runs. */
  readonly received: readonly Received[]
  readonly removedTenants: readonly string[]
  readonly removedPools: readonly string[]
}

export interface StagingOptions {
  readonly release: string
  readonly target: ChangeTarget
  /** SHA-256 in hexadecimal. */
  readonly digest: Digest
  /** The shard of a tenant that serves, to which changes are applied. Default: none is known. */
  readonly shardOf?: (tenant: string) => TenantShard | undefined
  /** Formats that are read. */
  readonly formats?: readonly number[]
  /** Milliseconds. Default: the clock of this process. */
  readonly monotonic?: () => number
  /** Called after each activation, before it is acknowledged. Must not throw. */
  readonly activated?: (set: ActivatedSet) => void
}

/** Content that was sent is damaged, not asked for, or too late. */
export class ContentRefused extends Error {
  override readonly name = 'ContentRefused'
  readonly code: 'Superseded' | 'Damaged' | 'NotAsked' | 'Incomplete' | 'Stale'

  constructor(code: ContentRefused['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** Milliseconds after which a set of which nothing more came gives way to an older one of the same fence. */
const ABANDONED = 5_000

/** See the head of this file. */
export class Staging {
  readonly #options: StagingOptions
  readonly #formats: readonly number[]
  readonly #monotonic: () => number
  readonly #turn = new Turn()
  #active: SetName = NOTHING
  /** Hashes of the set that is active, by tenant and by key. */
  readonly #held = { shard: new Map<string, string>(), pool: new Map<string, string>() }
  #staged: Staged | undefined
  #activating = false
  readonly #withheld = new Withheld()
  #refused: PushAcknowledgement['refused'] = []

  constructor(options: StagingOptions) {
    this.#options = options
    this.#formats = options.formats ?? FORMATS_READ
    this.#monotonic = options.monotonic ?? (() => performance.now())
  }

  /** Whether a set is on its way at this very time. */
  get isBusy(): boolean {
    return this.#activating || (this.#staged !== undefined && this.#monotonic() <= this.#staged.touchedAt + ABANDONED)
  }

  /** The set that is active. */
  get active(): SetName {
    return this.#active
  }

  get acknowledgement(): PushAcknowledgement {
    return { active: this.#active, refused: this.#refused }
  }

  /** Takes a manifest, unless it is refused, and says what is lacking. What was on its way and not activated is dropped. */
  async propose(manifest: PushManifest): Promise<ManifestAnswer> {
    const done = await this.#turn.take()
    try {
      return this.#propose(manifest)
    } finally {
      done()
    }
  }

  /**
   * Takes one line of content for the set at this position. Throws ContentRefused; a set that was sent damaged is
   * dropped. Returns what the line is.
   */
  accept(position: Position, line: { readonly text: string; readonly value: unknown }): EntryKind {
    const staged = this.#stagedAt(position)
    staged.touchedAt = this.#monotonic()
    if (isChange(line.value)) {
      this.#acceptChange(staged, line.text, line.value)
      return 'shard'
    }
    const read = readContentLine(line.value, this.#options.digest)
    if (typeof read === 'string') throw this.#drop(staged, 'Damaged', read)
    const kind: EntryKind = read.type === 'unknown' ? read.kind : read.type
    const name = read.type === 'shard' ? read.tenant : read.type === 'pool' ? read.key : read.name
    if (staged[kind].changes.get(name) !== read.hash) {
      throw this.#drop(staged, 'NotAsked', `a ${kind} that the manifest does not name`)
    }
    // Twice the same is once.
    if (staged[kind].lacking.delete(name)) staged[kind].received.set(name, { ...read, text: line.text })
    return kind
  }

  /** What cannot be used is not taken: the whole shard is still lacking then, and is asked for. */
  #acceptChange(staged: Staged, text: string, line: { readonly change: unknown }): void {
    const { digest, shardOf } = this.#options
    const applied = shardOf === undefined ? undefined : applyChange(line, shardOf, digest)
    if (applied === undefined) return
    const { base, shard } = applied
    const { tenant, hash } = shard
    if (staged.shard.changes.get(tenant) !== hash || !staged.shard.lacking.delete(tenant)) return
    staged.shard.received.set(tenant, { type: 'shard', tenant, hash, shard, text, base })
  }

  /** How many shards and pools are still lacking at this position. */
  lacking(position: Position): number {
    const { shard, pool } = this.#stagedAt(position)
    return shard.lacking.size + pool.lacking.size
  }

  /** The answer to the manifest at this position as it would be now. Throws ContentRefused. */
  lacks(position: Position): ManifestAnswer {
    const { shard, pool } = this.#stagedAt(position)
    return this.#answer([...shard.lacking], [...pool.lacking], undefined)
  }

  /** The short road: manifest and pools at once. Changes nothing where something is lacking or refused. */
  async applyEndpoints({ manifest, pools }: EndpointsOrder): Promise<ShortAnswer> {
    const answer = await this.propose(manifest)
    if (answer.refused !== null) return { type: 'refused', answer }
    if (comparePositions(answer.active, manifest) !== 0) {
      for (const pool of pools) this.accept(manifest, { text: poolLine(pool), value: { pool } })
      if (this.lacking(manifest) > 0) return { type: 'refused', answer }
    }
    return { type: 'active', acknowledgement: await this.activate(manifest, manifest.root) }
  }

  /** Makes the set at this position active. Throws ContentRefused; what is active is what was then. */
  async activate(position: Position, root: string): Promise<PushAcknowledgement> {
    const done = await this.#turn.take()
    try {
      // The answer to the first such call may have been lost.
      if (comparePositions(position, this.#active) === 0 && root === this.#active.root) return this.acknowledgement
      const staged = this.#stagedAt(position)
      if (staged.manifest.root !== root) throw new ContentRefused('Superseded', 'another set is on its way')
      if (staged.shard.lacking.size + staged.pool.lacking.size > 0) {
        throw new ContentRefused('Incomplete', 'the set is not complete')
      }
      if (this.#active !== NOTHING && comparePositions(position, this.#active) <= 0)
        throw new ContentRefused('Stale', 'a newer set is active')
      this.#staged = undefined
      this.#activating = true
      await this.#activate(staged)
      return this.acknowledgement
    } finally {
      this.#activating = false
      done()
    }
  }

  #propose(manifest: PushManifest): ManifestAnswer {
    const refusal = this.#refusal(manifest)
    if (refusal !== undefined) return this.#answer([], [], refusal)
    if (this.#active !== NOTHING && comparePositions(manifest, this.#active) === 0)
      return this.#answer([], [], undefined)
    if (this.#rootOf(manifest) !== manifest.root) {
      return this.#answer([], [], { reason: 'Root', message: 'the manifest does not lead to the root that it names' })
    }
    const former = this.#staged
    const whole = manifest.base === null
    const staged = {
      touchedAt: this.#monotonic(),
      manifest,
      shard: stage(changesOf(manifest.shards, this.#held.shard, whole), former?.shard),
      pool: stage(changesOf(manifest.pools, this.#held.pool, whole), former?.pool),
    }
    this.#staged = staged
    return this.#answer([...staged.shard.lacking], [...staged.pool.lacking], undefined)
  }

  #refusal(manifest: PushManifest): { readonly reason: RefusalReason; readonly message: string } | undefined {
    if (manifest.release !== this.#options.release) {
      return { reason: 'Release', message: 'the manifest is of another release' }
    }
    if (!this.#formats.includes(manifest.format)) {
      return { reason: 'Format', message: `format ${manifest.format} is not read here` }
    }
    const order = this.#active === NOTHING ? 1 : comparePositions(manifest, this.#active)
    if (order < 0 || (order === 0 && manifest.root !== this.#active.root)) {
      const { fence, sequence } = this.#active
      return { reason: 'Stale', message: `what is active here is newer (fence ${fence}, sequence ${sequence})` }
    }
    const staged = this.#staged
    // Whoever sent it may have died over it, and must not keep out a set that can be had.
    const abandoned =
      staged !== undefined &&
      manifest.fence === staged.manifest.fence &&
      this.#monotonic() > staged.touchedAt + ABANDONED
    if (staged !== undefined && !abandoned && comparePositions(manifest, staged.manifest) < 0) {
      return { reason: 'Stale', message: 'what is on its way is newer' }
    }
    if (manifest.base !== null && manifest.base !== this.#active.root) {
      return { reason: 'Base', message: 'the manifest is a difference to another set than the one that is active' }
    }
    return undefined
  }

  /** In the time of the change where the base is known. */
  #rootOf(manifest: PushManifest): string {
    const whole = manifest.base === null
    const root = new RootHash(this.#options.digest, whole ? undefined : this.#active.root)
    const put = (kind: EntryKind, entries: PushManifest['shards']) => {
      // A name that is there twice counts once, as it does in `changesOf`.
      for (const [name, hash] of new Map(entries)) {
        const former = whole ? undefined : this.#held[kind].get(name)
        if (former !== undefined) root.take(kind, name, former)
        if (hash !== null) root.put(kind, name, hash)
      }
    }
    put('shard', manifest.shards)
    put('pool', manifest.pools)
    return root.toString()
  }

  async #activate({ manifest, shard, pool }: Staged): Promise<void> {
    const removedTenants = apply(shard.changes, this.#held.shard)
    const removedPools = apply(pool.changes, this.#held.pool)
    const received = [...pool.received.values(), ...shard.received.values()]
    const { fence, sequence, version, endpointsRevision, root, format } = manifest
    const change = this.#withheld.sift({ received, removedTenants, removedPools })
    let result: Acknowledgement
    try {
      result = await this.#options.target.deliver({
        manifest: { format, sequence, version, endpointsRevision, shards: this.#held.shard, pools: this.#held.pool },
        ...change,
      })
    } catch (error) {
      this.#doubt(removedTenants, removedPools)
      throw error
    }
    this.#active = { fence, sequence, version, endpointsRevision, root }
    const withheld = this.#withheld.refused()
    const refused = new Map([...result.refused, ...withheld].map((entry) => [entry.tenant, entry] as const))
    this.#refused = boundRefused([...refused.values()])
    this.#options.activated?.({
      name: this.#active,
      format,
      received: received.filter((line) => !refused.has(tenantOf(line))),
      removedTenants: change.removedTenants,
      removedPools: change.removedPools,
    })
  }

  /** Nobody knows what is active now: the names stay, so that they can be taken away, and all content is asked for. */
  #doubt(removedTenants: readonly string[], removedPools: readonly string[]): void {
    const { shard, pool } = this.#held
    for (const tenant of [...shard.keys(), ...removedTenants]) shard.set(tenant, '')
    for (const key of [...pool.keys(), ...removedPools]) pool.set(key, '')
    this.#active = { ...this.#active, version: '', endpointsRevision: '', root: EMPTY_ROOT }
  }

  #stagedAt(position: Position): Staged {
    const staged = this.#staged
    if (staged === undefined || comparePositions(staged.manifest, position) !== 0) {
      throw new ContentRefused('Superseded', 'no such set is on its way')
    }
    return staged
  }

  #drop(staged: Staged, code: ContentRefused['code'], message: string): ContentRefused {
    if (this.#staged === staged) this.#staged = undefined
    return new ContentRefused(code, message)
  }

  #answer(
    lacksShards: readonly string[],
    lacksPools: readonly string[],
    refused: ManifestAnswer['refused'] | undefined,
  ): ManifestAnswer {
    return { active: this.#active, formats: this.#formats, lacksShards, lacksPools, refused: refused ?? null }
  }
}

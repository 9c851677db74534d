// What there is to publish: the newest snapshot, its root, and what separates it from the sets that pods have. One for
// each format that is written. http-publisher.ts pushes from it, pod-listener.ts answers pulls from it.
import { Readable } from 'node:stream'
import type { Digest } from '../../model/canonical.ts'
import { type Position, PUSH_LIMITS, type PushManifest } from '../../model/push.ts'
import { poolLine, shardLine } from '../../model/push-shard.ts'
import { type EntryKind, RootHash } from '../../model/root-hash.ts'
import { changeLine } from '../../model/shard-change.ts'
import { type Pool, SNAPSHOT_FORMAT, type Snapshot, type TenantShard } from '../../model/snapshot.ts'

/** Writes shards and pools in one format. */
export interface FormatWriter {
  readonly format: number
  shardHash(shard: TenantShard): string
  poolHash(pool: Pool): string
  /** One line without its end. */
  shardLine(shard: TenantShard): string
  /** What leads from one shard to another, where that is much less than the whole. */
  shardChange?(from: TenantShard, to: TenantShard, digest: Digest): string | undefined
  poolLine(pool: Pool): string
}

/** The format of this build. */
export const CURRENT_FORMAT: FormatWriter = {
  format: SNAPSHOT_FORMAT,
  shardHash: ({ hash }) => hash,
  poolHash: ({ hash }) => hash,
  shardLine,
  shardChange: changeLine,
  poolLine,
}

type Entries = PushManifest['shards']

/** What separates a set from the newest one. */
export interface Difference {
  /** Root of the set that it is a difference to; null: everything. */
  readonly base: string | null
  readonly shards: Entries
  readonly pools: Entries
}

/** A set that can be published. */
export interface PublishableSet {
  readonly snapshot: Snapshot
  readonly root: string
}

interface LineOptions {
  /** Comes first. */
  readonly head?: string
  /** Told of every piece. */
  readonly sent?: (bytes: number) => void
}

/** Sets that pods may still have, to make differences from. */
const KEPT = 8
/** Characters in one piece of a stream, and milliseconds of work in one turn of the loop. */
const PIECE = 65_536
const SLICE = 8
const HIGH_WATER = 262_144

/** Characters of a change that goes in one call. A quarter of what is taken, as a character is up to three bytes. */
export const SMALL_CHANGE = PUSH_LIMITS.change / 4

/**
 * Hosts and rules of the shards in such a change, together. It is made, and taken, in one turn of the loop, in the time of
 * the whole shards; what is more goes the long road, in slices. A single tenant may be as large as it is.
 */
const SMALL_WORK = 5_000

/** See the head of this file. */
export class SnapshotContent {
  readonly writer: FormatWriter
  readonly #digest: Digest
  /** By root, oldest first. */
  readonly #kept = new Map<string, Snapshot>()
  #newest: PublishableSet | undefined
  /** From the newest set, by base. */
  #differences = new Map<string | null, Difference>()
  /** Of those differences, by base. */
  #texts = new Map<string, string | undefined>()

  /** @param digest SHA-256 in hexadecimal. */
  constructor(digest: Digest, writer: FormatWriter = CURRENT_FORMAT) {
    this.#digest = digest
    this.writer = writer
  }

  /** undefined before the first. */
  get newest(): PublishableSet | undefined {
    return this.#newest
  }

  /** Takes a snapshot as the newest. */
  take(snapshot: Snapshot): PublishableSet {
    const former = this.#newest
    if (former?.snapshot === snapshot) return former
    const root = new RootHash(this.#digest, former?.root)
    const difference = this.#differ(former?.snapshot, snapshot)
    fold(root, 'shard', difference.shards, (tenant) =>
      hashOf(former?.snapshot.shards.get(tenant), this.writer.shardHash),
    )
    fold(root, 'pool', difference.pools, (key) => hashOf(former?.snapshot.pools.get(key), this.writer.poolHash))
    const newest = { snapshot, root: root.toString() }
    this.#newest = newest
    this.#differences = new Map()
    this.#texts = new Map()
    // What most pods will be sent: it was made anyway.
    const base = former?.root ?? null
    this.#differences.set(base, { base, ...difference })
    this.#kept.delete(newest.root)
    this.#kept.set(newest.root, snapshot)
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break
      this.#kept.delete(oldest)
    }
    return newest
  }

  /** What separates the set with this root from the newest one; everything where that set is not known any more. */
  difference(base: string | null): Difference {
    const newest = this.#newest
    if (newest === undefined) throw new Error('there is nothing to publish yet')
    const from = base === null ? undefined : this.#kept.get(base)
    const key = from === undefined ? null : base
    const known = this.#differences.get(key)
    if (known !== undefined) return known
    const difference = { base: key, ...this.#differ(from, newest.snapshot) }
    this.#differences.set(key, difference)
    return difference
  }

  /** The manifest of a difference to the newest set. */
  manifest(release: string, position: Position, difference: Difference): PushManifest {
    const newest = this.#newest
    if (newest === undefined) throw new Error('there is nothing to publish yet')
    const { version, endpointsRevision } = newest.snapshot
    return {
      fence: position.fence,
      sequence: position.sequence,
      format: this.writer.format,
      release,
      base: difference.base,
      version,
      endpointsRevision,
      root: newest.root,
      shards: difference.shards,
      pools: difference.pools,
    }
  }

  /** The pools of these keys in a set. */
  pools({ snapshot }: PublishableSet, keys: readonly string[]): readonly Pool[] {
    return keys.flatMap((key) => snapshot.pools.get(key) ?? [])
  }

  /** Lines of shards and pools of a set, made as they are read. Pools first: a route never comes before its pool. */
  lines(set: PublishableSet, tenants: Iterable<string>, keys: Iterable<string>, options: LineOptions = {}): Readable {
    return Readable.from(this.#pieces(set, tenants, keys, options), { objectMode: false, highWaterMark: HIGH_WATER })
  }

  /**
   * Lines of all that a difference to the newest set brings, as one text that is made once for all pods; undefined where
   * it is not small. That is found out once too.
   */
  text(difference: Difference): string | undefined {
    const newest = this.#newest
    const { base } = difference
    if (newest === undefined || base === null) return undefined
    if (!this.#texts.has(base)) this.#texts.set(base, this.#textOf(newest, base, difference))
    return this.#texts.get(base)
  }

  /** The newest set as one stream: its manifest, then everything. */
  whole(release: string, position: Position): Readable {
    const set = this.#newest
    if (set === undefined) throw new Error('there is nothing to publish yet')
    const manifest = this.manifest(release, position, this.difference(null))
    const { shards, pools } = set.snapshot
    return this.lines(set, shards.keys(), pools.keys(), { head: JSON.stringify(manifest) })
  }

  #textOf({ snapshot }: PublishableSet, base: string, { shards, pools }: Difference): string | undefined {
    const former = this.#kept.get(base)?.shards
    const shardLine = (shard: TenantShard) => {
      const from = former?.get(shard.tenant)
      const change = from === undefined ? undefined : this.writer.shardChange?.(from, shard, this.#digest)
      return change ?? this.writer.shardLine(shard)
    }
    let work = 0
    for (const tenant of namesOf(shards)) {
      const { hosts, routes } = snapshot.shards.get(tenant) ?? { hosts: [], routes: [] }
      work += hosts.length + routes.length
      if (work > SMALL_WORK && shards.length > 1) return undefined
    }
    let whole = ''
    for (const line of this.#all(snapshot, namesOf(shards), namesOf(pools), shardLine)) {
      whole += `${line}\n`
      if (whole.length > SMALL_CHANGE) return undefined
    }
    return whole
  }

  async *#pieces(
    { snapshot }: PublishableSet,
    tenants: Iterable<string>,
    keys: Iterable<string>,
    { head, sent = () => {} }: LineOptions,
  ): AsyncGenerator<Buffer> {
    let piece = head === undefined ? '' : `${head}\n`
    let from = performance.now()
    for (const line of this.#all(snapshot, tenants, keys)) {
      piece += `${line}\n`
      if (piece.length >= PIECE) {
        const bytes = Buffer.from(piece)
        sent(bytes.length)
        yield bytes
        piece = ''
      }
      if (performance.now() - from < SLICE) continue
      await new Promise((resolve) => setImmediate(resolve))
      from = performance.now()
    }
    const bytes = Buffer.from(piece)
    sent(bytes.length)
    if (bytes.length > 0) yield bytes
  }

  *#all(
    { shards, pools }: Snapshot,
    tenants: Iterable<string>,
    keys: Iterable<string>,
    shardLine = (shard: TenantShard) => this.writer.shardLine(shard),
  ): Generator<string> {
    for (const key of keys) {
      const pool = pools.get(key)
      if (pool !== undefined) yield this.writer.poolLine(pool)
    }
    for (const tenant of tenants) {
      const shard = shards.get(tenant)
      if (shard !== undefined) yield shardLine(shard)
    }
  }

  #differ(from: Snapshot | undefined, to: Snapshot): Omit<Difference, 'base'> {
    return {
      shards: differ(from?.shards, to.shards, this.writer.shardHash),
      pools: differ(from?.pools, to.pools, this.writer.poolHash),
    }
  }
}

/** What is there after a change. */
function namesOf(entries: Entries): readonly string[] {
  return entries.flatMap(([name, hash]) => (hash === null ? [] : [name]))
}

function fold(root: RootHash, kind: EntryKind, entries: Entries, former: (name: string) => string | undefined): void {
  for (const [name, hash] of entries) {
    const before = former(name)
    if (before !== undefined) root.take(kind, name, before)
    if (hash !== null) root.put(kind, name, hash)
  }
}

function hashOf<Item>(item: Item | undefined, hash: (item: Item) => string): string | undefined {
  return item === undefined ? undefined : hash(item)
}

function differ<Item>(
  from: ReadonlyMap<string, Item> | undefined,
  to: ReadonlyMap<string, Item>,
  hashOf: (item: Item) => string,
): Entries {
  if (from === to) return []
  const entries: (readonly [string, string | null])[] = []
  let kept = 0
  for (const [name, item] of to) {
    const before = from?.get(name)
    if (before !== undefined) kept++
    if (before === item || (before !== undefined && hashOf(before) === hashOf(item))) continue
    entries.push([name, hashOf(item)])
  }
  if (from === undefined || kept === from.size) return entries
  for (const name of from.keys()) if (!to.has(name)) entries.push([name, null])
  return entries
}

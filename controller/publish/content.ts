// What there is to publish: the newest snapshot, its root, and what separates it from the sets that pods have. One for
// each format that is written. http-publisher.ts pushes from it, pod-listener.ts answers pulls from it.
import { Readable } from 'node:stream'
import type { Digest } from '../../model/canonical.ts'
import type { Position, PushManifest } from '../../model/push.ts'
import { poolLine, shardLine } from '../../model/push-shard.ts'
import { type EntryKind, RootHash } from '../../model/root-hash.ts'
import { type Pool, SNAPSHOT_FORMAT, type Snapshot, type TenantShard } from '../../model/snapshot.ts'

/** Writes shards and pools in one format. */
export interface FormatWriter {
  readonly format: number
  shardHash(shard: TenantShard): string
  poolHash(pool: Pool): string
  /** One line without its end. */
  shardLine(shard: TenantShard): string
  poolLine(pool: Pool): string
}

/** The format of this build. */
export const CURRENT_FORMAT: FormatWriter = {
  format: SNAPSHOT_FORMAT,
  shardHash: ({ hash }) => hash,
  poolHash: ({ hash }) => hash,
  shardLine,
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

/** See the head of this file. */
export class SnapshotContent {
  readonly writer: FormatWriter
  readonly #digest: Digest
  /** By root, oldest first. */
  readonly #kept = new Map<string, Snapshot>()
  #newest: PublishableSet | undefined
  /** From the newest set, by base. */
  #differences = new Map<string | null, Difference>()

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
    this.#fold(root, 'shard', former?.snapshot.shards, snapshot.shards, (shard) => this.writer.shardHash(shard))
    this.#fold(root, 'pool', former?.snapshot.pools, snapshot.pools, (pool) => this.writer.poolHash(pool))
    const newest = { snapshot, root: root.toString() }
    this.#newest = newest
    this.#differences = new Map()
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
    const { shards, pools } = newest.snapshot
    const difference = {
      base: key,
      shards: differ(from?.shards, shards, (shard) => this.writer.shardHash(shard)),
      pools: differ(from?.pools, pools, (pool) => this.writer.poolHash(pool)),
    }
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

  /** The newest set as one stream: its manifest, then everything. */
  whole(release: string, position: Position): Readable {
    const set = this.#newest
    if (set === undefined) throw new Error('there is nothing to publish yet')
    const manifest = this.manifest(release, position, this.difference(null))
    const { shards, pools } = set.snapshot
    return this.lines(set, shards.keys(), pools.keys(), { head: JSON.stringify(manifest) })
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

  *#all({ shards, pools }: Snapshot, tenants: Iterable<string>, keys: Iterable<string>): Generator<string> {
    for (const key of keys) {
      const pool = pools.get(key)
      if (pool !== undefined) yield this.writer.poolLine(pool)
    }
    for (const tenant of tenants) {
      const shard = shards.get(tenant)
      if (shard !== undefined) yield this.writer.shardLine(shard)
    }
  }

  #fold<Item>(
    root: RootHash,
    kind: EntryKind,
    former: ReadonlyMap<string, Item> | undefined,
    now: ReadonlyMap<string, Item>,
    hashOf: (item: Item) => string,
  ): void {
    if (former === now) return
    for (const [name, item] of now) {
      const before = former?.get(name)
      if (before === item) continue
      if (before !== undefined) root.take(kind, name, hashOf(before))
      root.put(kind, name, hashOf(item))
    }
    for (const [name, item] of former ?? []) if (!now.has(name)) root.take(kind, name, hashOf(item))
  }
}

function differ<Item>(
  from: ReadonlyMap<string, Item> | undefined,
  to: ReadonlyMap<string, Item>,
  hashOf: (item: Item) => string,
): Entries {
  if (from === to) return []
  const entries: (readonly [string, string | null])[] = []
  for (const [name, item] of to) {
    const before = from?.get(name)
    if (before === item || (before !== undefined && hashOf(before) === hashOf(item))) continue
    entries.push([name, hashOf(item)])
  }
  for (const name of from?.keys() ?? []) if (!to.has(name)) entries.push([name, null])
  return entries
}

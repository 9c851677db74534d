// A set on its way to a pod, as names and hashes: what differs from what is held, what of that is lacking, what was
// received. Pure steps over maps; staging.ts decides when they are taken.
import type { PushManifest } from '../../model/push.ts'
import type { ContentLine } from '../../model/push-shard.ts'

/** What a line says, and the line as it came: the whole, or what changed since the shard with the hash `base`. */
export type Received = ContentLine & { readonly text: string; readonly base?: string }

/** Shards by tenant, or pools by key: what differs from what is active (null: it goes), lacking and received. */
export interface StagedKind {
  readonly changes: ReadonlyMap<string, string | null>
  readonly lacking: Set<string>
  readonly received: Map<string, Received>
}

/** A set on its way. */
export interface Staged {
  /** When something of it came last, monotonic milliseconds. */
  touchedAt: number
  readonly manifest: PushManifest
  readonly shard: StagedKind
  readonly pool: StagedKind
}

/** What a manifest says that differs from what is held. In the time of the difference where it is one. */
export function changesOf(
  entries: PushManifest['shards'],
  held: ReadonlyMap<string, string>,
  whole: boolean,
): Map<string, string | null> {
  const changes = new Map(entries)
  if (whole) for (const name of held.keys()) if (!changes.has(name)) changes.set(name, null)
  for (const [name, hash] of changes) if ((held.get(name) ?? null) === hash) changes.delete(name)
  return changes
}

/** What was received for a former set that was never activated is not asked for again. */
export function stage(changes: ReadonlyMap<string, string | null>, former: StagedKind | undefined): StagedKind {
  const lacking = new Set<string>()
  const received = new Map<string, Received>()
  for (const [name, hash] of changes) {
    const known = former?.received.get(name)
    if (known !== undefined && known.hash === hash) received.set(name, known)
    else if (hash !== null) lacking.add(name)
  }
  return { changes, lacking, received }
}

/** Puts changes into what is held. Returns the names that go. */
export function apply(changes: ReadonlyMap<string, string | null>, held: Map<string, string>): readonly string[] {
  const removed: string[] = []
  for (const [name, hash] of changes) {
    if (hash !== null) held.set(name, hash)
    else if (held.delete(name)) removed.push(name)
  }
  return removed
}

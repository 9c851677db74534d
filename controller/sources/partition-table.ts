// Partitions of a ResourceSet under edits: one object at a time in, fresh partitions out, shared wherever nothing
// changed. Pure. The Kubernetes source keeps one; compile reuses its work by the identity of what comes out.
import type { Kind, Partition, SourceObject } from '../../model/resources.ts'

type Edits = Map<Kind, Map<string, SourceObject | undefined>>

/** All partitions, and the edits that are not in them yet. */
export class PartitionTable {
  #partitions: ReadonlyMap<string, Partition> = new Map()
  #edits = new Map<string, Edits>()

  /** Puts an object in place, or takes it away; seen after `settle`. */
  set(kind: Kind, namespace: string, name: string, object: SourceObject | undefined): void {
    let kinds = this.#edits.get(namespace)
    if (kinds === undefined) {
      kinds = new Map()
      this.#edits.set(namespace, kinds)
    }
    let names = kinds.get(kind)
    if (names === undefined) {
      names = new Map()
      kinds.set(kind, names)
    }
    names.set(name, object)
  }

  /** Brings the partitions up to date; the namespaces that differ from before. */
  settle(): ReadonlySet<string> {
    const changed = new Set<string>()
    if (this.#edits.size === 0) return changed
    const partitions = new Map(this.#partitions)
    for (const [namespace, kinds] of this.#edits) {
      const before = partitions.get(namespace)
      const after = applyEdits(namespace, before, kinds)
      if (after === before) continue
      if (after === undefined) partitions.delete(namespace)
      else partitions.set(namespace, after)
      changed.add(namespace)
    }
    this.#edits = new Map()
    if (changed.size > 0) this.#partitions = partitions
    return changed
  }

  /** As of the last `settle`. */
  get partitions(): ReadonlyMap<string, Partition> {
    return this.#partitions
  }
}

// A fresh partition that shares the maps of the kinds that did not change; `before` itself where none did.
function applyEdits(
  namespace: string,
  before: Partition | undefined,
  kinds: ReadonlyMap<Kind, ReadonlyMap<string, SourceObject | undefined>>,
): Partition | undefined {
  let objects: Map<Kind, ReadonlyMap<string, SourceObject>> | undefined
  for (const [kind, names] of kinds) {
    const known = before?.objects.get(kind)
    const changes = [...names].filter(([name, object]) => known?.get(name) !== object)
    if (changes.length === 0) continue
    const next = new Map(known)
    for (const [name, object] of changes) {
      if (object === undefined) next.delete(name)
      else next.set(name, object)
    }
    objects ??= new Map(before?.objects)
    if (next.size === 0) objects.delete(kind)
    else objects.set(kind, next)
  }
  if (objects === undefined) return before
  return objects.size === 0 ? undefined : Object.freeze({ namespace, objects })
}

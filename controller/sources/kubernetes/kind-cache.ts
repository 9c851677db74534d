// The objects of one list-and-watch: what is kept of each, and which version of it was seen. Turns lists and events into
// edits, each object inside its own fence. No network. reflector feeds it, barrier merges into it, source takes the edits.
import type { Kind, SourceObject } from '../../../model/resources.ts'
import { tupleKey } from '../../../model/resources.ts'
import { identify, keepObject, type RawIdentity, sameObject } from './keep-object.ts'
import { isRecord } from './raw.ts'
import { isAtLeast, isOlder } from './resource-version.ts'

/** One object that is different now; `object` is undefined where it is gone. */
export interface Edit {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
  readonly object: SourceObject | undefined
  /** Version of the object, or of its deletion as far as known. */
  readonly version: string
}

interface Entry {
  readonly object: SourceObject
  readonly version: string
}

type Names = Map<string, Entry>

/** A list in the making: the cache stays as it is until the last page is there. */
export interface Listing {
  readonly entries: Map<string, Names>
  /** Objects that could not be read in it: their former form stays. */
  readonly unreadable: { readonly namespace: string; readonly name: string }[]
}

export interface KindCacheOptions {
  readonly kind: Kind
  /** Called for each object that changed, at once. */
  readonly onEdit: (edit: Edit) => void
  /** An object that could not be read; it costs itself only. */
  readonly onUnreadable: (message: string) => void
  /** Objects that are not wanted are treated as absent. Default: all are. */
  readonly wanted?: (namespace: string, name: string) => boolean
}

/** Deletions that are remembered, so that an event which comes late brings nothing back. */
const MAX_REMEMBERED = 1_024

/** Objects of one list-and-watch. */
export class KindCache {
  readonly #options: KindCacheOptions
  #namespaces = new Map<string, Names>()
  /** Version of the newest merged list of a namespace: older events of it are history. */
  readonly #floors = new Map<string, string>()
  readonly #deleted = new Map<string, string>()

  constructor(options: KindCacheOptions) {
    this.#options = options
  }

  /** Number of objects. */
  get size(): number {
    let size = 0
    for (const names of this.#namespaces.values()) size += names.size
    return size
  }

  get(namespace: string, name: string): SourceObject | undefined {
    return this.#namespaces.get(namespace)?.get(name)?.object
  }

  /** Whether an object is there in a form that is younger than a version. */
  isNewerThan(namespace: string, name: string, version: string): boolean {
    const known = this.#namespaces.get(namespace)?.get(name)
    return known !== undefined && isOlder(version, known.version)
  }

  *objects(): Generator<SourceObject> {
    for (const names of this.#namespaces.values()) for (const { object } of names.values()) yield object
  }

  beginList(): Listing {
    return { entries: new Map(), unreadable: [] }
  }

  /** Takes one object of a page. */
  listed(listing: Listing, raw: unknown): void {
    const identity = identify(raw)
    if (identity === undefined) {
      this.#options.onUnreadable('an object without a name was listed')
      return
    }
    if (!this.#wants(identity)) return
    const object = this.#keep(identity, raw)
    if (object === undefined) {
      listing.unreadable.push(identity)
      return
    }
    // A form that says the same is not kept twice, however long the list takes.
    const known = this.#namespaces.get(identity.namespace)?.get(identity.name)?.object
    namesIn(listing.entries, identity.namespace).set(identity.name, {
      object: known !== undefined && sameObject(known, object) ? known : object,
      version: identity.version,
    })
  }

  /**
   * Makes the list the truth, by difference. Objects whose newer form came another way in the meantime keep it, unless
   * the world went back (`force`): then the list holds, whatever was seen.
   */
  endList(listing: Listing, listVersion: string, force: boolean): void {
    if (force) {
      this.#floors.clear()
      this.#deleted.clear()
    }
    for (const { namespace, name } of listing.unreadable) {
      const known = this.#namespaces.get(namespace)?.get(name)
      if (known !== undefined) namesIn(listing.entries, namespace).set(name, known)
    }
    for (const namespace of new Set([...this.#namespaces.keys(), ...listing.entries.keys()])) {
      const floor = this.#floors.get(namespace)
      // A list of this namespace that is newer still was merged while this one was on its way.
      if (floor !== undefined && isOlder(listVersion, floor)) continue
      const before = this.#namespaces.get(namespace) ?? new Map()
      this.#replaceNamespace(namespace, before, listing.entries.get(namespace), listVersion, force)
    }
  }

  /** Makes a consistent list of one namespace the truth there. */
  mergeNamespace(namespace: string, items: readonly unknown[], listVersion: string): void {
    const listing = this.beginList()
    for (const item of items) this.listed(listing, item)
    for (const { name } of listing.unreadable) {
      const known = this.#namespaces.get(namespace)?.get(name)
      if (known !== undefined) namesIn(listing.entries, namespace).set(name, known)
    }
    this.#floors.set(namespace, listVersion)
    this.#replaceNamespace(
      namespace,
      this.#namespaces.get(namespace) ?? new Map(),
      listing.entries.get(namespace),
      listVersion,
      false,
    )
  }

  /** Takes what an event or an answer says of one object. What is older than what is known is dropped. */
  apply(raw: unknown, deleted: boolean): void {
    const identity = identify(raw)
    if (identity === undefined) {
      this.#options.onUnreadable('an event named no object')
      return
    }
    const { namespace, name, version } = identity
    if (this.#isHistory(identity, deleted)) return
    if (deleted || !this.#wants(identity)) {
      this.#remember(identity)
      this.remove(namespace, name, version)
      return
    }
    const object = this.#keep(identity, raw)
    if (object !== undefined) this.#set(namespace, name, { object, version })
  }

  /** Takes away what is not wanted any more. */
  prune(): void {
    for (const object of [...this.objects()]) {
      const { namespace, name } = object.metadata
      if (this.#options.wanted?.(namespace, name) === false) this.remove(namespace, name, '')
    }
  }

  /** Takes all objects away. */
  clear(): void {
    for (const { metadata } of [...this.objects()]) this.remove(metadata.namespace, metadata.name, '')
  }

  /** Takes an object away. */
  remove(namespace: string, name: string, version: string): void {
    const names = this.#namespaces.get(namespace)
    if (names?.delete(name) !== true) return
    if (names.size === 0) this.#namespaces.delete(namespace)
    this.#options.onEdit({ kind: this.#options.kind, namespace, name, object: undefined, version })
  }

  #wants(identity: RawIdentity): boolean {
    return this.#options.wanted?.(identity.namespace, identity.name) ?? true
  }

  #keep(identity: RawIdentity, raw: unknown): SourceObject | undefined {
    try {
      if (isRecord(raw)) return keepObject(this.#options.kind, raw)
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown'
      const label = identity.namespace === '' ? identity.name : `${identity.namespace}/${identity.name}`
      this.#options.onUnreadable(`${this.#options.kind} ${label} cannot be read: ${why}`)
    }
    return undefined
  }

  #isHistory(identity: RawIdentity, deleted: boolean): boolean {
    const { namespace, name, version } = identity
    const floor = this.#floors.get(namespace)
    if (floor !== undefined) {
      if (isAtLeast(floor, version)) return true
      // The watch has passed the list: from here its own order is enough.
      this.#floors.delete(namespace)
    }
    const known = this.#namespaces.get(namespace)?.get(name)
    if (known !== undefined) return deleted ? isOlder(version, known.version) : isAtLeast(known.version, version)
    const gone = this.#deleted.get(tupleKey([namespace, name]))
    return gone !== undefined && isAtLeast(gone, version)
  }

  #remember(identity: RawIdentity): void {
    const key = tupleKey([identity.namespace, identity.name])
    this.#deleted.delete(key)
    this.#deleted.set(key, identity.version)
    if (this.#deleted.size <= MAX_REMEMBERED) return
    for (const oldest of this.#deleted.keys()) {
      this.#deleted.delete(oldest)
      return
    }
  }

  #set(namespace: string, name: string, entry: Entry): void {
    const names = namesIn(this.#namespaces, namespace)
    const known = names.get(name)
    if (known !== undefined && sameObject(known.object, entry.object)) {
      names.set(name, { object: known.object, version: entry.version })
      return
    }
    names.set(name, entry)
    this.#options.onEdit({ kind: this.#options.kind, namespace, name, object: entry.object, version: entry.version })
  }

  #replaceNamespace(
    namespace: string,
    before: Names,
    after: Names | undefined,
    listVersion: string,
    force: boolean,
  ): void {
    for (const [name, { version }] of [...before]) {
      if (after?.has(name) === true || (!force && isOlder(listVersion, version))) continue
      this.remove(namespace, name, listVersion)
    }
    for (const [name, entry] of after ?? []) {
      const known = this.#namespaces.get(namespace)?.get(name)
      if (!force && known !== undefined && isOlder(entry.version, known.version)) continue
      this.#set(namespace, name, entry)
    }
  }
}

function namesIn(map: Map<string, Names>, namespace: string): Names {
  let names = map.get(namespace)
  if (names === undefined) {
    names = new Map()
    map.set(namespace, names)
  }
  return names
}

// The objects behind the fake API server: one revision that rises over all, a log of events, generations as the real one
// counts them, compaction and restore. No network. api-server.ts serves it; tests write to it.

export type Stored = Record<string, unknown> & { metadata: Record<string, unknown> }

export interface StoreEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly plural: string
  readonly namespace: string
  readonly name: string
  /** JSON text of the object. */
  readonly text: string
  readonly revision: number
}

/** All objects at a moment. */
export interface StoreSnapshot {
  readonly revision: number
  readonly objects: ReadonlyMap<string, ReadonlyMap<string, Stored>>
}

/** Resources whose generation rises with their spec alone. */
const WITH_GENERATION = new Set(['tenants', 'routes', 'policies', 'endpointslices', 'referencegrants'])

/** Versioned objects. */
export class Store {
  revision = 100
  /** Events up to this revision are compacted away. */
  compactedAt = 100
  #objects = new Map<string, Map<string, Stored>>()
  /** The objects at `compactedAt`. */
  #base: StoreSnapshot['objects'] = new Map()
  #log: StoreEvent[] = []
  readonly #listeners = new Set<(event: StoreEvent) => void>()
  #uid = 0

  /** Creates or replaces. Equal content is no event, as with the real one. */
  put(plural: string, given: Record<string, unknown>): Stored {
    const metadata = Object(given['metadata'])
    const namespace = String(metadata['namespace'] ?? '')
    const name = String(metadata['name'])
    const objects = this.#of(plural)
    const before = objects.get(key(namespace, name))
    const changed = before === undefined || contentOf(before) !== contentOf(given)
    const generation = WITH_GENERATION.has(plural)
      ? { generation: Number(before?.metadata['generation'] ?? 0) + (changed ? 1 : 0) }
      : {}
    const object: Stored = structuredClone({
      ...given,
      metadata: {
        ...metadata,
        uid: before?.metadata['uid'] ?? `uid-${++this.#uid}`,
        ...generation,
        managedFields: [{ manager: 'kubectl', fieldsV1: { 'f:spec': {} } }],
      },
    })
    if (before !== undefined && withoutVersion(before) === withoutVersion(object)) return before
    this.revision++
    object.metadata['resourceVersion'] = String(this.revision)
    objects.set(key(namespace, name), object)
    this.#tell({ type: before === undefined ? 'ADDED' : 'MODIFIED', plural, namespace, name, object })
    return object
  }

  remove(plural: string, namespace: string, name: string): void {
    const objects = this.#of(plural)
    const before = objects.get(key(namespace, name))
    if (before === undefined) return
    objects.delete(key(namespace, name))
    this.revision++
    const object = structuredClone(before)
    object.metadata['resourceVersion'] = String(this.revision)
    this.#tell({ type: 'DELETED', plural, namespace, name, object })
  }

  /** Something else in the cluster was written. */
  advance(by = 1): void {
    this.revision += by
  }

  get(plural: string, namespace: string, name: string): Stored | undefined {
    return this.#objects.get(plural)?.get(key(namespace, name))
  }

  list(plural: string, namespace: string | undefined): readonly Stored[] {
    return listOf(this.#objects, plural, namespace)
  }

  /** Events after a revision; undefined where some of them are compacted away. */
  since(revision: number): readonly StoreEvent[] | undefined {
    if (revision < this.compactedAt) return undefined
    return this.#log.filter((event) => event.revision > revision)
  }

  compact(): void {
    this.compactedAt = this.revision
    this.#base = this.snapshot().objects
    this.#log = []
  }

  /** The objects as they were at a revision; undefined where that is compacted away, or not reached. */
  at(revision: number): StoreSnapshot | undefined {
    if (revision < this.compactedAt || revision > this.revision) return undefined
    const objects = new Map([...this.#base].map(([plural, each]) => [plural, new Map(each)]))
    for (const event of this.#log) {
      if (event.revision > revision) break
      const of = objects.get(event.plural) ?? new Map<string, Stored>()
      objects.set(event.plural, of)
      if (event.type === 'DELETED') of.delete(key(event.namespace, event.name))
      else of.set(key(event.namespace, event.name), JSON.parse(event.text) as Stored)
    }
    return { revision, objects }
  }

  listen(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  snapshot(): StoreSnapshot {
    const objects = new Map([...this.#objects].map(([plural, each]) => [plural, new Map(each)]))
    return { revision: this.revision, objects }
  }

  /** The world as it was, revisions included. */
  restore({ revision, objects }: StoreSnapshot): void {
    this.revision = revision
    this.compactedAt = revision
    this.#log = []
    this.#base = objects
    this.#objects = new Map([...objects].map(([plural, each]) => [plural, new Map(each)]))
  }

  #of(plural: string): Map<string, Stored> {
    let objects = this.#objects.get(plural)
    if (objects === undefined) {
      objects = new Map()
      this.#objects.set(plural, objects)
    }
    return objects
  }

  #tell(event: Omit<StoreEvent, 'text' | 'revision'> & { object: Stored }): void {
    const { object, ...rest } = event
    const logged: StoreEvent = { ...rest, text: JSON.stringify(object), revision: this.revision }
    this.#log.push(logged)
    for (const listener of [...this.#listeners]) listener(logged)
  }
}

/** Objects of a resource, in the order of the real one. */
export function listOf(
  objects: StoreSnapshot['objects'],
  plural: string,
  namespace: string | undefined,
): readonly Stored[] {
  return [...(objects.get(plural) ?? new Map<string, Stored>())]
    .filter(([, object]) => namespace === undefined || object.metadata['namespace'] === namespace)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, object]) => object)
}

function key(namespace: string, name: string): string {
  return `${namespace}/${name}`
}

function contentOf(object: Record<string, unknown>): string {
  const { metadata: _metadata, status: _status, apiVersion: _version, kind: _kind, ...content } = object
  return JSON.stringify(content)
}

function withoutVersion(object: Stored): string {
  return JSON.stringify({ ...object, metadata: { ...object.metadata, resourceVersion: '' } })
}

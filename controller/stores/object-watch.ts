// The objects of one kind in one namespace that carry a label, kept as little as their reader wants, live. A Reflector
// does the work; this is where its lists and events go. cluster-store and controller/cluster.ts watch by it.
import type { ApiClient } from '../sources/kubernetes/client.ts'
import { identify } from '../sources/kubernetes/keep-object.ts'
import type { Listing } from '../sources/kubernetes/kind-cache.ts'
import type { ApiResource } from '../sources/kubernetes/kinds.ts'
import { isRecord, type RawRecord } from '../sources/kubernetes/raw.ts'
import { type ListedObjects, Reflector } from '../sources/kubernetes/reflector.ts'
import type { WatchStatus } from '../sources/kubernetes/watch-status.ts'

export interface ObjectWatchOptions<Kept> {
  readonly client: ApiClient
  readonly resource: ApiResource
  readonly namespace: string
  readonly labelSelector: string
  /** What is kept of an object. */
  readonly keep: (object: RawRecord) => Kept
  /** An object is there, is different, or is gone (undefined). */
  readonly onChange: (name: string, kept: Kept | undefined) => void
}

/** A watch of labelled objects. */
export class ObjectWatch<Kept> {
  readonly #options: ObjectWatchOptions<Kept>
  readonly #reflector: Reflector
  readonly #objects = new Map<string, Kept>()

  constructor(options: ObjectWatchOptions<Kept>) {
    this.#options = options
    const { client, resource, namespace, labelSelector } = options
    this.#reflector = new Reflector({ client, resource, namespace, labelSelector, cache: this.#cache() })
  }

  /** Begins; resolves at the first complete list, which may never come. */
  start(): Promise<void> {
    return this.#reflector.start()
  }

  stop(): Promise<void> {
    return this.#reflector.stop()
  }

  /** What is known, by name. */
  get objects(): ReadonlyMap<string, Kept> {
    return this.#objects
  }

  status(): WatchStatus {
    return this.#reflector.status()
  }

  #cache(): ListedObjects {
    const pages = new WeakMap<Listing, Map<string, RawRecord>>()
    const objects = this.#objects
    return {
      get size() {
        return objects.size
      },
      beginList: () => {
        const listing: Listing = { entries: new Map(), unreadable: [] }
        pages.set(listing, new Map())
        return listing
      },
      listed: (listing, raw) => {
        const identity = identify(raw)
        if (identity !== undefined && isRecord(raw)) pages.get(listing)?.set(identity.name, raw)
      },
      endList: (listing) => {
        const items = pages.get(listing) ?? new Map<string, RawRecord>()
        for (const name of [...objects.keys()]) if (!items.has(name)) this.#set(name, undefined)
        for (const [name, raw] of items) this.#set(name, raw)
      },
      apply: (raw, deleted) => {
        const identity = identify(raw)
        if (identity !== undefined && isRecord(raw)) this.#set(identity.name, deleted ? undefined : raw)
      },
    }
  }

  #set(name: string, raw: RawRecord | undefined): void {
    const kept = raw === undefined ? undefined : this.#options.keep(raw)
    if (kept === undefined) this.#objects.delete(name)
    else this.#objects.set(name, kept)
    this.#options.onChange(name, kept)
  }
}

// Secrets and ConfigMaps, only those that are referenced: one watch for each namespace and kind, many over one HTTP/2
// connection, after the rights for that namespace were asked for. source.ts says which are needed.
import { setTimeout as sleep } from 'node:timers/promises'
import { Backoff } from './backoff.ts'
import type { ApiClient } from './client.ts'
import { type Edit, KindCache } from './kind-cache.ts'
import { API_RESOURCES } from './kinds.ts'
import type { MaterialNames } from './references.ts'
import { Reflector } from './reflector.ts'
import { REFLECTOR_TIMING, type ReflectorTiming } from './reflector-timing.ts'
import { Turns } from './turns.ts'
import type { WatchStatus } from './watch-status.ts'

export interface MaterialWatchesOptions {
  readonly client: ApiClient
  readonly timing?: Partial<ReflectorTiming>
  /**
   * Asks for the right to read Secrets and ConfigMaps of a namespace. Resolves once it was asked for; where it rejects it
   * is called again. Without: the rights are there.
   */
  readonly grant?: (namespace: string) => Promise<void>
  /** Nothing of a namespace is referenced any more. */
  readonly revoke?: (namespace: string) => void
  readonly onEdit: (edit: Edit) => void
  readonly onStatus: () => void
}

interface Watched {
  readonly cache: KindCache
  names: ReadonlySet<string>
  reflector: Reflector
}

interface NamespaceWatches {
  readonly secrets: Watched | undefined
  readonly configMaps: Watched | undefined
}

/** Rights that come only when this replica leads must not hold up everybody else's first state. */
const REFUSED_MS = 1_500
const SETTLE_EVERY_MS = 10
/**
 * Lists and beginnings of watches at once. The API server queues a few hundred calls of one account and answers 429 to the
 * rest, and among the rest would be the lease.
 */
const AT_ONCE = 24

type MaterialKind = 'Secret' | 'ConfigMap'

/** The watches of material. */
export class MaterialWatches {
  readonly #options: MaterialWatchesOptions
  readonly #timing: ReflectorTiming
  readonly #namespaces = new Map<string, NamespaceWatches>()
  readonly #ending = new Set<Promise<void>>()
  readonly #turns = new Turns(() => ({ everyMs: 0, burst: 1, perKey: AT_ONCE, overall: AT_ONCE, heaviest: 1 }))
  #stopped = false

  constructor(options: MaterialWatchesOptions) {
    this.#options = options
    this.#timing = { ...REFLECTOR_TIMING, ...options.timing }
  }

  /** Makes the watches follow what is referenced now. */
  update(references: ReadonlyMap<string, MaterialNames>): void {
    if (this.#stopped) return
    for (const [namespace, watches] of [...this.#namespaces]) {
      if (references.has(namespace)) continue
      this.#namespaces.delete(namespace)
      this.#end(watches.secrets)
      this.#end(watches.configMaps)
      this.#options.revoke?.(namespace)
    }
    for (const [namespace, names] of references) {
      const before = this.#namespaces.get(namespace)
      const after: NamespaceWatches = {
        secrets: this.#follow('Secret', namespace, names.secrets, before?.secrets),
        configMaps: this.#follow('ConfigMap', namespace, names.configMaps, before?.configMaps),
      }
      this.#namespaces.set(namespace, after)
      if (before === undefined) this.#grant(namespace).catch(() => undefined)
    }
  }

  /** Resolves when every watch has its first list or was refused for a while, and at the latest after `withinMs`. */
  async settled(withinMs: number): Promise<void> {
    const until = performance.now() + withinMs
    const pending = () =>
      this.statuses().some(
        ({ synced, failingSince }) => !synced && (failingSince === undefined || Date.now() - failingSince < REFUSED_MS),
      )
    while (!this.#stopped && performance.now() < until && pending()) await sleep(SETTLE_EVERY_MS)
  }

  statuses(): readonly WatchStatus[] {
    return [...this.#reflectors()].map((reflector) => reflector.status())
  }

  /** The world went back: all lists anew. */
  resync(): void {
    for (const reflector of this.#reflectors()) reflector.resync()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all([...[...this.#reflectors()].map((reflector) => reflector.stop()), ...this.#ending])
  }

  *#reflectors(): Generator<Reflector> {
    for (const { secrets, configMaps } of this.#namespaces.values()) {
      if (secrets !== undefined) yield secrets.reflector
      if (configMaps !== undefined) yield configMaps.reflector
    }
  }

  #follow(
    kind: MaterialKind,
    namespace: string,
    names: ReadonlySet<string>,
    before: Watched | undefined,
  ): Watched | undefined {
    if (names.size === 0) {
      this.#end(before)
      return undefined
    }
    if (before === undefined) return this.#begin(kind, namespace, names)
    if (sameNames(before.names, names)) return before
    const selector = selectorOf(before.names)
    const grew = [...names].some((name) => !before.names.has(name))
    before.names = names
    before.cache.prune()
    if (selectorOf(names) !== selector) {
      this.#await(before.reflector.stop())
      before.reflector = this.#reflector(kind, namespace, before)
      before.reflector.start().catch(() => undefined)
    } else if (grew) before.reflector.resync()
    return before
  }

  #begin(kind: MaterialKind, namespace: string, names: ReadonlySet<string>): Watched {
    const cache = new KindCache({
      kind,
      onEdit: this.#options.onEdit,
      onUnreadable: () => watched.reflector.countUnreadable(),
      wanted: (_namespace, name) => watched.names.has(name),
    })
    const reflector = this.#reflector(kind, namespace, { cache, names })
    const watched: Watched = { cache, names, reflector }
    reflector.start().catch(() => undefined)
    return watched
  }

  #reflector(kind: MaterialKind, namespace: string, { cache, names }: Pick<Watched, 'cache' | 'names'>): Reflector {
    const selector = selectorOf(names)
    return new Reflector({
      client: this.#options.client,
      resource: API_RESOURCES[kind],
      cache,
      namespace,
      ...(selector === undefined ? {} : { fieldSelector: selector }),
      shared: true,
      turn: () => this.#turns.take(''),
      waitsForRights: this.#options.grant !== undefined,
      timing: { ...this.#timing, backoff: this.#timing.materialBackoff },
      onStatus: this.#options.onStatus,
    })
  }

  #end(watched: Watched | undefined): void {
    if (watched === undefined) return
    this.#await(watched.reflector.stop())
    watched.cache.clear()
  }

  #await(ending: Promise<void>): void {
    const done = ending.finally(() => this.#ending.delete(done))
    this.#ending.add(done)
  }

  async #grant(namespace: string): Promise<void> {
    const { grant } = this.#options
    const backoff = new Backoff(this.#timing.materialBackoff)
    while (grant !== undefined && !this.#stopped && this.#namespaces.has(namespace)) {
      try {
        await grant(namespace)
        const watches = this.#namespaces.get(namespace)
        watches?.secrets?.reflector.hurry()
        watches?.configMaps?.reflector.hurry()
        return
      } catch {
        await new Promise<void>((resolve) => {
          setTimeout(resolve, backoff.next()).unref()
        })
      }
    }
  }
}

// A single name is selected by the server: nothing else of the namespace is ever sent.
function selectorOf(names: ReadonlySet<string>): string | undefined {
  const [first] = names
  return names.size === 1 && first !== undefined ? `metadata.name=${first}` : undefined
}

function sameNames(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((name) => b.has(name))
}

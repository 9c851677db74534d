// Which namespaces hold an address, over all Pods of the world. Pure, persistent: a changed namespace costs its own
// addresses. resolve-endpoints asks it so that no tenant's slice can name another tenant's Pod.
import type { NamespaceChange } from './indexed.ts'
import { PersistentMap } from './persistent-map.ts'

/** Address to the namespaces whose Pods hold it. Never changed once made. */
export class PodHolders {
  readonly #namespaces: PersistentMap<readonly string[]>

  constructor(namespaces: PersistentMap<readonly string[]> = PersistentMap.empty()) {
    this.#namespaces = namespaces
  }

  /** In no order; empty where no Pod holds the address. */
  namespacesOf(address: string): readonly string[] {
    return this.#namespaces.get(address) ?? []
  }

  /** The holders after some changes, and the addresses for which that makes a difference. */
  with(changes: readonly NamespaceChange[]): { readonly holders: PodHolders; readonly changed: ReadonlySet<string> } {
    const now = new Map<string, readonly string[]>()
    const current = (address: string) => now.get(address) ?? this.namespacesOf(address)
    for (const { name, before, after } of changes) {
      if (before?.pods === after?.pods) continue
      for (const address of before?.pods.holders.keys() ?? []) {
        if (after?.pods.holders.has(address) === true) continue
        now.set(
          address,
          current(address).filter((holder) => holder !== name),
        )
      }
      for (const address of after?.pods.holders.keys() ?? []) {
        if (before?.pods.holders.has(address) !== true) now.set(address, [...current(address), name])
      }
    }
    if (now.size === 0) return { holders: this, changed: NONE }
    const entries = [...now].map(([address, list]) => [address, list.length === 0 ? undefined : list] as const)
    return { holders: new PodHolders(this.#namespaces.with(entries)), changed: new Set(now.keys()) }
  }
}

const NONE: ReadonlySet<string> = new Set()

// Which namespaces hold an address, over all Pods of the world. Pure, persistent: a changed namespace copies only the
// buckets of its own addresses. resolve-endpoints asks it so that no tenant's slice can name another tenant's Pod.
import type { NamespacePods } from './indexed.ts'

const BUCKETS = 1024

type Bucket = ReadonlyMap<string, readonly string[]>

/** The Pods of one namespace before and after a change. */
export interface PodsChange {
  readonly namespace: string
  readonly before: NamespacePods | undefined
  readonly after: NamespacePods | undefined
}

/** Address to the namespaces whose Pods hold it. Never changed once made. */
export class PodHolders {
  readonly #buckets: readonly Bucket[]

  constructor(buckets: readonly Bucket[] = []) {
    this.#buckets = buckets
  }

  /** Ordered by nothing in particular; empty where no Pod holds the address. */
  namespacesOf(address: string): readonly string[] {
    return this.#buckets[bucketOf(address)]?.get(address) ?? []
  }

  /** The holders after some changes, and the addresses for which that makes a difference. */
  with(changes: readonly PodsChange[]): { readonly holders: PodHolders; readonly changed: ReadonlySet<string> } {
    const changed = new Set<string>()
    const buckets: Bucket[] = [...this.#buckets]
    const copied = new Map<number, Map<string, readonly string[]>>()
    const bucketFor = (address: string) => {
      const index = bucketOf(address)
      let bucket = copied.get(index)
      if (bucket === undefined) {
        bucket = new Map(buckets[index])
        copied.set(index, bucket)
        buckets[index] = bucket
      }
      return bucket
    }
    for (const { namespace, before, after } of changes) {
      for (const address of before?.holders.keys() ?? []) {
        if (after?.holders.has(address) === true) continue
        const bucket = bucketFor(address)
        const left = (bucket.get(address) ?? []).filter((name) => name !== namespace)
        if (left.length === 0) bucket.delete(address)
        else bucket.set(address, left)
        changed.add(address)
      }
      for (const address of after?.holders.keys() ?? []) {
        if (before?.holders.has(address) === true) continue
        const bucket = bucketFor(address)
        bucket.set(address, [...(bucket.get(address) ?? []), namespace])
        changed.add(address)
      }
    }
    return changed.size === 0 ? { holders: this, changed } : { holders: new PodHolders(buckets), changed }
  }
}

function bucketOf(address: string): number {
  let hash = 0
  for (let index = 0; index < address.length; index += 1) {
    hash = (Math.imul(hash, 31) + address.charCodeAt(index)) | 0
  }
  return (hash >>> 0) % BUCKETS
}

// A map that is never changed: an edit copies one bucket of it, so that a memo over 10,000 tenants costs an edit a few
// dozen entries. Pure. What compile remembers is kept in these; order is kept beside them where it matters.

/** 10,000 tenants are 40 in each. */
export const BUCKETS = 256

/** Text to value, in no order. */
export class PersistentMap<Value> {
  readonly #buckets: readonly (ReadonlyMap<string, Value> | undefined)[]

  private constructor(buckets: readonly (ReadonlyMap<string, Value> | undefined)[]) {
    this.#buckets = buckets
  }

  static empty<Value>(): PersistentMap<Value> {
    return new PersistentMap<Value>([])
  }

  get(key: string): Value | undefined {
    return this.#buckets[bucketOf(key)]?.get(key)
  }

  /** This map with some keys set, or taken out where the value is undefined. The map itself where there are none. */
  with(changes: Iterable<readonly [string, Value | undefined]>): PersistentMap<Value> {
    let buckets: (ReadonlyMap<string, Value> | undefined)[] | undefined
    const copies = new Map<number, Map<string, Value>>()
    for (const [key, value] of changes) {
      const index = bucketOf(key)
      buckets ??= Array.from({ length: BUCKETS }, (_, at) => this.#buckets[at])
      let copy = copies.get(index)
      if (copy === undefined) {
        copy = new Map(buckets[index])
        copies.set(index, copy)
        buckets[index] = copy
      }
      if (value === undefined) copy.delete(key)
      else copy.set(key, value)
    }
    return buckets === undefined ? this : new PersistentMap(buckets)
  }
}

/** FNV-1a: only spreads keys, so it need not be strong. */
export function bucketOf(key: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < key.length; index += 1) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
  return (hash >>> 0) % BUCKETS
}

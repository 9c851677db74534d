// A bounded set of values by key, of which the least recently used one is dropped. In memory. The TLS table keeps the
// servers of hosts in one: 30 KB each and 0.2 ms to make, so neither all of them nor none.

interface Link<Key, Value> {
  readonly key: Key
  readonly value: Value
  newer: Link<Key, Value> | undefined
  older: Link<Key, Value> | undefined
}

/** Linked by use: a Map that is deleted from and set again slows down twentyfold once its entries churn. */
export class RecentList<Key extends object, Value> {
  readonly #links = new Map<Key, Link<Key, Value>>()
  readonly #capacity: number
  #newest: Link<Key, Value> | undefined
  #oldest: Link<Key, Value> | undefined

  /** @param capacity values kept, at least 1. */
  constructor(capacity: number) {
    this.#capacity = Math.max(1, capacity)
  }

  get size(): number {
    return this.#links.size
  }

  /** The value, which is the most recently used one from now on. */
  get(key: Key): Value | undefined {
    const link = this.#links.get(key)
    if (link === undefined) return undefined
    if (link !== this.#newest) {
      this.#unlink(link)
      this.#push(link)
    }
    return link.value
  }

  /** Adds a value under a new key, and drops the least recently used one where there is no room. */
  set(key: Key, value: Value): void {
    this.delete(key)
    if (this.#links.size >= this.#capacity && this.#oldest !== undefined) this.delete(this.#oldest.key)
    const link: Link<Key, Value> = { key, value, newer: undefined, older: undefined }
    this.#links.set(key, link)
    this.#push(link)
  }

  delete(key: Key): void {
    const link = this.#links.get(key)
    if (link === undefined) return
    this.#links.delete(key)
    this.#unlink(link)
  }

  #push(link: Link<Key, Value>): void {
    link.older = this.#newest
    link.newer = undefined
    if (this.#newest !== undefined) this.#newest.newer = link
    this.#newest = link
    this.#oldest ??= link
  }

  #unlink(link: Link<Key, Value>): void {
    if (link.newer === undefined) this.#newest = link.older
    else link.newer.older = link.older
    if (link.older === undefined) this.#oldest = link.newer
    else link.older.newer = link.newer
  }
}

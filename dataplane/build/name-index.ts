// From canonical host names to whatever serves them: exact names by map, wildcards by the longest suffix of whole
// labels. In memory, one per worker. The host table (requests) and the TLS table (SNI) are both one of these, so that
// a name can never belong to one tenant in the handshake and to another in the request.

/** What may stand in the index: it knows its owner, so that a replacement never removes what has moved to another. */
export interface Named {
  /** Canonical host, or `*.domain` for one or more labels under it. */
  readonly host: string
}

/** An index of names that is replaced owner by owner. */
export class NameIndex<Entry extends Named> {
  readonly #exact = new Map<string, Entry>()
  /** By the domain after `*.`. */
  readonly #wildcard = new Map<string, Entry>()

  /** The entry for a canonical host: its exact name, else the wildcard with the longest domain. */
  lookup(host: string): Entry | undefined {
    const exact = this.#exact.get(host)
    if (exact !== undefined || this.#wildcard.size === 0) return exact
    for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      const entry = this.#wildcard.get(host.slice(dot + 1))
      if (entry !== undefined) return entry
    }
    return undefined
  }

  /**
   * Takes the old entries of one owner out and puts the new ones in, in one turn; nobody else's are touched. An old
   * entry whose name somebody else holds by now stays theirs, so the order of replacements of a hand-over is free.
   */
  replace(before: readonly Entry[], after: readonly Entry[]): void {
    for (const entry of before) {
      const map = this.#mapOf(entry)
      const key = keyOf(entry)
      if (map.get(key) === entry) map.delete(key)
    }
    for (const entry of after) this.#mapOf(entry).set(keyOf(entry), entry)
  }

  /** All names, exact ones first. */
  *names(): Generator<string> {
    for (const entry of this.#exact.values()) yield entry.host
    for (const entry of this.#wildcard.values()) yield entry.host
  }

  #mapOf(entry: Entry): Map<string, Entry> {
    return entry.host.startsWith('*.') ? this.#wildcard : this.#exact
  }
}

function keyOf(entry: Named): string {
  return entry.host.startsWith('*.') ? entry.host.slice(2) : entry.host
}

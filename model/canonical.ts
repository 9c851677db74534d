// One text for one value: keys ordered, no white space, Maps as ordered pairs, secrets left out. Pure.
// Hashes of shards and pools are taken over this, so equal objects give equal versions on every machine.

/**
 * A digest from text to lower-case hex, given by whoever composes (SHA-256, peer/digest.ts), so that pure code needs no
 * crypto module. Where it has a memory, the hash of a part of a shard is taken once for as long as the part lives.
 */
export interface Digest {
  (text: string): string
  readonly memory?: HashMemory
}

/** Hashes by the object that they are of. */
export interface HashMemory {
  /** `leads`: where the matches of the host led when its hash was taken, by name; `ids`: the ids that said so. */
  readonly hosts: WeakMap<object, { readonly leads: string; readonly ids: readonly unknown[]; readonly hash: string }>
  readonly routes: WeakMap<object, string>
}

/** The canonical JSON text of plain data. `undefined` fields are left out. Depth is bounded by the schemas. */
export function canonicalText(value: unknown): string {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return JSON.stringify(value)
  if (Array.isArray(value)) {
    // The same text, made by the engine: what shards are hashed over is a list of thousands of hashes.
    if (value.every((item) => typeof item === 'string')) return JSON.stringify(value)
    return `[${value.map(canonicalText).join(',')}]`
  }
  if (value instanceof Map) {
    return canonicalText([...value].sort(([a], [b]) => compareText(String(a), String(b))))
  }
  if (typeof value === 'object') {
    const parts: string[] = []
    const record = value as Record<string, unknown>
    for (const key of Object.keys(record).sort(compareText)) {
      const field = record[key]
      if (field !== undefined) parts.push(`${JSON.stringify(key)}:${canonicalText(field)}`)
    }
    return `{${parts.join(',')}}`
  }
  return 'null'
}

/** Order of text by UTF-16 code units: the same on every machine and in every locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

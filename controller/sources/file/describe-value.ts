// Words for values in messages, and the one check that everything here starts with. Pure.
// The readers of documents use them; a value of the author is quoted, short and never a secret.

/** A map, as opposed to a list, a scalar or nothing. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What a value is, for a message; its content only where it is a plain word. */
export function describe(value: unknown): string {
  if (value === undefined || value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a map'
  if (typeof value === 'string') return value === '' ? 'empty text' : 'text'
  return `the ${typeof value} ${String(value)} (put text in quotes)`
}

/** Text of the author inside a message: quoted, short, without control characters. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 61)}...` : text)
}

// Reading what JSON brought, when nothing about it is known yet. Pure. Used all over controller/sources/kubernetes.

/** A JSON object. */
export type RawRecord = Readonly<Record<string, unknown>>

/** Whether a value is a JSON object. */
export function isRecord(value: unknown): value is RawRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The object in a field; empty where there is none. */
export function recordIn(record: RawRecord, field: string): RawRecord {
  const value = record[field]
  return isRecord(value) ? value : {}
}

/** The text in a field; '' where there is none. */
export function textIn(record: RawRecord, field: string): string {
  const value = record[field]
  return typeof value === 'string' ? value : ''
}

/** The list in a field; empty where there is none. */
export function listIn(record: RawRecord, field: string): readonly unknown[] {
  const value = record[field]
  return Array.isArray(value) ? value : []
}

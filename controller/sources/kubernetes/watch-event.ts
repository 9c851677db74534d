// One line of a watch, read (Kubernetes API concepts, "Efficient detection of changes"). Pure. The reflector acts on it.
import { isRecord, type RawRecord, recordIn, textIn } from './raw.ts'

/** What a line says. */
export type WatchEvent =
  | { readonly type: 'object'; readonly deleted: boolean; readonly object: RawRecord; readonly version: string }
  | { readonly type: 'bookmark'; readonly version: string }
  | { readonly type: 'error'; readonly code: number; readonly reason: string }
  /** A line that cannot be trusted: nothing after it can be either. */
  | { readonly type: 'broken' }
  /** A type of the future. */
  | { readonly type: 'unknown' }

/** Reads a line. Never throws. */
export function readWatchEvent(line: string): WatchEvent {
  let event: unknown
  try {
    event = JSON.parse(line)
  } catch {
    return { type: 'broken' }
  }
  if (!isRecord(event)) return { type: 'broken' }
  const object = recordIn(event, 'object')
  const version = textIn(recordIn(object, 'metadata'), 'resourceVersion')
  switch (event['type']) {
    case 'ADDED':
    case 'MODIFIED':
      return { type: 'object', deleted: false, object, version }
    case 'DELETED':
      return { type: 'object', deleted: true, object, version }
    case 'BOOKMARK':
      return { type: 'bookmark', version }
    case 'ERROR':
      return { type: 'error', code: Number(object['code'] ?? 0), reason: textIn(object, 'reason') }
    default:
      return typeof event['type'] === 'string' ? { type: 'unknown' } : { type: 'broken' }
  }
}

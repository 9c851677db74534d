// Where a field of an object stands: the kept slice of text is read again, which costs nothing while nobody asks.
// No file system. file-source calls it for locate().
import type { FieldPath } from '../../../model/issue.ts'
import type { Position } from '../source.ts'
import type { Origin } from './define-objects.ts'
import { LineTable } from './line-table.ts'
import { readDocuments } from './yaml-text.ts'

/** The place of a field; of its nearest parent where it is missing; of the object where the path is empty. */
export function locateField(origin: Origin, path: FieldPath): Position {
  const place = path.length === 0 ? origin : fieldPlace(origin, path)
  return { file: origin.file, line: place.line, column: place.column }
}

function fieldPlace(origin: Origin, path: FieldPath): { readonly line: number; readonly column: number } {
  const text = origin.text.reveal()
  const slice = text.slice(origin.start, origin.end)
  for (const document of readDocuments(slice)) {
    if (document === undefined) continue
    return new LineTable(text).at(origin.start + document.offsetOf([...origin.prefix, ...path]))
  }
  return origin
}

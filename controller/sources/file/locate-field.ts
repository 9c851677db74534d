// Where a field of an object stands: the kept slice of text is read again, which costs nothing while nobody asks.
// No file system. file-source keeps one Locator for locate().
import type { FieldPath } from '../../../model/issue.ts'
import type { Position } from '../source.ts'
import type { Origin } from './define-objects.ts'
import { LineTable } from './line-table.ts'
import { readDocuments, type YamlDocument } from './yaml-text.ts'

/** Finds fields, and remembers the document it looked at last: problems of one object come together. */
export class Locator {
  #last: { readonly origin: Origin; readonly document: YamlDocument | undefined; readonly lines: LineTable } | undefined

  /** The place of a field; of its nearest parent where it is missing; of the object where the path is empty. */
  locate(origin: Origin, path: FieldPath): Position {
    const { file, line, column } = origin
    if (path.length === 0) return { file, line, column }
    const { document, lines } = this.#read(origin)
    if (document === undefined) return { file, line, column }
    return { file, ...lines.at(origin.start + document.offsetOf([...origin.prefix, ...path])) }
  }

  #read(origin: Origin) {
    const last = this.#last
    if (last?.origin.text === origin.text && last.origin.start === origin.start) return last
    const text = origin.text.reveal()
    const document = firstDocument(text.slice(origin.start, origin.end))
    this.#last = { origin, document, lines: new LineTable(text) }
    return this.#last
  }
}

function firstDocument(text: string): YamlDocument | undefined {
  for (const document of readDocuments(text)) if (document !== undefined) return document
  return undefined
}

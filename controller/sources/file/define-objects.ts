// From the text of one file to the objects it defines, each with a digest and its place in the text. No file system.
// file-source calls it for every changed file and hands the result to World.
import { createHash } from 'node:crypto'
import { canonicalText } from '../../../model/canonical.ts'
import { Hidden } from '../../../model/hidden.ts'
import type { FieldPath } from '../../../model/issue.ts'
import { type Material, type ObjectRef, objectKey } from '../../../model/resources.ts'
import { LineTable } from './line-table.ts'
import { readMaterial } from './read-material.ts'
import type { WrittenMetadata } from './read-metadata.ts'
import { type DocumentProblem, readObjects, type WrittenObject } from './read-object.ts'
import { readDocuments, type YamlDocument } from './yaml-text.ts'

/** Where an object stands: a slice of a text that is kept, hidden, because a Secret may stand in it. */
export interface Origin {
  readonly file: string
  readonly text: Hidden<string>
  /** The slice that holds the document. */
  readonly start: number
  readonly end: number
  readonly prefix: FieldPath
  /** Line and column of the object itself, from 1. */
  readonly line: number
  readonly column: number
}

/** One object as one file defines it. */
export interface Definition {
  readonly key: string
  readonly ref: ObjectRef
  readonly metadata: WrittenMetadata
  readonly body: Readonly<Record<string, unknown>>
  readonly material?: Material
  /** Digest over everything in the object: equal means nothing changed. Never shown: it may cover a secret. */
  readonly digest: string
  /** The same without metadata: a difference is a new generation. */
  readonly bodyDigest: string
  readonly origin: Origin
}

/** A problem of a file, at a place in it. */
export interface FileProblem {
  readonly line: number
  readonly column: number
  readonly message: string
  readonly object?: ObjectRef
  /** The key of that object. */
  readonly key?: string
  /** Path inside the object. */
  readonly path: FieldPath
}

/** What one file holds. */
export interface FileContent {
  readonly definitions: readonly Definition[]
  readonly problems: readonly FileProblem[]
  readonly notes: readonly FileProblem[]
  /** False where some document could not be read as objects with names: what it held before is then kept. */
  readonly complete: boolean
}

/** Reads a file; `undefined` now and then, where the caller may give way. Never throws for what the text says. */
export function* defineObjects(file: string, text: string): Generator<undefined, FileContent> {
  const lines = new LineTable(text)
  const hidden = new Hidden(text)
  const definitions: Definition[] = []
  const problems: FileProblem[] = []
  const notes: FileProblem[] = []
  let complete = true
  for (const document of readDocuments(text)) {
    if (document === undefined) {
      yield undefined
      continue
    }
    if (document.problem !== undefined) {
      problems.push({ ...lines.at(document.problem.offset), message: document.problem.message, path: [] })
      complete = false
      continue
    }
    const read = readObjects(document.value)
    for (const problem of read.problems) {
      problems.push(fileProblem(problem, document, lines, prefixOf(problem.path)))
      if (problem.object === undefined) complete = false
    }
    for (const { path, kind } of read.ignored) {
      notes.push({ ...lines.at(document.offsetOf(path)), message: `${kind} is not read by Atrium`, path: [] })
    }
    for (const object of read.objects) {
      const defined = define(object, { file, text: hidden, document, lines })
      if ('message' in defined) problems.push(fileProblem(defined, document, lines, object.prefix))
      else definitions.push(defined)
    }
    yield undefined
  }
  return { definitions, problems, notes, complete }
}

interface Place {
  readonly file: string
  readonly text: Hidden<string>
  readonly document: YamlDocument
  readonly lines: LineTable
}

function define(object: WrittenObject, place: Place): Definition | DocumentProblem {
  const { kind } = object.ref
  const fields = fieldsThatCount(object)
  const content = kind === 'Secret' || kind === 'ConfigMap' ? readMaterial(kind, fields) : { body: fields }
  if ('message' in content) {
    return { path: [...object.prefix, ...content.path], message: content.message, object: object.ref }
  }
  const bodyDigest = digest(fields)
  return {
    key: objectKey(object.ref),
    ref: Object.freeze(object.ref),
    metadata: object.metadata,
    body: Object.freeze(content.body),
    ...('material' in content ? { material: content.material } : {}),
    digest: digest([object.metadata, bodyDigest]),
    bodyDigest,
    origin: {
      file: place.file,
      text: place.text,
      start: place.document.start,
      end: place.document.end,
      prefix: object.prefix,
      ...place.lines.at(place.document.offsetOf(object.prefix)),
    },
  }
}

const OWN_KINDS: ReadonlySet<string> = new Set(['Tenant', 'Route', 'Policy'])

// The status of our own kinds is what we write ourselves: reading it would let every report wake compile.
function fieldsThatCount(object: WrittenObject): Readonly<Record<string, unknown>> {
  if (!OWN_KINDS.has(object.ref.kind) || object.fields['status'] === undefined) return object.fields
  const { status: _status, ...fields } = object.fields
  return fields
}

function digest(value: unknown): string {
  return createHash('sha256').update(canonicalText(value)).digest('base64')
}

function prefixOf(path: FieldPath): FieldPath {
  return path[0] === 'items' && typeof path[1] === 'number' ? path.slice(0, 2) : []
}

function fileProblem(
  problem: DocumentProblem,
  document: YamlDocument,
  lines: LineTable,
  prefix: FieldPath,
): FileProblem {
  return {
    ...lines.at(document.offsetOf(problem.path)),
    message: problem.message,
    ...(problem.object === undefined ? {} : { object: problem.object, key: objectKey(problem.object) }),
    path: problem.path.slice(prefix.length),
  }
}

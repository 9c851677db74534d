// From one plain document to the objects in it, as the API server would take them: names, namespace, labels, body.
// No file system. file-source calls it for every document; it judges the envelope only, never a spec.
import type { FieldPath } from '../../../model/issue.ts'
import { CLUSTER_KINDS, type Kind, type ObjectRef } from '../../../model/resources.ts'
import { describe, isRecord, quote } from './describe-value.ts'
import { recognise, type Recognised } from './object-kinds.ts'
import { readMetadata, readName, type WrittenMetadata } from './read-metadata.ts'

/** A mistake in a document, at a path in it. */
export interface DocumentProblem {
  readonly path: FieldPath
  readonly message: string
  /** The object, where the document says which one it is. */
  readonly object?: ObjectRef
}

/** An object as written, before it has a generation. */
export interface WrittenObject {
  readonly ref: ObjectRef
  /** Where it stands in its document: [] for a document of its own, ['items', 3] in a List. */
  readonly prefix: FieldPath
  readonly metadata: WrittenMetadata
  /** All fields beside apiVersion, kind and metadata. */
  readonly fields: Readonly<Record<string, unknown>>
}

/** What a document holds. */
export interface ReadResult {
  readonly objects: readonly WrittenObject[]
  readonly problems: readonly DocumentProblem[]
  /** Kinds that Atrium does not read. */
  readonly ignored: readonly { readonly path: FieldPath; readonly kind: string }[]
}

/** Takes the value of one document. Never throws. */
export function readObjects(value: unknown): ReadResult {
  const collected: Collected = { objects: [], problems: [], ignored: [] }
  if (value !== null) readOne(value, [], collected, true)
  return collected
}

interface Collected {
  readonly objects: WrittenObject[]
  readonly problems: DocumentProblem[]
  readonly ignored: { path: FieldPath; kind: string }[]
}

function readOne(value: unknown, prefix: FieldPath, collected: Collected, mayBeList: boolean): void {
  if (!isRecord(value)) {
    collected.problems.push({
      path: prefix,
      message: `an object begins with apiVersion, kind and metadata; this is ${describe(value)}`,
    })
    return
  }
  const envelope = readEnvelope(value, prefix)
  if ('message' in envelope) collected.problems.push(envelope)
  else if (envelope.what === 'foreign')
    collected.ignored.push({ path: prefix, kind: quote(String(value['kind'])).slice(1, -1) })
  else if (envelope.what === 'list') readList(value, prefix, collected, mayBeList)
  else if (envelope.what === 'object') readKnown(envelope.kind, value, prefix, collected)
}

function readEnvelope(
  value: Readonly<Record<string, unknown>>,
  prefix: FieldPath,
): Exclude<Recognised, { what: 'mistake' }> | DocumentProblem {
  for (const field of ['kind', 'apiVersion'] as const) {
    const written = value[field]
    if (written === undefined) return { path: prefix, message: `${field} is missing` }
    if (typeof written !== 'string' || written === '') {
      return { path: [...prefix, field], message: `${field} must be text, not ${describe(written)}` }
    }
  }
  const recognised = recognise(String(value['apiVersion']), String(value['kind']))
  if (recognised.what !== 'mistake') return recognised
  return { path: [...prefix, recognised.field], message: recognised.message }
}

function readList(
  value: Readonly<Record<string, unknown>>,
  prefix: FieldPath,
  collected: Collected,
  mayBeList: boolean,
): void {
  const items = value['items']
  if (!mayBeList) collected.problems.push({ path: prefix, message: 'a List inside a List cannot be read' })
  else if (!Array.isArray(items))
    collected.problems.push({ path: [...prefix, 'items'], message: `items must be a list, not ${describe(items)}` })
  else for (const [index, item] of items.entries()) readOne(item, [...prefix, 'items', index], collected, false)
}

function readKnown(
  kind: Kind,
  value: Readonly<Record<string, unknown>>,
  prefix: FieldPath,
  collected: Collected,
): void {
  const named = readName(kind, value['metadata'])
  if ('message' in named) {
    collected.problems.push({ path: [...prefix, ...named.path], message: named.message })
    return
  }
  const ref: ObjectRef = { kind, namespace: CLUSTER_KINDS.has(kind) ? '' : named.namespace, name: named.name }
  const metadata = readMetadata(named.metadata)
  if ('message' in metadata) {
    collected.problems.push({ path: [...prefix, ...metadata.path], message: metadata.message, object: ref })
    return
  }
  const { apiVersion: _version, kind: _kind, metadata: _metadata, ...fields } = value
  collected.objects.push({ ref, prefix, metadata, fields })
}

// The metadata of an object, as the API server takes it: grammar of names, types and sizes of labels and annotations.
// No file system. read-object calls it; what Atrium does not read is checked for its name only and dropped.
import type { FieldPath } from '../../../model/issue.ts'
import { CLUSTER_KINDS, type Kind } from '../../../model/resources.ts'
import { describe, isRecord, quote } from './describe-value.ts'

/** What Atrium uses of the metadata beside the name. */
export interface WrittenMetadata {
  readonly uid?: string
  readonly generation?: number
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly deletionTimestamp?: string
}

/** What is wrong, at a path from the root of the object. */
export interface MetadataProblem {
  readonly path: FieldPath
  readonly message: string
}

// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
const LABEL_NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const SUBDOMAIN_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const LABEL_NAMED: ReadonlySet<Kind> = new Set(['Service', 'Namespace'])
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/
const METADATA_KEY = /^([a-z0-9][-a-z0-9.]{0,252}\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
const MAX_NAME = 253
/** The API server's bound on all annotations of an object together. */
const MAX_ANNOTATIONS = 256 * 1024
const MAX_LABELS = 1_000
/** Annotations of other owners (the whole object as last applied, above all) would only wake compile for nothing. */
const OWN_ANNOTATIONS = 'atrium.dev/'

// ObjectMeta of Kubernetes 1.37; anything else is a misspelling, which the API server refuses too.
const KNOWN_FIELDS: ReadonlySet<string> = new Set([
  'name',
  'generateName',
  'namespace',
  'selfLink',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'labels',
  'annotations',
  'ownerReferences',
  'finalizers',
  'managedFields',
])

/** A name with the metadata it came from. `namespace` is `default` where none is given, as in kubectl. */
export interface Named {
  readonly name: string
  readonly namespace: string
  readonly metadata: Readonly<Record<string, unknown>>
}

/** Reads who the object is. */
export function readName(kind: Kind, metadata: unknown): Named | MetadataProblem {
  if (metadata === undefined || metadata === null) return { path: [], message: 'metadata is missing' }
  if (!isRecord(metadata)) return { path: ['metadata'], message: `metadata must be a map, not ${describe(metadata)}` }
  const name = metadata['name']
  if (name === undefined) {
    const hint = metadata['generateName'] === undefined ? '' : '; generateName cannot be applied'
    return { path: ['metadata'], message: `metadata.name is missing${hint}` }
  }
  const isLabel = LABEL_NAMED.has(kind)
  const problem = nameProblem('name', name, isLabel)
  if (problem !== undefined) return problem
  const namespace = CLUSTER_KINDS.has(kind) ? '' : (metadata['namespace'] ?? 'default')
  if (namespace !== '' || !CLUSTER_KINDS.has(kind)) {
    const wrong = nameProblem('namespace', namespace, true)
    if (wrong !== undefined) return wrong
  }
  return { name: String(name), namespace: String(namespace), metadata }
}

function nameProblem(field: string, value: unknown, isLabel: boolean): MetadataProblem | undefined {
  const path = ['metadata', field]
  if (typeof value !== 'string') return { path, message: `metadata.${field} must be text, not ${describe(value)}` }
  const fits = isLabel ? LABEL_NAME.test(value) : value.length <= MAX_NAME && SUBDOMAIN_NAME.test(value)
  if (fits) return undefined
  const grammar = isLabel
    ? 'at most 63 of a-z, 0-9 and -, with a letter or digit at both ends'
    : 'at most 253 of a-z, 0-9, - and ., with a letter or digit at both ends of each part'
  return { path, message: `metadata.${field} ${quote(value)} is not allowed: ${grammar}` }
}

/** Reads the rest of the metadata: what Atrium uses, nothing else. */
export function readMetadata(metadata: Readonly<Record<string, unknown>>): WrittenMetadata | MetadataProblem {
  for (const field of Object.keys(metadata)) {
    if (!KNOWN_FIELDS.has(field)) {
      return { path: ['metadata', field], message: `metadata has no field ${quote(field)}` }
    }
  }
  const labels = readTexts('labels', metadata['labels'])
  if ('message' in labels) return labels
  const annotations = readTexts('annotations', metadata['annotations'])
  if ('message' in annotations) return annotations
  const uid = metadata['uid']
  const generation = metadata['generation']
  const deletionTimestamp = metadata['deletionTimestamp']
  if (generation !== undefined && (!Number.isSafeInteger(generation) || Number(generation) < 0)) {
    return { path: ['metadata', 'generation'], message: 'metadata.generation must be a whole number' }
  }
  for (const [field, value] of Object.entries({ uid, deletionTimestamp })) {
    if (value !== undefined && value !== null && typeof value !== 'string') {
      return { path: ['metadata', field], message: `metadata.${field} must be text, not ${describe(value)}` }
    }
  }
  return Object.freeze({
    ...(typeof uid === 'string' && uid !== '' ? { uid } : {}),
    ...(typeof generation === 'number' && generation > 0 ? { generation } : {}),
    labels: labels.texts,
    annotations: annotations.texts,
    ...(typeof deletionTimestamp === 'string' ? { deletionTimestamp } : {}),
  })
}

const NO_TEXTS: Readonly<Record<string, string>> = Object.freeze({})

function readTexts(
  field: 'labels' | 'annotations',
  value: unknown,
): { texts: Readonly<Record<string, string>> } | MetadataProblem {
  if (value === undefined || value === null) return { texts: NO_TEXTS }
  if (!isRecord(value)) {
    return { path: ['metadata', field], message: `metadata.${field} must be a map, not ${describe(value)}` }
  }
  const entries = Object.entries(value)
  let size = 0
  const texts: [string, string][] = []
  for (const [key, text] of entries) {
    const path = ['metadata', field, key]
    if (!METADATA_KEY.test(key)) return { path, message: `the key ${quote(key)} of metadata.${field} is not allowed` }
    if (typeof text !== 'string') {
      return { path, message: `the value of ${quote(key)} in metadata.${field} must be text, not ${describe(text)}` }
    }
    if (field === 'labels' && !LABEL_VALUE.test(text)) {
      return {
        path,
        message: `the label ${quote(key)} has a value that is not allowed: at most 63 of A-Z, a-z, 0-9, -, _ and .`,
      }
    }
    size += key.length + text.length
    if (field === 'labels' || key.startsWith(OWN_ANNOTATIONS)) texts.push([key, text])
  }
  if (field === 'labels' && entries.length > MAX_LABELS) {
    return { path: ['metadata', field], message: `more than ${MAX_LABELS} labels` }
  }
  if (size > MAX_ANNOTATIONS) return { path: ['metadata', field], message: `metadata.${field} is larger than 256 KiB` }
  return { texts: texts.length === 0 ? NO_TEXTS : Object.freeze(Object.fromEntries(texts)) }
}

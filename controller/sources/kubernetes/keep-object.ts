// What is kept of an object of the API: the fields that Atrium reads, nothing else. Pure but for the inspector of
// Secrets. Two kept forms that are equal mean that nobody needs to be woken, whatever else changed in the object.
import type { Kind, Material, ObjectMeta, SourceObject } from '../../../model/resources.ts'
import { readMaterial } from '../file/read-material.ts'
import { isRecord, type RawRecord, recordIn, textIn } from './raw.ts'

/** Names an object of one kind. */
export interface RawIdentity {
  readonly namespace: string
  readonly name: string
  readonly version: string
}

/** Annotations of other owners (the whole object as last applied, above all) would only wake compile for nothing. */
const OWN_KEYS = 'atrium.dev/'
/** Kubernetes' own label: the Service that a slice belongs to (discovery.k8s.io/v1). */
const SERVICE_LABEL = 'kubernetes.io/service-name'
const NO_TEXTS: Readonly<Record<string, string>> = Object.freeze({})

/** Kinds whose metadata is used as a whole: conditions name generation and uid, selectors read labels. */
const WITH_METADATA: ReadonlySet<Kind> = new Set<Kind>(['Tenant', 'Route', 'Policy', 'Namespace'])

/** Who an object is; undefined where that cannot be told. */
export function identify(raw: unknown): RawIdentity | undefined {
  if (!isRecord(raw)) return undefined
  const metadata = recordIn(raw, 'metadata')
  const name = textIn(metadata, 'name')
  if (name === '') return undefined
  return { namespace: textIn(metadata, 'namespace'), name, version: textIn(metadata, 'resourceVersion') }
}

/** The form that is kept. Throws with one sentence where a Secret or ConfigMap cannot be read. */
export function keepObject(kind: Kind, raw: RawRecord): SourceObject {
  const metadata = keepMetadata(kind, recordIn(raw, 'metadata'))
  if (kind === 'Secret' || kind === 'ConfigMap') {
    const { body, material } = keepMaterial(kind, raw)
    return Object.freeze({ kind, metadata, body, material })
  }
  return Object.freeze({ kind, metadata, body: keepBody(kind, raw) })
}

function keepMetadata(kind: Kind, raw: RawRecord): ObjectMeta {
  const whole = WITH_METADATA.has(kind)
  const uid = textIn(raw, 'uid')
  const generation = raw['generation']
  const deletionTimestamp = textIn(raw, 'deletionTimestamp')
  return Object.freeze({
    name: textIn(raw, 'name'),
    namespace: textIn(raw, 'namespace'),
    ...(whole && uid !== '' ? { uid } : {}),
    generation: typeof generation === 'number' ? generation : 0,
    labels: texts(recordIn(raw, 'labels'), (key) => whole || key === SERVICE_LABEL || key.startsWith(OWN_KEYS)),
    annotations: texts(recordIn(raw, 'annotations'), (key) => key.startsWith(OWN_KEYS)),
    ...(deletionTimestamp !== '' && (whole || kind === 'Pod') ? { deletionTimestamp } : {}),
  })
}

function texts(raw: RawRecord, wanted: (key: string) => boolean): Readonly<Record<string, string>> {
  const kept: [string, string][] = []
  for (const [key, value] of Object.entries(raw)) {
    if (typeof value === 'string' && wanted(key)) kept.push([key, value])
  }
  return kept.length === 0 ? NO_TEXTS : Object.freeze(Object.fromEntries(kept))
}

function keepMaterial(
  kind: 'Secret' | 'ConfigMap',
  raw: RawRecord,
): { body: Readonly<Record<string, unknown>>; material: Material } {
  const read = readMaterial(kind, raw)
  if ('message' in read) throw new Error(read.message)
  return read
}

function keepBody(kind: Kind, raw: RawRecord): Readonly<Record<string, unknown>> {
  switch (kind) {
    case 'Namespace':
      return NO_TEXTS
    case 'Service':
      return { spec: pick(recordIn(raw, 'spec'), ['type', 'externalName', 'selector', 'ports']) }
    case 'EndpointSlice':
      return {
        ...pick(raw, ['addressType', 'ports']),
        ...('endpoints' in raw ? { endpoints: keepEndpoints(raw['endpoints']) } : {}),
      }
    case 'Pod':
      return { status: pick(recordIn(raw, 'status'), ['phase', 'podIP', 'podIPs']) }
    default:
      return pick(raw, ['spec'])
  }
}

function keepEndpoints(value: unknown): unknown {
  if (!Array.isArray(value)) return value
  return value.map((endpoint: unknown) => {
    if (!isRecord(endpoint)) return endpoint
    const kept = pick(endpoint, ['addresses', 'conditions', 'zone'])
    const target = endpoint['targetRef']
    return isRecord(target) ? { ...kept, targetRef: pick(target, ['kind', 'namespace', 'name']) } : kept
  })
}

function pick(raw: RawRecord, fields: readonly string[]): RawRecord {
  const kept: Record<string, unknown> = {}
  for (const field of fields) {
    const value = raw[field]
    if (value !== undefined && value !== null) kept[field] = value
  }
  return kept
}

/** Whether two kept forms of one object say the same. */
export function sameObject(a: SourceObject, b: SourceObject): boolean {
  // A slice's generation counts changes that are not kept; those who have conditions are named by theirs.
  const generations = !WITH_METADATA.has(a.kind) || a.metadata.generation === b.metadata.generation
  return (
    generations &&
    a.metadata.uid === b.metadata.uid &&
    a.metadata.deletionTimestamp === b.metadata.deletionTimestamp &&
    sameValue(a.metadata.labels, b.metadata.labels) &&
    sameValue(a.metadata.annotations, b.metadata.annotations) &&
    sameValue(a.body, b.body) &&
    sameMaterial(a.material, b.material)
  )
}

function sameMaterial(a: Material | undefined, b: Material | undefined): boolean {
  return (
    sameValue(a?.authorities, b?.authorities) &&
    a?.certificate?.keyPem.reveal() === b?.certificate?.keyPem.reveal() &&
    sameValue({ ...a?.certificate, keyPem: null }, { ...b?.certificate, keyPem: null })
  )
}

/** Deep equality of JSON values. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => sameValue(item, b[index]))
  }
  if (!isRecord(a) || !isRecord(b)) return false
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameValue(a[key], b[key]))
  )
}

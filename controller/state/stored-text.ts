// The text form of claims and last good forms: versioned JSON, every field checked when it is read back. No file system.
// folder-store.ts writes and reads it. The text of last good forms holds private keys: it goes into 0600 files only.
import type { FieldPath } from '../../model/issue.ts'
import { type Claim, KINDS, type Kind, type LastGood, type Material } from '../../model/resources.ts'
import { inspectSecret } from '../sources/inspect-material.ts'

const FORMAT = 1

/** The text of a list of claims. */
export function claimsText(claims: readonly Claim[]): string {
  return `${JSON.stringify({ format: FORMAT, claims }, undefined, 1)}\n`
}

/** The text of a list of last good forms, private keys in the clear. */
export function lastGoodText(lastGood: readonly LastGood[]): string {
  const entries = lastGood.map(({ material, ...entry }) => ({
    ...entry,
    ...(material === undefined ? {} : { material: plainMaterial(material) }),
  }))
  return `${JSON.stringify({ format: FORMAT, lastGood: entries })}\n`
}

/** Claims from their text. @throws Error with the place and the reason where the text is not one of ours. */
export function parseClaims(text: string): readonly Claim[] {
  return list(parse(text), 'claims').map((value, index) => {
    const at = ['claims', index]
    const claim = record(value, at)
    const what = claim['what']
    if (what !== 'host' && what !== 'port' && what !== 'namespace') throw wrong([...at, 'what'])
    const releasedAt = claim['releasedAt']
    return {
      what,
      name: words(claim['name'], [...at, 'name']),
      tenant: words(claim['tenant'], [...at, 'tenant']),
      since: number(claim['since'], [...at, 'since']),
      ...(releasedAt === undefined ? {} : { releasedAt: number(releasedAt, [...at, 'releasedAt']) }),
    }
  })
}

/** Last good forms from their text. @throws Error as parseClaims does. */
export function parseLastGood(text: string): readonly LastGood[] {
  return list(parse(text), 'lastGood').map((value, index) => {
    const at = ['lastGood', index]
    const entry = record(value, at)
    const object = record(entry['object'], [...at, 'object'])
    const material = entry['material']
    return {
      object: {
        kind: kindOf(object['kind'], [...at, 'object', 'kind']),
        namespace: words(object['namespace'], [...at, 'object', 'namespace'], true),
        name: words(object['name'], [...at, 'object', 'name']),
      },
      generation: number(entry['generation'], [...at, 'generation']),
      body: record(entry['body'], [...at, 'body']),
      ...(material === undefined
        ? {}
        : { material: inspectAgain(record(material, [...at, 'material']), [...at, 'material']) }),
    }
  })
}

function plainMaterial(material: Material): Record<string, string> {
  const { certificate, authorities } = material
  return {
    ...(certificate === undefined ? {} : { chain: certificate.chainPem, key: certificate.keyPem.reveal() }),
    ...(authorities === undefined ? {} : { authorities: authorities.pem }),
  }
}

// Facts are found again rather than believed: the inspector of today may know more than that of yesterday.
function inspectAgain(stored: Readonly<Record<string, unknown>>, at: FieldPath): Material {
  const data: Record<string, Uint8Array> = {}
  for (const [field, key] of [
    ['chain', 'tls.crt'],
    ['key', 'tls.key'],
    ['authorities', 'ca.crt'],
  ] as const) {
    const text = stored[field]
    if (text !== undefined) data[key] = Buffer.from(words(text, [...at, field], true))
  }
  return inspectSecret(data)
}

function parse(text: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(text)
  const root = record(value, [])
  if (root['format'] !== FORMAT)
    throw new Error(`format ${String(root['format'])} is not known here; this is ${FORMAT}`)
  return root
}

function list(root: Readonly<Record<string, unknown>>, field: string): readonly unknown[] {
  const value = root[field]
  if (!Array.isArray(value)) throw wrong([field])
  return value
}

function record(value: unknown, at: FieldPath): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(at)
  return Object.fromEntries(Object.entries(value))
}

function words(value: unknown, at: FieldPath, mayBeEmpty = false): string {
  if (typeof value !== 'string' || (value === '' && !mayBeEmpty)) throw wrong(at)
  return value
}

function number(value: unknown, at: FieldPath): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(at)
  return value
}

function kindOf(value: unknown, at: FieldPath): Kind {
  const kind = KINDS.find((each) => each === value)
  if (kind === undefined) throw wrong(at)
  return kind
}

function wrong(at: FieldPath): Error {
  return new Error(`${at.length === 0 ? 'the file' : at.join('.')} is not what Atrium writes`)
}

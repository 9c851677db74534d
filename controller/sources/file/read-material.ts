// The data of a Secret or ConfigMap: base64 off, stringData over data, then the inspector. No file system.
// define-objects calls it; the data itself goes no further than into Material, so it cannot be printed.
import type { FieldPath } from '../../../model/issue.ts'
import type { Material } from '../../../model/resources.ts'
import { inspectConfigMap, inspectSecret } from '../inspect-material.ts'
import { describe, isRecord, quote } from './describe-value.ts'

/** Type of the Secret and what was found in it, or what is wrong at which path. */
export type MaterialResult =
  | { readonly body: Readonly<Record<string, unknown>>; readonly material: Material }
  | { readonly path: FieldPath; readonly message: string }

const DATA_KEY = /^[-._a-zA-Z0-9]{1,253}$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
/** The API server's bound on the data of one Secret or ConfigMap. */
const MAX_DATA = 1024 * 1024

/** Reads `data`, `stringData` and `binaryData`, as far as the kind has them. Messages never hold a value. */
export function readMaterial(kind: 'Secret' | 'ConfigMap', fields: Readonly<Record<string, unknown>>): MaterialResult {
  if (kind === 'ConfigMap') {
    const data = readTexts(fields, 'data', undefined)
    if (isProblem(data)) return data
    const binary = readTexts(fields, 'binaryData', BASE64)
    if (isProblem(binary)) return binary
    return (
      sizeProblem([...Object.values(data), ...Object.values(binary)]) ?? { body: {}, material: inspectConfigMap(data) }
    )
  }
  const encoded = readTexts(fields, 'data', BASE64)
  if (isProblem(encoded)) return encoded
  const written = readTexts(fields, 'stringData', undefined)
  if (isProblem(written)) return written
  const type = fields['type'] ?? 'Opaque'
  if (typeof type !== 'string') return { path: ['type'], message: `type must be text, not ${describe(type)}` }
  const bytes: Record<string, Uint8Array> = {}
  for (const [key, text] of Object.entries(encoded)) bytes[key] = Buffer.from(text, 'base64')
  for (const [key, text] of Object.entries(written)) bytes[key] = Buffer.from(text, 'utf8')
  return sizeProblem(Object.values(bytes)) ?? { body: { type }, material: inspectSecret(bytes) }
}

interface Problem {
  readonly path: FieldPath
  readonly message: string
}

function isProblem(result: Readonly<Record<string, string>> | Problem): result is Problem {
  return Array.isArray(result['path'])
}

// Base64 of Go skips line breaks (encoding/base64), so a folded value is read too.
function readTexts(
  fields: Readonly<Record<string, unknown>>,
  field: string,
  grammar: RegExp | undefined,
): Readonly<Record<string, string>> | Problem {
  const value = fields[field]
  if (value === undefined || value === null) return {}
  if (!isRecord(value)) return { path: [field], message: `${field} must be a map, not ${describe(value)}` }
  const texts: Record<string, string> = {}
  for (const [key, content] of Object.entries(value)) {
    const path = [field, key]
    if (!DATA_KEY.test(key)) return { path, message: `the key ${quote(key)} of ${field} is not allowed` }
    if (typeof content !== 'string') {
      return { path, message: `the value of ${quote(key)} in ${field} must be text, not ${kindOf(content)}` }
    }
    const text = grammar === undefined ? content : content.replace(/[\r\n]/g, '')
    if (grammar !== undefined && !grammar.test(text)) {
      return { path, message: `the value of ${quote(key)} in ${field} is no base64` }
    }
    texts[key] = text
  }
  return texts
}

// A number could be a password: it is never repeated.
function kindOf(value: unknown): string {
  return isRecord(value) || Array.isArray(value) || value === null
    ? describe(value)
    : `a ${typeof value} (put it in quotes)`
}

function sizeProblem(contents: readonly { readonly length: number }[]): Problem | undefined {
  const size = contents.reduce((sum, content) => sum + content.length, 0)
  return size > MAX_DATA ? { path: [], message: 'its data is larger than 1 MiB' } : undefined
}

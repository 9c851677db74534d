// How claims and last good forms are cut into objects of the API server: sixteen of each kind by hash, compressed where
// they are large. Pure but for zlib and the digest. cluster-store.ts reads and writes the objects.
import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { compareText } from '../../model/canonical.ts'
import { type Claim, type LastGood, objectKey, tupleKey } from '../../model/resources.ts'
import type { StoredState } from '../state/state-store.ts'
import { claimsText, lastGoodText, parseClaims, parseLastGood } from '../state/stored-text.ts'

/** claims, forms: in ConfigMaps. material: forms with keys or certificates, in Secrets. */
export const PARTS = ['claims', 'forms', 'material'] as const
export type Part = (typeof PARTS)[number]

/** One object: a part and one of sixteen digits. */
export interface ShardName {
  readonly part: Part
  readonly digit: string
}

const DIGITS = [...'0123456789abcdef'] as const
/** What etcd and the API server take is twice this. */
const MOST_BYTES = 512 * 1024
const PLAIN_BYTES = 64 * 1024
const MOST_TEXT_BYTES = 64 * 1024 * 1024
const FILE: Readonly<Record<Part, string>> = { claims: 'claims.json', forms: 'forms.json', material: 'material.json' }

/** All names. */
export const SHARDS: readonly ShardName[] = PARTS.flatMap((part) => DIGITS.map((digit) => ({ part, digit })))

/** The text of every shard that has something in it. Everything about one name is in one shard, so it changes at once. */
export function shardTexts(state: StoredState): ReadonlyMap<string, string> {
  const texts = new Map<string, string>()
  const claims = grouped([...state.claims].sort(compareClaims), (claim) => tupleKey([claim.what, claim.name]))
  for (const [digit, list] of claims) texts.set(shardKey({ part: 'claims', digit }), claimsText(list))
  for (const part of ['forms', 'material'] as const) {
    const forms = [...state.lastGood]
      .filter((entry) => (entry.material === undefined) === (part === 'forms'))
      .sort(compareForms)
    const byDigit = grouped(forms, (entry) => objectKey(entry.object))
    for (const [digit, list] of byDigit) texts.set(shardKey({ part, digit }), lastGoodText(list))
  }
  return texts
}

/** The text of a shard with nothing in it. */
export function emptyText(part: Part): string {
  return part === 'claims' ? claimsText([]) : lastGoodText([])
}

/** What the texts say, each list in the order in which it was saved. @throws Error that says what is wrong with a text. */
export function readShard(part: Part, text: string): StoredState {
  return part === 'claims' ? { claims: parseClaims(text), lastGood: [] } : { claims: [], lastGood: parseLastGood(text) }
}

/** A key for maps of shards. */
export function shardKey({ part, digit }: ShardName): string {
  return tupleKey([part, digit])
}

/** The fields that hold a text in a ConfigMap or Secret. @throws RangeError where it is too large even compressed. */
export function payload(part: Part, text: string): Readonly<Record<string, unknown>> {
  const bytes = Buffer.from(text)
  const plain = bytes.length <= PLAIN_BYTES
  const kept = plain ? bytes : gzipSync(bytes)
  if (kept.length > MOST_BYTES)
    throw new RangeError(`one object would hold ${kept.length} bytes, more than ${MOST_BYTES}`)
  const file = plain ? FILE[part] : `${FILE[part]}.gz`
  if (part === 'material') return { type: 'Opaque', data: { [file]: kept.toString('base64') } }
  return plain ? { data: { [file]: text } } : { binaryData: { [file]: kept.toString('base64') } }
}

/** The text in a ConfigMap or Secret. @throws Error where there is none. */
export function textOf(part: Part, object: Readonly<Record<string, unknown>>): string {
  const file = FILE[part]
  const data = Object(object['data'])
  const plain: unknown = data[file]
  if (typeof plain === 'string') return part === 'material' ? Buffer.from(plain, 'base64').toString('utf8') : plain
  const packed: unknown = part === 'material' ? data[`${file}.gz`] : Object(object['binaryData'])[`${file}.gz`]
  if (typeof packed !== 'string') throw new Error(`it has no ${file}`)
  try {
    return gunzipSync(Buffer.from(packed, 'base64'), { maxOutputLength: MOST_TEXT_BYTES }).toString('utf8')
  } catch {
    throw new Error(`${file}.gz cannot be unpacked`)
  }
}

function grouped<Item>(items: readonly Item[], keyOf: (item: Item) => string): ReadonlyMap<string, readonly Item[]> {
  const byDigit = new Map<string, Item[]>()
  for (const item of items) {
    const digit = createHash('sha256').update(keyOf(item)).digest('hex').charAt(0)
    const list = byDigit.get(digit)
    if (list === undefined) byDigit.set(digit, [item])
    else list.push(item)
  }
  return byDigit
}

/** The order in which claims are kept. */
export function compareClaims(a: Claim, b: Claim): number {
  return compareText(a.what, b.what) || compareText(a.name, b.name) || compareText(a.tenant, b.tenant)
}

/** The order in which last good forms are kept. */
export function compareForms(a: LastGood, b: LastGood): number {
  return compareText(objectKey(a.object), objectKey(b.object))
}

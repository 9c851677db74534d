// From YAML nodes to plain frozen data: keys as text, merge keys, aliases within a budget, duplicates refused.
// No file system. yaml-text calls it once for each document.
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Alias,
  type Document,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'

/** Nodes that aliases may stand for in one document, all of them together: an alias bomb needs more. */
const MAX_ALIASED_NODES = 10_000
const MAX_ALIASES = 100

/** What is wrong with a text, and where: an offset in UTF-16 code units. */
export interface TextProblem {
  readonly offset: number
  readonly message: string
}

/** The value of a document, or what is wrong with it. */
export type Plain =
  | { readonly value: unknown; readonly problem?: undefined }
  | { readonly value?: undefined; readonly problem: TextProblem }

/** Turns a parsed document into plain data, deeply frozen. Never throws for what the document says. */
export function toPlain(document: Document.Parsed, maxDepth: number): Plain {
  if (document.contents === null) return { value: null }
  try {
    return { value: new Conversion(maxDepth).value(document.contents, 1) }
  } catch (error) {
    if (error instanceof PlainError) return { problem: { offset: error.offset, message: error.message } }
    return { problem: { offset: document.range[0], message: 'cannot be read' } }
  }
}

/** Thrown inside this file only. */
class PlainError extends Error {
  readonly offset: number

  constructor(offset: number, message: string) {
    super(message)
    this.offset = offset
  }
}

class Conversion {
  readonly #maxDepth: number
  readonly #anchors = new Map<string, unknown>()
  #aliases = 0
  #aliasedNodes = 0
  #insideAlias = 0
  #at = 0

  constructor(maxDepth: number) {
    this.#maxDepth = maxDepth
  }

  value(node: unknown, depth: number): unknown {
    this.#at = offsetOf(node) ?? this.#at
    if (depth > this.#maxDepth) throw new PlainError(this.#at, `nested deeper than ${this.#maxDepth} levels`)
    if (this.#insideAlias > 0 && ++this.#aliasedNodes > MAX_ALIASED_NODES) {
      throw new PlainError(this.#at, 'aliases stand for too much; write the text out')
    }
    if (isAlias(node)) return this.#alias(node, (target) => this.value(target, depth))
    this.#remember(node)
    if (isScalar(node)) return this.#scalar(node)
    if (isMap(node)) return this.#map(node, depth)
    if (isSeq(node)) return this.#list(node, depth)
    return null
  }

  // An alias means the last node of that name before it (YAML 1.1 section 3.2.2.2), so names are kept in reading order.
  #remember(node: unknown): void {
    if ((isScalar(node) || isMap(node) || isSeq(node)) && node.anchor !== undefined && this.#insideAlias === 0) {
      this.#anchors.set(node.anchor, node)
    }
  }

  #alias<Result>(alias: Alias, use: (target: unknown) => Result): Result {
    const at = this.#at
    if (++this.#aliases > MAX_ALIASES) throw new PlainError(at, `more than ${MAX_ALIASES} aliases; write the text out`)
    const target = this.#anchors.get(alias.source)
    if (target === undefined)
      throw new PlainError(at, 'the alias has no anchor before it (text that begins with * must be in quotes)')
    this.#insideAlias++
    const result = use(target)
    this.#insideAlias--
    return result
  }

  #scalar(node: Scalar): unknown {
    const value = node.value
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw new PlainError(this.#at, 'a number must be finite; put text in quotes')
    }
    if (typeof value === 'symbol') return '<<'
    if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
      return value
    }
    throw new PlainError(this.#at, 'a value of this type cannot be used here')
  }

  #list(node: YAMLSeq, depth: number): unknown {
    return Object.freeze(node.items.map((item) => this.value(item, depth + 1)))
  }

  #map(node: YAMLMap, depth: number): unknown {
    const result: Record<string, unknown> = {}
    const seen = new Set<string>()
    const merges: unknown[] = []
    for (const pair of node.items) {
      this.#at = offsetOf(pair.key) ?? this.#at
      if (isScalar(pair.key) && typeof pair.key.value === 'symbol') {
        merges.push(pair.value)
        continue
      }
      const key = this.#key(pair.key)
      if (seen.has(key)) throw new PlainError(this.#at, `the key "${shorten(key)}" stands twice`)
      seen.add(key)
      setField(result, key, this.value(pair.value, depth + 1))
    }
    for (const merge of merges) this.#merge(result, merge, depth)
    return Object.freeze(result)
  }

  // Fields of the map itself win over merged ones, earlier merged ones over later ones.
  #merge(result: Record<string, unknown>, source: unknown, depth: number): void {
    if (isSeq(source)) {
      for (const item of source.items) this.#merge(result, item, depth + 1)
      return
    }
    const value = this.value(source, depth)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new PlainError(this.#at, 'a merge key << takes a map or a list of maps')
    }
    for (const [key, field] of Object.entries(value)) if (!Object.hasOwn(result, key)) setField(result, key, field)
  }

  #key(node: unknown): string {
    if (isAlias(node)) return this.#alias(node, (target) => this.#key(target))
    this.#remember(node)
    const value = isScalar(node) ? node.value : undefined
    if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number') return String(value)
    throw new PlainError(this.#at, 'a key must be text')
  }
}

// A key named __proto__ must become a field, never a prototype.
function setField(record: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(record, key, { value, enumerable: true, configurable: true, writable: true })
  else record[key] = value
}

function offsetOf(node: unknown): number | undefined {
  const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : undefined
}

function shorten(text: string): string {
  return text.length > 64 ? `${text.slice(0, 61)}...` : text
}

// From text to plain documents, as `kubectl` reads it: YAML 1.1 words and numbers, bounded depth, bounded aliases.
// No file system, no judgement of objects. file-source calls it for every changed file, locate-field for one document.
import {
  Composer,
  Lexer,
  Parser,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Document,
  type ParsedNode,
  type ScalarTag,
  type CollectionTag,
  type CST,
  type Tags,
} from 'yaml'
import type { FieldPath } from '../../../model/issue.ts'
import { type TextProblem, toPlain } from './yaml-plain.ts'
import { yamlWords } from './yaml-words.ts'

/** One document of a file. */
export interface YamlDocument {
  /** Plain, deeply frozen data; null for an empty document, undefined where `problem` is set. */
  readonly value: unknown
  readonly problem?: TextProblem
  /** Offset of the first character after the document's separator line. */
  readonly start: number
  /** Offset after the document. */
  readonly end: number
  /** Offset of a field, of its nearest parent where it does not exist. */
  offsetOf(path: FieldPath): number
}

/** Levels of nesting in a document (threats.md G-6: 32 for configuration). */
const MAX_DEPTH = 32

// What the Go reader behind kubectl does not know: sexagesimal numbers, times, sets and binary stay text.
const UNKNOWN_TO_KUBECTL: ReadonlySet<string> = new Set(['TIME', 'timestamp', 'binary', 'omap', 'pairs', 'set'])

function tagsOfKubectl(tags: Tags): Tags {
  return tags.filter((tag: string | ScalarTag | CollectionTag) => {
    if (typeof tag === 'string') return !UNKNOWN_TO_KUBECTL.has(tag)
    const word = tag.tag.slice(tag.tag.lastIndexOf(':') + 1)
    return !UNKNOWN_TO_KUBECTL.has(word) && !UNKNOWN_TO_KUBECTL.has(tag.format ?? '')
  })
}

// Control characters that YAML forbids (YAML 1.2 section 5.1); a disk that ran full leaves zero bytes behind.
const FORBIDDEN = /[\0-\b\v\f\x0e-\x1f\x7f\ufffe\uffff]/

// About a millisecond of reading: small enough that whoever reads can give way in time.
const LEXEMES_PER_PAUSE = 2_000

/**
 * The documents of a text, one by one; `undefined` now and then, where the caller may give way to others. Never throws
 * for what the text says. After a problem that ends the reading (nesting, forbidden characters) nothing follows.
 */
export function* readDocuments(text: string): Generator<YamlDocument | undefined, void> {
  const forbidden = FORBIDDEN.exec(text)
  if (forbidden !== null) {
    const code = forbidden[0].charCodeAt(0).toString(16).padStart(2, '0')
    yield broken(text, { offset: forbidden.index, message: `the character U+00${code} is not allowed in YAML` })
    return
  }
  const composer = new Composer({
    version: '1.1',
    customTags: tagsOfKubectl,
    // Quadratic in the library; toPlain finds duplicates with a set.
    uniqueKeys: false,
    prettyErrors: false,
    keepSourceTokens: false,
    logLevel: 'silent',
  })
  const reader = new Reader(text)
  try {
    for (const token of tokens(text, reader)) {
      if (token === undefined) {
        yield undefined
        continue
      }
      reader.see(token)
      for (const document of composer.next(token)) yield reader.document(document)
    }
    for (const document of composer.end(true, text.length)) yield reader.document(document)
  } catch (error) {
    yield broken(text, { offset: reader.at, message: error instanceof TextError ? error.message : 'cannot be read' })
  }
}

/** Thrown inside this file only. */
class TextError extends Error {}

function* tokens(text: string, reader: Reader): Generator<CST.Token | undefined, void> {
  const parser = new Parser()
  let lexemes = 0
  for (const lexeme of new Lexer().lex(text)) {
    if (++lexemes % LEXEMES_PER_PAUSE === 0) yield undefined
    yield* parser.next(lexeme)
    // The document, the value being read and a key take up to four places beside the levels themselves.
    if (parser.stack.length > MAX_DEPTH + 4) {
      reader.at = parser.offset
      throw new TextError(`nested deeper than ${MAX_DEPTH} levels`)
    }
  }
  yield* parser.end()
}

/** Remembers where the reading stands between two documents. */
class Reader {
  at = 0
  #start = 0
  #directive: TextProblem | undefined
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  see(token: CST.Token): void {
    if (token.type === 'directive' && /^%YAML/.test(token.source) && !/^%YAML\s+1\.1\b/.test(token.source)) {
      this.#directive = { offset: token.offset, message: 'only YAML 1.1 is read here, as kubectl does' }
    }
  }

  document(document: Document.Parsed): YamlDocument {
    const start = this.#start
    const end = document.range[2]
    this.#start = end
    this.at = end
    const root: ParsedNode | null = document.contents
    const offsetOf = (path: FieldPath) => offsetOfNode(root, path, this.#firstWord(start))
    const fault = document.errors[0] ?? document.warnings[0]
    const problem =
      this.#directive ??
      (fault === undefined ? undefined : { offset: fault.pos[0], message: yamlWords(fault.code, fault.message) })
    this.#directive = undefined
    if (problem !== undefined) return { value: undefined, problem, start, end, offsetOf }
    const plain = toPlain(document, MAX_DEPTH)
    if (plain.problem !== undefined) return { value: undefined, problem: plain.problem, start, end, offsetOf }
    return { value: plain.value, start, end, offsetOf }
  }

  #firstWord(from: number): number {
    const rest = /(?:^|\n)(?!---|#|\s*\n)[^\n]/g
    rest.lastIndex = from
    const match = rest.exec(this.#text)
    return match === null ? from : match.index + (this.#text[match.index] === '\n' ? 1 : 0)
  }
}

function broken(text: string, problem: TextProblem): YamlDocument {
  return { value: undefined, problem, start: 0, end: text.length, offsetOf: () => problem.offset }
}

/** Where a field stands: its key in a map, its item in a list; the nearest parent where it is missing. */
function offsetOfNode(root: ParsedNode | null, path: FieldPath, fallback: number): number {
  let node: unknown = root
  let offset = root === null ? fallback : root.range[0]
  for (const part of path) {
    if (isMap<unknown, unknown>(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part))
      if (pair === undefined) return offset
      offset = startOf(pair.key) ?? offset
      node = pair.value
    } else if (isSeq<unknown>(node) && typeof part === 'number') {
      const item = node.items[part]
      if (item === undefined) return offset
      offset = startOf(item) ?? offset
      node = item
    } else {
      return offset
    }
    if (isAlias(node)) return offset
  }
  return offset
}

function startOf(node: unknown): number | undefined {
  const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : undefined
}

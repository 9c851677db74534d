// Checks a value against a schema and says what is wrong in whole sentences. Pure, never throws, linear in the value.
// decode.ts builds one checker for each kind; a checker is a tree of functions, so nothing of a schema is read per object.
import { type FieldPath, formatPath } from './issue.ts'
import type { CrossFieldRule, SchemaNode } from './schema.ts'
import { nearest, quote, shorten } from './wording.ts'

/** What is wrong with one field. */
export interface FieldProblem {
  /** From the root of the object: `['spec', 'rules', 0, 'name']`. The field, or its parent, exists. */
  readonly path: FieldPath
  /** One sentence that begins with the path: `spec.rules[0].name must be text, not the number 5.` */
  readonly message: string
}

/** Adds what is wrong with `value` to `findings`, whose path stands at the value. */
export type CheckSchema = (value: unknown, findings: Findings) => void

/** A value with more mistakes than this is no near miss: its author corrects the first ones and looks again. */
const MAX_PROBLEMS = 32
const MAX_NAMES_LISTED = 12

/** The problems found so far and the path walked to. */
export class Findings {
  readonly problems: FieldProblem[] = []
  readonly path: (string | number)[] = []

  get full(): boolean {
    return this.problems.length >= MAX_PROBLEMS
  }

  /** `says` follows the path: ` must be text.` Further steps of the path may be given. */
  add(says: string, ...further: readonly (string | number)[]): void {
    if (this.full) return
    const path = [...this.path, ...further]
    const shown = path.map((part) => (typeof part === 'number' ? part : shorten(part)))
    this.problems.push({ path, message: `${formatPath(shown) || 'The object'}${says}` })
  }
}

/** The checker of a schema. `ignored`: fields of the outermost object that are neither refused nor looked at. */
export function schemaChecker(node: SchemaNode, extra: { readonly ignored?: readonly string[] } = {}): CheckSchema {
  const shape = shapeChecker(node, extra.ignored ?? [])
  const { rules, problems } = node
  if (rules === undefined && problems === undefined) return shape
  return (value, findings) => {
    const before = findings.problems.length
    shape(value, findings)
    // Rules see only values of the right shape.
    if (findings.problems.length > before) return
    for (const rule of rules ?? []) {
      if (!obeys(rule, value)) findings.add(`: ${rule.message}.`)
    }
    if (problems === undefined || findings.problems.length > before) return
    for (const problem of (problems as (value: unknown) => readonly { path: string[]; message: string }[])(value)) {
      findings.add(`: ${problem.message}.`, ...problem.path)
    }
  }
}

/** Whether a value of the right shape obeys a rule. */
export function obeys(rule: CrossFieldRule, value: unknown): boolean {
  return (rule.check as (value: unknown) => boolean)(value)
}

/** The value with every null field that `node` lists left out; the value itself where there is none. */
export function withoutNulls(value: unknown, node: SchemaNode): unknown {
  if (node.items !== undefined && Array.isArray(value)) {
    const { items } = node
    const cleaned = value.map((item: unknown) => withoutNulls(item, items))
    return cleaned.every((item, index) => item === value[index]) ? value : cleaned
  }
  if (node.properties === undefined || !isRecord(value)) return value
  let copy: Record<string, unknown> | undefined
  for (const [name, field] of Object.entries(node.properties)) {
    if (!Object.hasOwn(value, name)) continue
    const cleaned = value[name] === null ? undefined : withoutNulls(value[name], field)
    if (cleaned === value[name]) continue
    copy ??= { ...value }
    if (cleaned === undefined) delete copy[name]
    else copy[name] = cleaned
  }
  return copy ?? value
}

function shapeChecker(node: SchemaNode, ignored: readonly string[]): CheckSchema {
  if (node['x-kubernetes-int-or-string'] === true) return integerOrTextChecker(node)
  if (node.enum !== undefined) return wordChecker(node.enum)
  switch (node.type) {
    case 'string':
      return textChecker(node)
    case 'integer':
      return integerChecker(node)
    case 'boolean':
      return (value, findings) => {
        if (typeof value !== 'boolean') findings.add(` must be true or false, not ${describe(value)}.`)
      }
    case 'array':
      return listChecker(node)
    default:
      return node.additionalProperties === undefined
        ? objectChecker(node, ignored)
        : mapChecker(node, node.additionalProperties)
  }
}

function textChecker(node: SchemaNode): CheckSchema {
  const content = contentChecker(node)
  return (value, findings) => {
    if (typeof value === 'string') content(value, findings)
    else findings.add(` must be text, not ${describe(value)}.${typeof value === 'number' ? ' Put it in quotes.' : ''}`)
  }
}

/** Length, pattern and grammar. */
function contentChecker(node: SchemaNode): (value: string, findings: Findings) => void {
  const { minLength = 0, maxLength = 0, grammar } = node
  const pattern = node.pattern === undefined ? undefined : new RegExp(node.pattern)
  const means = node.patternMeans ?? `text of the form ${node.pattern}`
  return (value, findings) => {
    // Kubernetes counts characters, not UTF-16 units, of which a character has one or two.
    if (value.length > maxLength && (value.length > 2 * maxLength || [...value].length > maxLength)) {
      findings.add(` is longer than ${maxLength} characters.`)
    } else if (value.length < minLength) {
      findings.add(minLength === 1 ? ' is empty.' : ` is shorter than ${minLength} characters.`)
    } else if (pattern !== undefined && !pattern.test(value)) {
      findings.add(` must be ${means}; it is ${quote(value)}.`)
    } else {
      const wrong = grammar?.(value)
      if (wrong !== undefined) findings.add(`: ${wrong}.`)
    }
  }
}

function wordChecker(words: readonly string[]): CheckSchema {
  const known = new Set<unknown>(words)
  const listed = words.map((word) => (word === '' ? '"" (empty)' : word)).join(', ')
  return (value, findings) => {
    if (known.has(value)) return
    const guess = typeof value === 'string' ? nearest(value, words) : undefined
    const hint = guess === undefined ? '' : ` Did you mean ${guess}?`
    findings.add(` must be ${words.length > 1 ? 'one of ' : ''}${listed}, not ${describe(value)}.${hint}`)
  }
}

function integerChecker(node: SchemaNode): CheckSchema {
  const { minimum = 0, maximum = 0 } = node
  return (value, findings) => {
    if (typeof value !== 'number') findings.add(` must be a whole number, not ${describe(value)}.`)
    else if (!Number.isInteger(value)) findings.add(` must be a whole number, not ${value}.`)
    else if (value < minimum || value > maximum) {
      findings.add(` must be from ${minimum} to ${maximum}, not ${value}.`)
    }
  }
}

function integerOrTextChecker(node: SchemaNode): CheckSchema {
  const number = integerChecker({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER, ...node })
  const content = contentChecker(node)
  return (value, findings) => {
    if (typeof value === 'number') number(value, findings)
    else if (typeof value === 'string') content(value, findings)
    else findings.add(` must be a whole number or text, not ${describe(value)}.`)
  }
}

function listChecker(node: SchemaNode): CheckSchema {
  const { minItems = 0, maxItems = 0, listType = 'atomic' } = node
  const item = node.items === undefined ? undefined : schemaChecker(node.items)
  const keys = listType === 'set' ? [] : listType === 'atomic' ? undefined : listType.mapBy
  return (value, findings) => {
    if (!Array.isArray(value)) {
      findings.add(` must be a list, not ${describe(value)}.`)
      return
    }
    if (value.length > maxItems) {
      findings.add(` has ${value.length} items; at most ${maxItems} are allowed.`)
      return
    }
    if (value.length < minItems) findings.add(' is empty; it needs at least one item.')
    const before = findings.problems.length
    for (let index = 0; index < value.length && !findings.full; index += 1) {
      findings.path.push(index)
      item?.(value[index], findings)
      findings.path.pop()
    }
    if (keys !== undefined && findings.problems.length === before) findDuplicates(value, keys, findings)
  }
}

/** `keys` empty: the items themselves are the keys. The items have the right shape. */
function findDuplicates(items: readonly unknown[], keys: readonly string[], findings: Findings): void {
  const seen = new Map<string, number>()
  for (let index = 0; index < items.length; index += 1) {
    const item = items[index]
    const parts = keys.length === 0 ? [item] : keys.map((key) => (isRecord(item) ? item[key] : undefined))
    const key = JSON.stringify(parts)
    const first = seen.get(key)
    if (first === undefined) seen.set(key, index)
    else {
      const name = keys.length === 0 ? describe(item) : `${keys.join(', ')} ${parts.map(describe).join(', ')}`
      findings.add(` repeats ${name} of item ${first}; each may stand there once.`, index)
    }
  }
}

function mapChecker(node: SchemaNode, values: SchemaNode): CheckSchema {
  const { maxProperties = 0 } = node
  const check = schemaChecker(values)
  return (value, findings) => {
    if (!isRecord(value)) {
      findings.add(` must be an object, not ${describe(value)}.`)
      return
    }
    const names = Object.keys(value)
    if (names.length > maxProperties) {
      findings.add(` has ${names.length} entries; at most ${maxProperties} are allowed.`)
      return
    }
    for (const name of names) {
      findings.path.push(name)
      check(value[name], findings)
      findings.path.pop()
    }
  }
}

function objectChecker(node: SchemaNode, ignored: readonly string[]): CheckSchema {
  const names = Object.keys(node.properties ?? {})
  // A Map, because a field may be called __proto__ or constructor.
  const fields = new Map(Object.entries(node.properties ?? {}).map(([name, field]) => [name, schemaChecker(field)]))
  const required = node.required ?? []
  const skipped = new Set(ignored)
  const open = node['x-kubernetes-preserve-unknown-fields'] === true
  return (value, findings) => {
    if (!isRecord(value)) {
      findings.add(` must be an object, not ${describe(value)}.`)
      return
    }
    for (const name of required) {
      if (!Object.hasOwn(value, name)) findings.add(' is missing.', name)
    }
    for (const name of Object.keys(value)) {
      const field = fields.get(name)
      if (field !== undefined) {
        findings.path.push(name)
        const given = value[name]
        if (given === null || given === undefined) findings.add(' has no value; give it one or leave the field out.')
        else field(given, findings)
        findings.path.pop()
      } else if (!open && !skipped.has(name)) {
        findings.add(` is unknown${hintFor(name, names)}`, name)
        if (findings.full) return
      }
    }
  }
}

function hintFor(name: string, names: readonly string[]): string {
  const guess = nearest(name, names)
  if (guess !== undefined) return `; did you mean ${guess}?`
  if (names.length === 0) return '; nothing is allowed here.'
  const listed = names.slice(0, MAX_NAMES_LISTED).join(', ')
  return `; known here: ${listed}${names.length > MAX_NAMES_LISTED ? ', …' : ''}.`
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (typeof value === 'string') return value === '' ? 'the empty text' : quote(value)
  if (typeof value === 'number') return `the number ${value}`
  if (typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? 'a list' : 'an object'
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

// The CRDs obey the rules of structural schemas, are bounded everywhere, small, and cheap for the API server's CEL.
import { RE2JS } from 're2js'
import { describe, expect, test } from 'vitest'
import { POLICIES } from '../policies/index.ts'
import { customResourceDefinition } from './crd.ts'
import { customKinds } from './custom-kinds.ts'
import { schemaChecker, Findings } from './check-value.ts'
import { schemaNode } from './schema.ts'

type Node = Readonly<Record<string, unknown>>
const MAX_BYTES = 150_000
const KNOWN = new Set([
  'description',
  'type',
  'format',
  'enum',
  'pattern',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'maxProperties',
  'items',
  'properties',
  'required',
  'additionalProperties',
  'anyOf',
  'default',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-validations',
])

interface Place {
  readonly path: string
  readonly node: Node
  /** How often the node may stand in one object: the product of the bounds of the lists and maps above it. */
  readonly times: number
  readonly inList: boolean
}

function asNode(value: unknown): Node {
  if (typeof value !== 'object' || value === null) throw new Error('no schema node')
  return value as Node
}

function walk(place: Place, visit: (place: Place) => void): void {
  visit(place)
  const { node, path, times, inList } = place
  for (const [name, field] of Object.entries(asNode(node['properties'] ?? {}))) {
    walk({ path: `${path}.${name}`, node: asNode(field), times, inList }, visit)
  }
  if (node['items'] !== undefined) {
    walk(
      { path: `${path}[]`, node: asNode(node['items']), times: times * Number(node['maxItems']), inList: true },
      visit,
    )
  }
  if (node['additionalProperties'] !== undefined) {
    const entries = times * Number(node['maxProperties'])
    walk({ path: `${path}{}`, node: asNode(node['additionalProperties']), times: entries, inList }, visit)
  }
}

/** What is wrong with a node by the rules of structural schemas and our own bounds. */
function faults({ node, path, inList }: Place): readonly string[] {
  const found: string[] = []
  const isTop = !path.includes('.')
  const isMeta = /^\w+\.(apiVersion|kind|metadata)$/.test(path)
  for (const key of Object.keys(node)) if (!KNOWN.has(key)) found.push(`${key} is not allowed`)
  if (typeof node['description'] !== 'string' && !isMeta) found.push('no description')
  const intOrString = node['x-kubernetes-int-or-string'] === true
  if (intOrString) {
    if (node['type'] !== undefined) found.push('type beside int-or-string')
    expect(node['anyOf']).toEqual([{ type: 'integer' }, { type: 'string' }])
  } else {
    if (typeof node['type'] !== 'string') found.push('no type')
    if (node['anyOf'] !== undefined) found.push('anyOf')
  }
  if (node['default'] !== undefined && (inList || !path.endsWith('.status'))) found.push('default')
  if (node['x-kubernetes-preserve-unknown-fields'] === true && !/^\w+\.status$/.test(path)) found.push('takes anything')
  if (node['properties'] !== undefined && node['additionalProperties'] !== undefined) {
    found.push('properties beside additionalProperties')
  }
  for (const name of (node['required'] ?? []) as readonly string[]) {
    if (!Object.hasOwn(asNode(node['properties'] ?? {}), name)) found.push(`requires ${name}, which it does not have`)
  }
  if (!isTop && !isMeta) found.push(...boundFaults(node, intOrString))
  if (node['type'] === 'array') found.push(...listFaults(node))
  return found
}

function boundFaults(node: Node, intOrString: boolean): readonly string[] {
  const missing: string[] = []
  const need = (key: string) => {
    if (typeof node[key] !== 'number') missing.push(`no ${key}`)
  }
  if (intOrString || (node['type'] === 'string' && node['enum'] === undefined)) need('maxLength')
  if (intOrString || node['type'] === 'integer') ['minimum', 'maximum'].forEach(need)
  if (node['type'] === 'array') need('maxItems')
  if (node['additionalProperties'] !== undefined) need('maxProperties')
  return missing
}

function listFaults(node: Node): readonly string[] {
  const found: string[] = []
  const items = asNode(node['items'])
  const listType = node['x-kubernetes-list-type']
  const keys = (node['x-kubernetes-list-map-keys'] ?? []) as readonly string[]
  if (listType === 'set' && items['type'] !== 'string') found.push('a set of other than text')
  if ((listType === 'map') !== keys.length > 0) found.push('map keys and list type disagree')
  for (const key of keys) {
    if (!((items['required'] ?? []) as readonly string[]).includes(key)) found.push(`map key ${key} is not required`)
  }
  return found
}

const kinds = customKinds(POLICIES)

describe.each(kinds.map((kind) => [kind.kind, kind] as const))('%s', (name, kind) => {
  const crd = JSON.parse(JSON.stringify(customResourceDefinition(kind))) as {
    spec: { versions: { schema: { openAPIV3Schema: Node }; additionalPrinterColumns: Node[] }[] }
  }
  const [version] = crd.spec.versions
  const root = asNode(version?.schema.openAPIV3Schema)
  const places: Place[] = []
  walk({ path: name, node: root, times: 1, inList: false }, (place) => places.push(place))

  test('is structural and bounded', () => {
    expect(places.length).toBeGreaterThan(20)
    expect(places.flatMap((place) => faults(place).map((fault) => `${place.path}: ${fault}`))).toEqual([])
  })

  test('the API server, which has RE2, takes every pattern', () => {
    for (const { node } of places) {
      if (typeof node['pattern'] === 'string') expect(() => RE2JS.compile(String(node['pattern']))).not.toThrow()
    }
  })

  test('is small enough for client-side apply', () => {
    expect(JSON.stringify(crd, null, 2).length).toBeLessThan(MAX_BYTES)
  })

  test('every rule stays far below the cost that the API server allows', () => {
    let total = 0
    for (const { node, path, times } of places) {
      for (const { rule } of (node['x-kubernetes-validations'] ?? []) as { rule: string }[]) {
        const cost = Math.round(times * roughCost(rule, node))
        expect(cost, `${path}: ${rule}`).toBeLessThan(10_000_000)
        total += cost
      }
    }
    expect(total).toBeLessThan(100_000_000)
  })

  // Opaque to the API server, so these are ours to keep to.
  const declared = new Set(places.map((place) => place.path))
  const status = JSON.parse(JSON.stringify(schemaNode(kind.status))) as Node
  walk({ path: `${name}.status`, node: status, times: 1, inList: false }, ({ path }) => declared.add(path))

  test('the status is as the controller wrote it, whole', () => {
    expect(root).toHaveProperty(['properties', 'status', 'x-kubernetes-preserve-unknown-fields'], true)
    expect(root).not.toHaveProperty(['properties', 'status', 'properties'])
    expect(String(Object(root['properties'])['status'].description)).toContain('conditions (type, status, reason')
  })

  test('columns read fields that exist', () => {
    for (const { jsonPath } of version?.additionalPrinterColumns ?? []) {
      const path = String(jsonPath).replace(/\[\?.*?\]/g, '[]')
      if (path.startsWith('.metadata')) continue
      expect(declared).toContain(`${name}${path}`)
    }
  })

  test('the status that the API server fills in is a right one', () => {
    const status = schemaNode(kind.status)
    const findings = new Findings()
    schemaChecker(status)(status.default, findings)
    expect(findings.problems).toEqual([])
    expect(status.default).toMatchObject({ observedGeneration: -1, conditions: [{ type: 'Ready', reason: 'Pending' }] })
  })
})

/**
 * Not the API server's estimate, but the same growth: a step per operator, a pass over the longest text for each call
 * that reads one, and all of that for each item and level of the macros that loop.
 */
function roughCost(rule: string, node: Node): number {
  const longest = longestText(node)
  const patterns = (rule.match(/\.matches\(/g) ?? []).length
  const calls = (rule.match(/\b(startsWith|lowerAscii|duration)\(/g) ?? []).length
  const plain = 2 * (rule.match(/[=!<>&|?]+|has\(|\bin\b/g) ?? []).length + 2
  const once = plain + (calls + 20 * patterns) * longest * 0.1
  return once * longestList(node) ** loopDepth(rule)
}

/** How deep the macros of a rule stand in one another. */
function loopDepth(rule: string): number {
  const open: boolean[] = []
  let depth = 0
  for (const [token] of rule.matchAll(/\.(?:all|exists|exists_one|filter|map)\(|[()]/g)) {
    if (token === ')') open.pop()
    else open.push(token.startsWith('.'))
    depth = Math.max(depth, open.filter(Boolean).length)
  }
  return depth
}

function longestText(node: Node): number {
  let longest = Number(node['maxLength'] ?? 0)
  walk({ path: 'x', node, times: 1, inList: false }, (place) => {
    longest = Math.max(longest, Number(place.node['maxLength'] ?? 0))
  })
  return longest
}

/** Of the lists that a rule at this node can loop over: its own and those of its fields. */
function longestList(node: Node): number {
  const fields = Object.values(asNode(node['properties'] ?? {}))
  return Math.max(1, ...[node, ...fields].map((each) => Number(asNode(each)['maxItems'] ?? 1)))
}

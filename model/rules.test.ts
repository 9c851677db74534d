// Every rule over several fields: its examples, fed to the TypeScript check. The same examples go to a real API server
// with the CEL text, in test/chart/rules.test.ts.
import { describe, expect, test } from 'vitest'
import { POLICIES } from '../policies/index.ts'
import { Findings, obeys, schemaChecker } from './check-value.ts'
import { customKinds } from './custom-kinds.ts'
import { type SchemaNode, schemaNode } from './schema.ts'

function withRules(node: SchemaNode, where: string): readonly (readonly [string, SchemaNode])[] {
  return [
    ...(node.rules === undefined ? [] : [[where, node] as const]),
    ...Object.entries(node.properties ?? {}).flatMap(([name, field]) => withRules(field, `${where}.${name}`)),
    ...(node.items === undefined ? [] : withRules(node.items, `${where}[]`)),
    ...(node.additionalProperties === undefined ? [] : withRules(node.additionalProperties, `${where}{}`)),
  ]
}

const found = customKinds(POLICIES).flatMap((kind) => withRules(schemaNode(kind.spec), kind.kind))

describe('rules', () => {
  test('are found, those of policies too', () => {
    expect(found.length).toBeGreaterThan(20)
    expect(found.map(([where]) => where)).toContain('Policy.rateLimits[].key')
  })

  test.each(found)('%s: good examples pass, bad ones are refused by this rule alone', (_, node) => {
    const { rules = [], ...shape } = node
    for (const rule of rules) {
      for (const example of rule.examples.good) {
        const findings = new Findings()
        schemaChecker(node)(example, findings)
        expect(findings.problems).toEqual([])
      }
      for (const example of rule.examples.bad) {
        const findings = new Findings()
        schemaChecker(shape)(example, findings)
        expect(findings.problems).toEqual([])
        expect(obeys(rule, example)).toBe(false)
      }
    }
  })

  test('have words for people and text for the API server', () => {
    for (const [, { rules = [] }] of found) {
      for (const rule of rules) {
        expect(rule.message).not.toBe('')
        expect(rule.message.length).toBeLessThan(300)
        expect(rule.cel).toContain('self')
        // Kubernetes allows no line breaks in a message.
        expect(rule.message).not.toContain('\n')
      }
    }
  })
})

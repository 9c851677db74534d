// Two pieces of plain data say the same exactly where they are written alike.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalText } from './canonical.ts'
import { samePlain } from './same-plain.ts'

test('samePlain agrees with the canonical text', () => {
  const value = fc.jsonValue({ maxDepth: 3 })
  fc.assert(
    fc.property(value, value, (a, b) => {
      expect(samePlain(a, b)).toBe(canonicalText(a) === canonicalText(b))
      expect(samePlain(a, structuredClone(a))).toBe(true)
    }),
  )
  for (const [a, b] of [
    [JSON.parse('{"__proto__":{}}'), {}],
    [{ toString: undefined }, {}],
    [[], {}],
    [{ a: undefined }, {}],
    [
      [1, [2]],
      [1, [2]],
    ],
  ]) {
    expect(samePlain(a, b)).toBe(canonicalText(a) === canonicalText(b))
    expect(samePlain(b, a)).toBe(canonicalText(a) === canonicalText(b))
  }
})

// Shares by weight: exact over a cycle from any start, even inside it, never a value of weight 0.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WeightedChoice } from './weighted-choice.ts'

const count = (choice: WeightedChoice<number>, turns: number, values: number): number[] => {
  const hits = Array.from({ length: values }, () => 0)
  for (let turn = 0; turn < turns; turn += 1) {
    const value = choice.next()
    if (value !== undefined) hits[value] = (hits[value] ?? 0) + 1
  }
  return hits
}

const entries = (weights: readonly number[]) => weights.map((weight, value) => ({ weight, value }))

describe('WeightedChoice', () => {
  it('is exact over every run as long as the sum of the weights', () => {
    const weights = fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(
        weights,
        fc.nat(200),
        fc.infiniteStream(fc.double({ min: 0, max: 0.9999, noNaN: true })),
        (list, skip, starts) => {
          const choice = new WeightedChoice(entries(list), () => starts.next().value ?? 0)
          for (let turn = 0; turn < skip; turn += 1) choice.next()
          const sum = list.reduce((total, weight) => total + weight, 0)
          expect(count(choice, sum, list.length)).toEqual(list)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('is even inside a cycle', () => {
    const choice = new WeightedChoice(entries([3, 1]), () => 0)
    const turns = Array.from({ length: 8 }, () => choice.next())
    expect(turns.join('')).toMatch(/^(0*10{3}10*)$/)
  })

  it('gives 99 to 1 over 10,000 requests, a canary at 0 nothing, and nobody anything without weights', () => {
    expect(count(new WeightedChoice(entries([99, 1])), 10_000, 2)).toEqual([9900, 100])
    expect(count(new WeightedChoice(entries([1, 0])), 1000, 2)).toEqual([1000, 0])
    expect(count(new WeightedChoice(entries([0, 0])), 10, 2)).toEqual([0, 0])
  })

  it('gives a small weight its share even where every request makes a new choice', () => {
    let seed = 1
    const random = () => {
      seed = (seed * 16_807) % 2_147_483_647
      return seed / 2_147_483_647
    }
    let canary = 0
    for (let edit = 0; edit < 20_000; edit += 1)
      if (new WeightedChoice(entries([99, 1]), random).next() === 1) canary += 1
    expect(canary).toBeGreaterThan(140)
    expect(canary).toBeLessThan(260)
  })
})

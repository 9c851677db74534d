import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRule, step, toTicks, usage } from './gcra.ts'

describe('gcra', () => {
  it('admits a burst exactly, whatever the rate and the uptime', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.constantFrom(1, 60, 3600, 86_400),
        fc.integer({ min: 1, max: 3_000 }),
        // Up to ten years of uptime.
        fc.double({ min: 0, max: 3.15e11, noNaN: true }),
        (count, seconds, burst, uptime) => {
          const rule = createRule({ count, seconds, burst })
          const now = toTicks(uptime)
          let arrival = 0n
          for (let taken = 0; taken < burst; taken++) {
            const result = step(rule, arrival, now)
            expect(result.allowed).toBe(true)
            expect(result.remaining).toBe(burst - taken - 1)
            arrival = result.next
          }
          expect(step(rule, arrival, now).allowed).toBe(false)
          expect(usage(rule, arrival, now)).toBe(1)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('admits the rate within 1 % over ten seconds, up to 10,000,000 in a second', () => {
    for (const count of [1, 3, 7, 333, 10_007, 999_983, 10_000_000]) {
      const rule = createRule({ count, seconds: 1, burst: 1 })
      const perTenSeconds = (10 * 4_000_000_000) / rule.interval
      expect(Math.abs(perTenSeconds / (count * 10) - 1)).toBeLessThan(0.01)
    }
  })

  it('lets one in exactly when it said, and never before', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100_000 }),
        fc.constantFrom(1, 60, 3600),
        fc.integer({ min: 1, max: 50 }),
        (count, seconds, burst) => {
          const rule = createRule({ count, seconds, burst })
          const now = toTicks(1_000_000)
          let arrival = 0n
          for (let taken = 0; taken < burst; taken++) arrival = step(rule, arrival, now).next
          const { retryAfter } = step(rule, arrival, now)
          const ticks = BigInt(Math.round(retryAfter * 4_000_000_000))
          expect(step(rule, arrival, now + ticks).allowed).toBe(true)
          expect(step(rule, arrival, now + ticks - 1n).allowed).toBe(false)
        },
      ),
    )
  })

  it('survives rates and bursts beyond any sense', () => {
    for (const rate of [
      { count: 9_999_999_999, seconds: 1, burst: 10_000_000 },
      { count: 1, seconds: 86_400, burst: 10_000_000 },
      { count: 1, seconds: 1, burst: 0 },
    ]) {
      const rule = createRule(rate)
      const result = step(rule, 0n, toTicks(3.15e11))
      expect(result.allowed).toBe(true)
      expect(result.next).toBeLessThan(2n ** 63n)
      expect(result.remaining).toBeGreaterThanOrEqual(0)
    }
  })

  it('takes an arrival time that another rate left for an empty bucket, not for a debt of days', () => {
    const now = toTicks(5_000)
    const left = step(createRule({ count: 1, seconds: 86_400, burst: 1 }), 0n, now).next
    const rule = createRule({ count: 100, seconds: 1, burst: 10 })
    expect(step(rule, left, now)).toMatchObject({ allowed: false })
    expect(step(rule, left, now).retryAfter).toBeCloseTo(0.01, 9)
  })
})

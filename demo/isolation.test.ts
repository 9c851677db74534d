import { describe, expect, it } from 'vitest'
import { Histogram, merged } from './histogram.ts'
import { isolationText, judge, LEAST_SAMPLES, type Seen } from './isolation.ts'

function seen(milliseconds: number, samples: number, mishaps: { failed?: number; limited?: number } = {}): Seen {
  const histogram = new Histogram()
  for (let turn = 0; turn < samples; turn += 1) histogram.record(milliseconds)
  return { buckets: [histogram.buckets()], failed: mishaps.failed ?? 0, limited: mishaps.limited ?? 0 }
}

const judgeOne = (alone: Seen, noisy: Seen) => judge(new Map([['acme', alone]]), new Map([['acme', noisy]]))

describe('histogram', () => {
  it('finds a percentile within its bucket of 2 %, also after a merge', () => {
    const one = new Histogram()
    const other = new Histogram()
    for (let value = 1; value <= 1000; value += 1) (value % 2 === 0 ? one : other).record(value)
    const whole = merged([one.buckets(), other.buckets()])
    expect(whole.total).toBe(1000)
    for (const share of [0.5, 0.9, 0.99, 1]) {
      expect(whole.percentile(share)).toBeGreaterThanOrEqual(1000 * share)
      expect(whole.percentile(share)).toBeLessThanOrEqual(1000 * share * 1.021)
    }
  })

  it('has no percentile without samples', () => {
    expect(new Histogram().percentile(0.99)).toBeUndefined()
  })
})

describe('isolation', () => {
  it('holds within 1.5x', () => {
    const { verdict, worst } = judgeOne(seen(10, LEAST_SAMPLES), seen(14, LEAST_SAMPLES))
    expect(verdict).toBe('held')
    expect(worst?.ratio).toBeCloseTo(1.4, 1)
  })

  it('holds within two milliseconds, however large the ratio', () => {
    expect(judgeOne(seen(0.5, LEAST_SAMPLES), seen(2.4, LEAST_SAMPLES)).verdict).toBe('held')
  })

  it('is broken beyond both', () => {
    expect(judgeOne(seen(2, LEAST_SAMPLES), seen(4.5, LEAST_SAMPLES)).verdict).toBe('broken')
    expect(judgeOne(seen(10, LEAST_SAMPLES), seen(15.5, LEAST_SAMPLES)).verdict).toBe('broken')
  })

  it('is broken by one error of a victim, refused ones included', () => {
    expect(judgeOne(seen(1, LEAST_SAMPLES), seen(1, LEAST_SAMPLES, { failed: 1 })).verdict).toBe('broken')
    expect(judgeOne(seen(1, LEAST_SAMPLES), seen(1, LEAST_SAMPLES, { limited: 1 })).verdict).toBe('broken')
  })

  it('shows no ratio from few samples and does not call that a pass', () => {
    const isolation = judgeOne(seen(1, LEAST_SAMPLES - 1), seen(9, 5000))
    expect(isolation.verdict).toBe('undecided')
    expect(isolation.worst).toBeUndefined()
    expect(isolationText(isolation)).toContain('no ratio yet: 999 samples without the noise, 5000 with it')
  })

  it('says that it cannot tell where the clients themselves were late, and counts errors all the same', () => {
    const late = new Histogram()
    for (let turn = 0; turn < 1000; turn += 1) late.record(turn < 980 ? 0.3 : 9)
    const slower = (mishaps: { failed?: number } = {}) =>
      judge(new Map([['acme', seen(2, LEAST_SAMPLES)]]), new Map([['acme', seen(12, LEAST_SAMPLES, mishaps)]]), [
        late.buckets(),
      ])
    expect(slower().verdict).toBe('undecided')
    expect(isolationText(slower())).toMatch(/the clients themselves were 9\.\d ms late/)
    expect(slower({ failed: 1 }).verdict).toBe('broken')
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RE2Set } from 're2js'
import type { FieldProblem } from '../../model/decode.ts'
import { PatternJudge, writtenOut } from './judge-pattern.ts'

function problemsOf(...patterns: readonly string[]): readonly string[] {
  const problems: FieldProblem[] = []
  const judge = new PatternJudge(problems)
  for (const pattern of patterns) judge.judge(pattern, ['value'])
  return problems.map(({ message }) => message)
}

describe('a pattern written out', () => {
  it.each([
    ['', 0],
    ['/v[0-9]+', 3],
    ['a{3}b', 4],
    ['(ab){10}', 20],
    ['((a{30}){30}){30}', 27_000],
    ['(?:ab){3}(?P<name>c){2}(?i)d', 9],
    ['\\pL{300}\\p{Greek}{2}\\x{10FFFF}{3}', 305],
    ['[^]a]{4}[[:alpha:]\\]]{2}', 6],
    ['a{2,}b{2,5}c{,3}{', 2 + 5 + 6],
    ['(a|b)*{', 3],
    ['((((', 0],
    ['a)))', 1],
  ])('%s is %i', (pattern, steps) => {
    expect(writtenOut(pattern)).toBe(steps)
  })

  it('never fails, and foresees what would take the engine long', () => {
    const part = fc.constantFrom(
      'a',
      '\\pL',
      '[a-z]',
      '.',
      '(',
      ')',
      '|',
      '*',
      '{9}',
      '{99}',
      '{2,}',
      '\\',
      '[',
      ']',
      '{',
      '(?:',
      '^',
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 30 }), (parts) => {
        const pattern = parts.join('')
        const foreseen = writtenOut(pattern)
        if (foreseen > 4_000) return
        try {
          const engine = new RE2Set(RE2Set.ANCHOR_BOTH, 0, 65_536)
          engine.add(pattern)
          engine.compile()
          // Every repetition and alternative adds a step beside what it repeats.
          expect(engine.prog.numInst()).toBeLessThanOrEqual(foreseen * 4 + parts.length * 200 + 20)
        } catch (error) {
          if (error instanceof Error && error.name === 'AssertionError') throw error
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('the judge', () => {
  it('refuses what is too large without asking the engine, which would take minutes for these', () => {
    for (let count = 0; count < 1_000; count += 1) {
      expect(problemsOf('\\pL{300}'.repeat(100))[0]).toContain('too large')
    }
  })

  it('bounds all patterns of a Route together', () => {
    expect(problemsOf(...Array.from({ length: 20 }, () => 'a{900}'))).toEqual([])
    const [problem, ...more] = problemsOf(...Array.from({ length: 200 }, () => 'a{900}'))
    expect(problem).toContain('too large together')
    expect(more).toEqual([])
    expect(problemsOf(...Array.from({ length: 900 }, () => 'a'))).toEqual([])
    expect(problemsOf(...Array.from({ length: 1_100 }, () => 'a'))).toHaveLength(1)
  })

  it('says what else is wrong', () => {
    expect(problemsOf('(?=a)', 'a{1001}', '(a', 'b')).toHaveLength(3)
  })
})

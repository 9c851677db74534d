// Whether a pattern of a Route may be used: RE2, and small enough that neither compiling nor asking it costs others their
// time. Pure. prepare-route makes one judge for each Route; the dataplane compiles what passes here with the same engine.
import { RE2Set } from 're2js'
import type { FieldProblem } from '../../model/decode.ts'
import type { FieldPath } from '../../model/issue.ts'
import { fieldProblem } from './field-problem.ts'

/**
 * Steps of one pattern. The dataplane asks it only while steps times length of the text stay within bounds
 * (build/patterns): a larger one could not even be asked of 300 characters.
 */
const LARGEST_PATTERN = 1_000

/** Steps written out that the engine is tried with; it joins some of them, `a|b` to one. */
const LARGEST_WRITTEN_OUT = 4_000

/** Steps of all patterns of a Route: some tenths of a second to compile, at the worst. */
const LARGEST_ROUTE = 20_000

/** What a pattern counts at least. */
const LEAST_STEPS = 20

/** Bytes; the same bound that the dataplane builds patterns with, so that it never refuses what was accepted here. */
const PATTERN_MEMORY = 65_536

/** Judges the patterns of one Route. */
export class PatternJudge {
  readonly #problems: FieldProblem[]
  #steps = 0

  constructor(problems: FieldProblem[]) {
    this.#problems = problems
  }

  /** Compiles the pattern, and says what is wrong with it. */
  judge(pattern: string, path: FieldPath): void {
    const tooLarge = 'is a pattern that is too large; use fewer or smaller repetitions.'
    // Before the engine sees it: 800 characters can stand for 30,000 steps, which take it seconds.
    if (writtenOut(pattern) > LARGEST_WRITTEN_OUT) {
      this.#problems.push(fieldProblem(path, tooLarge))
      return
    }
    if (this.#steps > LARGEST_ROUTE) return
    try {
      const engine = new RE2Set(RE2Set.ANCHOR_BOTH, 0, PATTERN_MEMORY)
      engine.add(pattern)
      engine.compile()
      const steps = engine.prog.numInst()
      this.#steps += Math.max(LEAST_STEPS, steps)
      if (steps > LARGEST_PATTERN) this.#problems.push(fieldProblem(path, tooLarge))
      else if (this.#steps > LARGEST_ROUTE) {
        const message =
          'makes the patterns of this Route too large together; spread them over several, or simplify them.'
        this.#problems.push(fieldProblem(path, message))
      }
    } catch (error) {
      const why = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : 'unknown'
      const message = `is not an RE2 pattern (${why}); look-around and back-references do not exist there.`
      this.#problems.push(fieldProblem(path, message))
    }
  }
}

const GROUP = /\((?:\?(?:P?<\w*>|[a-zA-Z-]*:?))?/y
const REPETITION = /\{([0-9]{1,5})(?:,([0-9]{0,5}))?\}/y
const ESCAPE = /\\(?:[pP](?:\{[^}]*\}|.)|x\{[^}]*\}|.)/sy
const CLASS = /\[\^?\]?(?:\\.|\[:[^\]]*:\]|[^\]\\])*\]/sy

/** How many characters and classes a pattern stands for once its repetitions are written out. Linear; never throws. */
export function writtenOut(pattern: string): number {
  const outer: number[] = []
  let steps = 0
  let last = 0
  for (let at = 0; at < pattern.length; ) {
    const character = pattern[at]
    const repetition = character === '{' ? matchAt(REPETITION, pattern, at) : undefined
    if (repetition !== undefined) {
      const times = Math.max(Number(repetition[1]), Number(repetition[2] ?? 0))
      steps += last * (times - 1)
      last *= times
      at += repetition[0].length
    } else if (character === '(') {
      outer.push(steps)
      steps = 0
      last = 0
      at += matchAt(GROUP, pattern, at)?.[0].length ?? 1
    } else if (character === ')') {
      last = steps
      steps += outer.pop() ?? 0
      at += 1
    } else if (character === '*' || character === '+' || character === '?' || character === '|') {
      at += 1
    } else {
      const atom =
        character === '\\' ? matchAt(ESCAPE, pattern, at) : character === '[' ? matchAt(CLASS, pattern, at) : undefined
      last = 1
      steps += 1
      at += atom?.[0].length ?? 1
    }
  }
  return outer.reduce((sum, each) => sum + each, steps)
}

function matchAt(expression: RegExp, text: string, at: number): RegExpExecArray | undefined {
  expression.lastIndex = at
  return expression.exec(text) ?? undefined
}

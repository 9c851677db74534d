// Joins what the source could not read and what compile says into one list with positions. Used by compile and diff.
import { compareText } from '../model/canonical.ts'
import { issuesAt, type Loaded, positionText } from './load.ts'
import type { Finding } from './output/issues.ts'

/** Everything that is wrong with a loaded folder at `now` (milliseconds since the epoch), ordered by place. */
export function findingsOf(loaded: Pick<Loaded, 'problems' | 'result' | 'locate'>, now: number): readonly Finding[] {
  const fromSource = loaded.problems.map(
    (problem): Finding => ({
      position: positionText(problem.position),
      severity: problem.issue?.severity ?? 'rejects',
      message: problem.message,
      ...(problem.issue === undefined ? {} : { issue: problem.issue }),
    }),
  )
  const fromCompile = issuesAt(loaded.result.issues, now).map(
    (issue): Finding => ({
      position: positionText(loaded.locate(issue.object, issue.path)),
      severity: issue.severity,
      message: issue.message,
      issue,
    }),
  )
  return [...fromSource, ...fromCompile].sort((a, b) => comparePositions(a.position, b.position))
}

function comparePositions(a: string, b: string): number {
  const [aFile, aLine, aColumn] = splitPosition(a)
  const [bFile, bLine, bColumn] = splitPosition(b)
  return compareText(aFile, bFile) || aLine - bLine || aColumn - bColumn
}

function splitPosition(text: string): [file: string, line: number, column: number] {
  const match = /^(.*):(\d+):(\d+)$/.exec(text)
  return match === null ? [text, 0, 0] : [match[1] ?? '', Number(match[2]), Number(match[3])]
}

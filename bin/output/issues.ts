// Issues for people: file:line:column, object, severity, reason; then what is wrong and what to do. Pure. compile
// prints them, standalone and the demo while they run.
import { printable } from '../../controller/report/printable.ts'
import { formatPath, type Issue, REASONS, type Severity } from '../../model/issue.ts'
import { objectLabel } from '../../model/resources.ts'
import type { Paint } from '../terminal.ts'
import { textWidth, wrap } from './width.ts'

/** One problem, wherever it comes from, ready to print. */
export interface Finding {
  readonly position: string
  readonly severity: Severity
  readonly issue?: Issue
  readonly message: string
}

const WORDS: Readonly<Record<Severity, string>> = { rejects: 'rejected', degrades: 'degraded', warns: 'warns' }
const PAINTS: Readonly<Record<Severity, Paint>> = { rejects: 'red', degrades: 'yellow', warns: 'cyan' }
const INDENT = 2

/** The lines of one finding, at most `width` columns where words allow it. */
export function findingLines(
  finding: Finding,
  options: {
    readonly width: number
    readonly paint: (style: Paint, text: string) => string
    readonly platform: boolean
  },
): string[] {
  const { issue } = finding
  const severity = options.paint(PAINTS[finding.severity], WORDS[finding.severity])
  const head = [finding.position, issue === undefined ? undefined : objectLabel(issue.object), severity, issue?.reason]
  const body = wrap(sentence(printable(withPath(finding))), options.width - INDENT)
  if (issue !== undefined) {
    const page = options.paint('dim', `atrium help ${issue.reason}`)
    // A message of two sentences says what to do already.
    const advice = /[.!?] /.test(issue.message) ? [] : wrap(REASONS[issue.reason].fix, options.width - INDENT)
    const lines = [...body.splice(0), ...advice]
    body.push(...appendPage(lines, page, options.width - INDENT))
    if (options.platform && issue.platformNote !== undefined) {
      body.push(...wrap(`For the platform: ${printable(issue.platformNote)}`, options.width - INDENT))
    }
  }
  return [head.filter(Boolean).join('  '), ...body.map((line) => `${' '.repeat(INDENT)}${line}`)]
}

/** Texts of an issue and the name of its page as lines of at most `width` columns, as findingLines has them. */
export function bodyLines(texts: readonly string[], page: string, width: number): string[] {
  return appendPage(
    texts.flatMap((text) => wrap(sentence(text), width - INDENT)),
    page,
    width - INDENT,
  )
}

/** `1 rejected, 1 degraded, 2 warnings`, or `nothing to complain about`. */
export function findingSummary(findings: readonly Finding[]): string {
  const parts = (['rejects', 'degrades', 'warns'] as const).flatMap((severity) => {
    const number = findings.filter((finding) => finding.severity === severity).length
    if (number === 0) return []
    const word = severity === 'warns' ? (number === 1 ? 'warning' : 'warnings') : WORDS[severity]
    return [`${number} ${word}`]
  })
  return parts.length === 0 ? 'nothing to complain about' : parts.join(', ')
}

function withPath(finding: Finding): string {
  const path = finding.issue === undefined ? '' : formatPath(finding.issue.path)
  return path === '' || finding.message.includes(path) ? finding.message : `${path}: ${finding.message}`
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`
}

/** The page's name stands at the end of the last line where it fits, else on its own. */
function appendPage(lines: readonly string[], page: string, width: number): string[] {
  const last = lines.at(-1)
  if (last !== undefined && textWidth(last) + textWidth(page) + 4 <= width)
    return [...lines.slice(0, -1), `${last}    ${page}`]
  return [...lines, page]
}

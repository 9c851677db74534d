// docs/errors/<Reason>.md: one page for each reason of a condition and each error of the gateway, and their index.
// Part of generate.ts; the words come from model/issue.ts and model/gateway-error.ts.
import { GATEWAY_ERRORS, type GatewayErrorCode } from '../../model/gateway-error.ts'
import { REASONS, type Reason, type ReasonPage } from '../../model/issue.ts'
import { code, PAGE_HEADER, table } from './markdown.ts'

const OWNERS: Readonly<Record<ReasonPage['who'], string>> = {
  tenant: 'whoever wrote the object',
  platform: 'the platform team',
}
const SOURCES = {
  client: 'the request',
  backend: 'the backend',
  gateway: 'the gateway',
} as const

/** Paths and texts. */
export function errorFiles(): readonly (readonly [string, string])[] {
  const reasons = Object.keys(REASONS) as Reason[]
  const codes = Object.keys(GATEWAY_ERRORS) as GatewayErrorCode[]
  // Some words are both: a reason in a condition, and the error that clients see meanwhile.
  const words = [...new Set<string>([...reasons, ...codes])]
  return [['docs/errors/README.md', index(reasons, codes)], ...words.map((word) => page(word, reasons, codes))]
}

function page(word: string, reasons: readonly Reason[], codes: readonly GatewayErrorCode[]): readonly [string, string] {
  const sections = [
    ...codes.filter((each) => each === word).map(errorSection),
    ...reasons.filter((each) => each === word).map(reasonSection),
  ]
  return [`docs/errors/${word}.md`, `${PAGE_HEADER}# ${word}\n\n${sections.join('\n')}`]
}

function reasonSection(reason: Reason): string {
  const { condition, who, what, fix } = REASONS[reason]
  return [
    '## In a condition',
    what,
    table(['condition', 'who can change it'], [[code(condition), OWNERS[who]]]).trimEnd(),
    `**What to do.** ${fix}\n`,
  ].join('\n\n')
}

function errorSection(errorCode: GatewayErrorCode): string {
  const { status, title, detail, source, fix } = GATEWAY_ERRORS[errorCode]
  return [
    '## As an answer',
    detail,
    table(
      ['status', 'title', 'header', 'caused by'],
      [[String(status), title, code(`x-atrium-error: ${errorCode}`), SOURCES[source]]],
    ).trimEnd(),
    `**What to do.** ${fix}\n`,
  ].join('\n\n')
}

function index(reasons: readonly Reason[], codes: readonly GatewayErrorCode[]): string {
  const link = (word: string) => `[${word}](${word}.md)`
  return [
    `${PAGE_HEADER}# Reasons and errors`,
    'Each word that Atrium says about an object or answers to a request has a page. `atrium help WORD` prints the same.',
    '## Answers of the gateway',
    'Answered as `application/problem+json` with the header `x-atrium-error`.',
    table(
      ['status', 'error', 'what the client reads'],
      [...codes]
        .sort((a, b) => GATEWAY_ERRORS[a].status - GATEWAY_ERRORS[b].status)
        .map((each) => [String(GATEWAY_ERRORS[each].status), link(each), GATEWAY_ERRORS[each].detail]),
    ).trimEnd(),
    '## Reasons in conditions',
    table(
      ['reason', 'condition', 'what happened'],
      reasons.map((each) => [link(each), REASONS[each].condition, REASONS[each].what]),
    ),
  ].join('\n\n')
}

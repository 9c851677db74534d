// The pages of `atrium help <Reason>`, `help <error code>` and `help <topic>`: the closed tables of the model, as text.
// Pure. Completion lists the same names.
import { GATEWAY_ERRORS, type GatewayErrorCode } from '../model/gateway-error.ts'
import { type Reason, REASONS } from '../model/issue.ts'
import { EXIT_CODE_WORDS } from './exit.ts'
import { tableLines } from './output/table.ts'
import { wrap } from './output/width.ts'

const PROSE = 76

/** Names that `atrium help` knows besides the verbs. */
export function helpTopics(): readonly string[] {
  return ['exit-codes', 'environment', 'reasons', 'errors', ...Object.keys(REASONS), ...Object.keys(GATEWAY_ERRORS)]
}

/** The page of a topic, a reason or a gateway error (case does not count), or undefined. */
export function helpPage(topic: string): readonly string[] | undefined {
  const wanted = topic.toLowerCase()
  if (wanted === 'exit-codes') return exitCodes()
  if (wanted === 'environment') return environment()
  if (wanted === 'reasons') return index('Reasons of conditions', REASONS, (row) => row.what)
  if (wanted === 'errors') return index('Answers that the gateway gives by itself', GATEWAY_ERRORS, (row) => row.detail)
  const pages: (readonly string[])[] = []
  const reason = Object.keys(REASONS).find((name): name is Reason => name.toLowerCase() === wanted)
  if (reason !== undefined) pages.push(reasonPage(reason))
  const code = Object.keys(GATEWAY_ERRORS).find((name): name is GatewayErrorCode => name.toLowerCase() === wanted)
  if (code !== undefined) pages.push(errorPage(code))
  return pages.length === 0 ? undefined : pages.flatMap((page, place) => (place === 0 ? page : ['', ...page]))
}

function reasonPage(reason: Reason): readonly string[] {
  const { condition, who, what, fix } = REASONS[reason]
  const owner = who === 'tenant' ? 'the owner of the object' : 'the platform team'
  return [
    `${reason}   reason of the condition ${condition}`,
    '',
    ...wrap(what, PROSE),
    '',
    ...labelled('To do', fix),
    ...labelled('Who', `${owner} can fix it`),
  ]
}

function errorPage(code: GatewayErrorCode): readonly string[] {
  const { status, title, detail, source, fix } = GATEWAY_ERRORS[code]
  return [
    `${code}   answer ${status} ${title}`,
    '',
    ...wrap(detail, PROSE),
    '',
    ...labelled('To do', fix),
    ...labelled('Caused by', `the ${source}`),
    ...labelled('Seen as', `header x-atrium-error: ${code}, log field error.type, metric atrium_gateway_errors_total`),
  ]
}

function labelled(label: string, text: string): string[] {
  return wrap(text, PROSE - 12).map((line, place) => `${(place === 0 ? label : '').padEnd(12)}${line}`)
}

function exitCodes(): readonly string[] {
  return EXIT_CODE_WORDS.flatMap(([code, meaning]) =>
    wrap(meaning, PROSE - 6).map((line, place) => `${(place === 0 ? String(code) : '').padStart(4)}  ${line}`),
  )
}

function environment(): readonly string[] {
  return [
    'Every flag has a twin, ATRIUM_ and its name: --admin-port is ATRIUM_ADMIN_PORT.',
    'Lists are separated by commas. The flag wins, then the environment, then the',
    'default; --show-config prints each setting of a verb with its source.',
    '',
    'NO_COLOR turns colours off, FORCE_COLOR turns them on; --color wins over both.',
  ]
}

function index<Row>(
  title: string,
  table: Readonly<Record<string, Row>>,
  words: (row: Row) => string,
): readonly string[] {
  const rows = Object.entries(table)
  const columns = [
    { title: 'NAME', value: ([name]: readonly [string, Row]) => name },
    { title: 'MEANING', value: ([, row]: readonly [string, Row]) => words(row) },
  ]
  return [title, '', ...tableLines(columns, rows, { width: 80, headers: true }), '', '`atrium help NAME` says more.']
}

// A slow second reader of HTTP/1.x answers, written from the grammar of RFC 9112 as patterns over the whole text, to
// compare the incremental parser with. It shares no code with that parser, and it is not fit for use.

/** What was read of one answer. */
export interface ReadAnswer {
  /** `more`: the text ends too early. */
  readonly outcome: 'more' | 'complete' | 'switched' | 'failed'
  /** One line for each interim and final head: status, length, fields. */
  readonly heads: readonly string[]
  readonly body: string
  readonly trailers: readonly string[]
  /** Characters of the text that belong to the answer; -1 where it did not end. */
  readonly consumed: number
}

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]"
const TEXT = '[\\t \\x21-\\x7e\\x80-\\xff]'
const STATUS_LINE = new RegExp(`^HTTP/1\\.([01]) ([1-5][0-9][0-9])(?: ${TEXT}*)?$`)
const FIELD_LINE = new RegExp(`^(${TOKEN}+):[\\t ]*((?:${TEXT}*[\\x21-\\x7e\\x80-\\xff])?)[\\t ]*$`)
const QUOTED = `(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\${TEXT})*`
const EXTENSION = `;${TOKEN}+(?:=(?:${TOKEN}+|"${QUOTED}"))?`
const CHUNK_LINE = new RegExp(`^([0-9A-Fa-f]{1,8})((?:${EXTENSION})*)\\r\\n`)
const CHUNK_LINE_START = new RegExp(
  `^(?:|[0-9A-Fa-f]{1,8}(?:${EXTENSION})*(?:\\r|;${TOKEN}*|;${TOKEN}+=|;${TOKEN}+="${QUOTED}\\\\?)?)$`,
)
const NO_TRAILERS = new Set(
  `connection content-length keep-alive proxy-connection te trailer transfer-encoding upgrade forwarded host via
  x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip authorization cookie
  proxy-authenticate proxy-authorization set-cookie www-authenticate age cache-control content-encoding content-range
  content-type expect expires location max-forwards range retry-after vary`.split(/\s+/),
)

/** A section of lines up to its empty line. */
type Block = { readonly lines: readonly string[]; readonly length: number } | 'more' | 'failed'

function readBlock(text: string, maximum: number): Block {
  // The first place where a line does not end with exactly CR LF; a CR at the very end may still get its LF.
  const broken = text.search(/(?<!\r)\n|\r(?!\n|$)/)
  const whole = text.startsWith('\r\n') ? 0 : text.indexOf('\r\n\r\n') + 2
  const length = whole === 1 ? -1 : whole + 2
  if (length !== -1 && length <= maximum && (broken === -1 || broken >= length)) {
    const lines = text.slice(0, whole).split('\r\n').slice(0, -1)
    return { lines, length }
  }
  return broken !== -1 || text.length > maximum ? 'failed' : 'more'
}

function readFields(lines: readonly string[], maximum: number): string[] | undefined {
  if (lines.length > maximum) return undefined
  const fields: string[] = []
  for (const line of lines) {
    const found = FIELD_LINE.exec(line)
    if (found === null) return undefined
    fields.push(found[1] ?? '', found[2] ?? '')
  }
  return fields
}

const valuesOf = (fields: readonly string[], name: string): string[] =>
  fields.filter((_, index) => index % 2 === 1 && (fields[index - 1] ?? '').toLowerCase() === name)

/** Reads the first answer in `text` (one character for each byte). */
export function readReference(text: string, headRequest: boolean): ReadAnswer {
  const heads: string[] = []
  let body = ''
  const stop = (outcome: ReadAnswer['outcome'], consumed = -1, trailers: readonly string[] = []): ReadAnswer => ({
    outcome,
    heads,
    body,
    trailers,
    consumed,
  })
  let at = 0
  for (let interims = 0; ; ) {
    const rest = text.slice(at)
    if (!'HTTP/1.'.startsWith(rest.slice(0, 7))) return stop('failed')
    const block = readBlock(rest, 65_536)
    if (typeof block === 'string') return stop(block)
    const status = STATUS_LINE.exec(block.lines[0] ?? '')
    const fields = readFields(block.lines.slice(1), 200)
    if (status === null || fields === undefined) return stop('failed')
    const code = Number(status[2])
    const lengths = valuesOf(fields, 'content-length')
    const codings = valuesOf(fields, 'transfer-encoding')
    if (lengths.length + codings.length > 1) return stop('failed')
    if (lengths.some((value) => !/^[0-9]{1,15}$/.test(value))) return stop('failed')
    if (codings.some((value) => value.toLowerCase() !== 'chunked')) return stop('failed')
    if (codings.length === 1 && status[1] === '0') return stop('failed')
    const length = lengths[0] === undefined ? undefined : Number(lengths[0])
    if ((code < 200 || code === 204) && (codings.length === 1 || (length ?? 0) !== 0)) return stop('failed')
    at += block.length
    if (code === 101) return stop('switched', at)
    if (code < 200) {
      interims += 1
      if (interims > 8) return stop('failed')
      heads.push(JSON.stringify([code, fields]))
      continue
    }
    const bodyLength = headRequest || code === 204 || code === 304 ? 0 : (length ?? null)
    heads.push(JSON.stringify([code, bodyLength, fields]))
    if (bodyLength !== null) {
      body = text.slice(at, at + bodyLength)
      return body.length === bodyLength ? stop('complete', at + bodyLength) : stop('more')
    }
    if (codings.length === 0) {
      body = text.slice(at)
      return stop('more')
    }
    break
  }
  for (let extensions = 0; ; ) {
    const rest = text.slice(at)
    const line = CHUNK_LINE.exec(rest)
    const opened = line === null ? rest : line[0]
    const list = opened.match(new RegExp(`;(?:"${QUOTED}(?:"|\\\\?$)|[^";\\r])*`, 'g')) ?? []
    extensions += list.reduce((sum, extension) => sum + extension.length - 1, 0)
    const viable = line !== null || CHUNK_LINE_START.test(rest)
    if (!viable || extensions > 4096 || list.some((extension) => extension.length > 257)) return stop('failed')
    if (line === null) return stop('more')
    at += line[0].length
    const size = Number.parseInt(line[1] ?? '', 16)
    if (size === 0) break
    const data = text.slice(at, at + size)
    body += data
    at += data.length
    const after = text.slice(at, at + 2)
    if (data.length < size) return stop('more')
    if (!'\r\n'.startsWith(after)) return stop('failed')
    if (after.length < 2) return stop('more')
    at += 2
  }
  const block = readBlock(text.slice(at), 4096)
  if (typeof block === 'string') return stop(block)
  const fields = readFields(block.lines, 20)
  if (fields === undefined) return stop('failed')
  const kept = fields.filter((_, index) => !NO_TRAILERS.has((fields[index - (index % 2)] ?? '').toLowerCase()))
  return stop('complete', at + block.length, kept)
}

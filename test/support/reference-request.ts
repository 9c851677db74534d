// A strict slow reader of HTTP/1.1 requests, from the grammar of RFC 9112: says how many requests a text holds and which.
// The serialiser's output must be exactly one. Used by the client's tests and its scripted backends.

export interface ReadRequest {
  readonly method: string
  readonly target: string
  readonly fields: readonly string[]
  readonly body: string
  readonly trailers: readonly string[]
}

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]"
const REQUEST_LINE = new RegExp(`^(${TOKEN}+) ([\\x21-\\x7e\\x80-\\xff]+) HTTP/1\\.1$`)
const FIELD_LINE = new RegExp(
  `^(${TOKEN}+):[\\t ]*((?:[\\t \\x21-\\x7e\\x80-\\xff]*[\\x21-\\x7e\\x80-\\xff])?)[\\t ]*$`,
)

/** All requests in `text` (one character for each byte), or undefined where any part of it is not a whole request. */
export function readRequests(text: string): readonly ReadRequest[] | undefined {
  const requests: ReadRequest[] = []
  let rest = text
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n')
    if (end === -1) return undefined
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n')
    const line = REQUEST_LINE.exec(first)
    const fields = readLines(lines)
    if (line === null || fields === undefined) return undefined
    rest = rest.slice(end + 4)
    const lengths = valuesOf(fields, 'content-length')
    const codings = valuesOf(fields, 'transfer-encoding')
    if (lengths.length + codings.length > 1) return undefined
    let body = ''
    let trailers: readonly string[] = []
    if (lengths[0] !== undefined) {
      if (!/^(0|[1-9][0-9]{0,14})$/.test(lengths[0])) return undefined
      body = rest.slice(0, Number(lengths[0]))
      if (body.length !== Number(lengths[0])) return undefined
      rest = rest.slice(body.length)
    } else if (codings[0] !== undefined) {
      if (codings[0] !== 'chunked') return undefined
      for (;;) {
        const size = /^([1-9a-f][0-9a-f]{0,7})\r\n/.exec(rest)
        if (size === null) break
        const length = Number.parseInt(size[1] ?? '', 16)
        const data = rest.slice(size[0].length, size[0].length + length)
        if (data.length !== length || rest.slice(size[0].length + length, size[0].length + length + 2) !== '\r\n') {
          return undefined
        }
        body += data
        rest = rest.slice(size[0].length + length + 2)
      }
      if (!rest.startsWith('0\r\n')) return undefined
      rest = rest.slice(3)
      const last = rest.startsWith('\r\n') ? 0 : rest.indexOf('\r\n\r\n') + 2
      if (last === 1) return undefined
      const read = readLines(rest.slice(0, last).split('\r\n').slice(0, -1))
      if (read === undefined) return undefined
      trailers = read
      rest = rest.slice(last + 2)
    }
    requests.push({ method: line[1] ?? '', target: line[2] ?? '', fields, body, trailers })
  }
  return requests
}

function readLines(lines: readonly string[]): readonly string[] | undefined {
  const fields: string[] = []
  for (const line of lines) {
    const found = FIELD_LINE.exec(line)
    if (found === null) return undefined
    fields.push(found[1] ?? '', found[2] ?? '')
  }
  return fields
}

function valuesOf(fields: readonly string[], name: string): string[] {
  return fields.filter((_, index) => index % 2 === 1 && (fields[index - 1] ?? '').toLowerCase() === name)
}

// Reads one complete response head (or trailer section): status line, field lines, and what they say about framing
// and reuse (RFC 9112 sections 4, 5, 6). A pure function of its bytes; response-parser.ts finds the bytes and calls it.
import { COLON, CR, FIELD_VALUE, SPACE, TAB, TOKEN } from './grammar.ts'

/** A head that was understood without doubt. */
export interface ResponseHead {
  readonly status: number
  /** Name, value, name, value … as received, framing and connection fields included. */
  readonly fields: readonly string[]
  /** `HTTP/1.0`: no chunked, never kept open. */
  readonly oldVersion: boolean
  readonly contentLength: number | undefined
  readonly chunked: boolean
  /** The backend closes after this answer, or the connection is bound to one user and must not be shared. */
  readonly close: boolean
  /** `Keep-Alive: timeout=`, in seconds. */
  readonly keepAliveSeconds: number | undefined
}

/** Why an answer was refused, for the log. */
export type ParseProblem =
  | 'not HTTP/1'
  | 'bad status line'
  | 'bad status code'
  | 'bad line ending'
  | 'bad field name'
  | 'bad field value'
  | 'too many fields'
  | 'head too large'
  | 'bad Content-Length'
  | 'bad Transfer-Encoding'
  | 'Content-Length with Transfer-Encoding'
  | 'length where none may be'
  | 'too many interim answers'
  | 'bad chunk size'
  | 'bad chunk extension'
  | 'chunk extensions too large'
  | 'bad chunk end'
  | 'trailers too large'
  | 'too many trailers'

/**
 * Reads field lines from `start` up to `end`, which is where the empty line begins. All line endings are known to be
 * CRLF. Appends name and value in turn, and returns the problem if there is one.
 */
export function readFields(
  bytes: Buffer,
  start: number,
  end: number,
  maxFields: number,
  fields: string[],
): ParseProblem | undefined {
  // One copy for the whole section: substrings of it cost less than a call into the runtime for each name and value.
  const text = bytes.toString('latin1', start, end)
  let position = start
  while (position < end) {
    const nameStart = position
    while (TOKEN[bytes[position] as number] === 1) position++
    // Covers obs-fold too: a line that starts with white space has an empty name.
    if (position === nameStart || bytes[position] !== COLON) return 'bad field name'
    const nameEnd = position
    position++
    let byte = bytes[position]
    while (byte === SPACE || byte === TAB) byte = bytes[++position]
    const valueStart = position
    while (FIELD_VALUE[bytes[position] as number] === 1) position++
    if (bytes[position] !== CR) return 'bad field value'
    let valueEnd = position
    while (valueEnd > valueStart && isWhite(bytes[valueEnd - 1])) valueEnd--
    position += 2
    if (fields.length >= maxFields * 2) return 'too many fields'
    fields.push(text.slice(nameStart - start, nameEnd - start), text.slice(valueStart - start, valueEnd - start))
  }
  return undefined
}

/** Reads the head in `bytes` from `start` up to `end`, empty line included. All line endings are known to be CRLF. */
export function readHead(bytes: Buffer, start: number, end: number, maxFields: number): ResponseHead | ParseProblem {
  // `HTTP/1.` was checked while the head arrived.
  const minor = bytes[start + 7]
  if (minor !== 0x30 && minor !== 0x31) return 'not HTTP/1'
  if (bytes[start + 8] !== SPACE) return 'bad status line'
  const status = digit(bytes[start + 9]) * 100 + digit(bytes[start + 10]) * 10 + digit(bytes[start + 11])
  if (!(status >= 100 && status <= 599)) return 'bad status code'
  let position = start + 12
  // RFC 9112 section 4 wants the space even without a reason; leaving it out is common and harmless.
  if (bytes[position] === SPACE) {
    position++
    while (FIELD_VALUE[bytes[position] as number] === 1) position++
  }
  if (bytes[position] !== CR) return 'bad status line'
  const fields: string[] = []
  const problem = readFields(bytes, position + 2, end - 2, maxFields, fields)
  if (problem !== undefined) return problem
  return readFraming(status, fields, minor === 0x30)
}

function readFraming(status: number, fields: readonly string[], oldVersion: boolean): ResponseHead | ParseProblem {
  let contentLength: number | undefined
  let chunked = false
  let close = oldVersion
  let keepAliveSeconds: number | undefined
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    // By length first: most names are none of these, and need no lower-case copy.
    switch (name.length) {
      case 10: {
        const lower = name.toLowerCase()
        if (lower === 'connection') close = close || listHas(fields[index + 1] as string, 'close')
        else if (lower === 'keep-alive') keepAliveSeconds = readTimeout(fields[index + 1] as string)
        break
      }
      case 14:
        if (name.toLowerCase() === 'content-length') {
          const value = fields[index + 1] as string
          // At most 15 digits: below 2^53. Equal duplicates are refused too.
          if (contentLength !== undefined || !/^[0-9]{1,15}$/.test(value)) return 'bad Content-Length'
          contentLength = Number(value)
        }
        break
      case 16:
        // NTLM and Negotiate authenticate the connection, not the request: it must not serve another user.
        if (
          name.toLowerCase() === 'www-authenticate' &&
          /(?:^|,)\s*(?:ntlm|negotiate)(?:$|[\s,])/i.test(fields[index + 1] as string)
        ) {
          close = true
        }
        break
      case 17:
        if (name.toLowerCase() === 'transfer-encoding') {
          if (chunked || oldVersion || (fields[index + 1] as string).toLowerCase() !== 'chunked') {
            return 'bad Transfer-Encoding'
          }
          chunked = true
        }
        break
      default:
    }
  }
  if (chunked && contentLength !== undefined) return 'Content-Length with Transfer-Encoding'
  // RFC 9110 section 8.6 and RFC 9112 section 6.1. A zero says what is true anyway, and is common.
  if ((status < 200 || status === 204) && (chunked || (contentLength ?? 0) > 0)) return 'length where none may be'
  return { status, fields, oldVersion, contentLength, chunked, close, keepAliveSeconds }
}

/** Whether a comma-separated list has this member, whatever its case. */
export function listHas(list: string, member: string): boolean {
  if (list.length === member.length) return list.toLowerCase() === member
  return list.split(',').some((item) => item.trim().toLowerCase() === member)
}

function readTimeout(value: string): number | undefined {
  const found = /(?:^|[,;\s])timeout\s*=\s*([0-9]{1,6})(?:$|[,;\s])/i.exec(value)
  return found === null ? undefined : Number(found[1])
}

function digit(byte: number | undefined): number {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : Number.NaN
}

function isWhite(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB
}

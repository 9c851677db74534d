// The request target: the one normalisation of path and query that routing, policies, limits, the log and the bytes to
// the backend share. Pure. The codec calls it once for each request; the router and explain read what it returns.
//
// What it does, and why (RFC 3986 sections 5.2.4 and 6.2.2; RFC 9110 section 4.2.3):
// - Encoded unreserved characters are decoded once (6.2.2.2), because every backend reads `%61` as `a` and a rule for
//   `/admin` must see what the backend will see. Nothing else is decoded, ever: `%2F` is no border of segments,
//   `%25` stays, and all other bytes go to the backend as they came, hexadecimal digits in the case they came.
// - Dot segments are removed (5.2.4), the encoded ones too. One that would leave the root is refused: whoever sends it
//   hopes for two readings. So is a dot segment with parameters (`..;x`, `..%3Bx`), which some backends obey.
// - Empty segments stay: `/api//x` is matched and sent with both slashes. `//admin` is not `/admin`.
// - Refused with 400: `\` and `%5C`, `%00`, escapes that are none, overlong UTF-8 escapes, `#`, blanks, control bytes,
//   everything beyond ASCII, and `"`, `<`, `>` in the path. `[ ] ^ { | }` and the backtick are sent by browsers and pass.
// - The query is opaque: as received, without `?`, dot segments and stray `%` included. Only blanks, controls, `#` and
//   bytes beyond ASCII are refused. `/a?` and `/a` are the same.
// The result is a fixed point: normalising it again changes nothing.
import type { GatewayErrorCode } from './gateway-error.ts'

/** Longest request target in bytes, path and query together; beyond it 414 UriTooLong. */
export const MAX_TARGET_LENGTH = 8192

/** The target of a request that concerns the server itself (RFC 9112 section 3.2.4), in place of a path. */
export const SERVER_TARGET = '*'

/** A request target in the form that everything after the codec reads. */
export interface CanonicalTarget {
  /** Begins with `/`, no dot segments, printable ASCII. */
  readonly path: string
  /** Without `?`; '' where there is none. */
  readonly query: string
}

/** Printable ASCII that begins with a slash, without the characters that are refused. */
const PATH = /^\/[^"#<>?\\\x00-\x20\x7f-\uffff]*$/
const QUERY = /^[!-"$-~]*$/
const UNRESERVED = /^[A-Za-z0-9._~-]$/
const DOT_SEGMENT = /\/\.\.?(?:\/|$)/
const DOT_SEGMENT_WITH_PARAMETERS = /\/\.\.?(?:;|%3[bB])/
const OVERLONG = /%(?:[cC][01]%[89abAB]|[eE]0%[89][0-9a-fA-F]|[fF]0%8)/

/**
 * Splits and normalises the path and query of an origin-form target (the caller takes `*` and the authority of an
 * absolute-form target away first). Returns the two parts, or the code of the answer: BadRequest or UriTooLong.
 */
export function canonicalTarget(raw: string): CanonicalTarget | GatewayErrorCode {
  if (raw.length > MAX_TARGET_LENGTH) return 'UriTooLong'
  const mark = raw.indexOf('?')
  const query = mark < 0 ? '' : raw.slice(mark + 1)
  if (query !== '' && !QUERY.test(query)) return 'BadRequest'
  const path = canonicalPath(mark < 0 ? raw : raw.slice(0, mark))
  return path === undefined ? 'BadRequest' : { path, query }
}

/**
 * The normalisation of canonicalTarget for a path alone: of a request, of a rule, of a rewrite. undefined where it is
 * refused. A `?` is refused too.
 */
export function canonicalPath(raw: string): string | undefined {
  let path = raw
  if (path.includes('%')) {
    const decoded = decodeUnreserved(path)
    if (decoded === undefined) return undefined
    path = decoded
  }
  if (!PATH.test(path)) return undefined
  if (!path.includes('/.')) return path
  if (DOT_SEGMENT_WITH_PARAMETERS.test(path)) return undefined
  return DOT_SEGMENT.test(path) ? removeDotSegments(path) : path
}

/**
 * The text that rules compare: escapes in upper case, because `%2f` and `%2F` are equivalent (RFC 3986 section 6.2.2.1)
 * and a rule must not be passed by in the other spelling. As long as the path, position by position.
 */
export function comparablePath(path: string): string {
  return path.includes('%') ? path.replace(/%[0-9A-Fa-f]{2}/g, (triplet) => triplet.toUpperCase()) : path
}

/** Decodes escapes of unreserved characters; undefined where an escape is invalid or refused. */
function decodeUnreserved(path: string): string | undefined {
  if (OVERLONG.test(path)) return undefined
  let decoded = ''
  let from = 0
  for (let at = path.indexOf('%'); at >= 0; at = path.indexOf('%', at + 3)) {
    const digits = path.slice(at + 1, at + 3)
    if (!/^[0-9A-Fa-f]{2}$/.test(digits)) return undefined
    const code = Number.parseInt(digits, 16)
    if (code === 0x00 || code === 0x5c) return undefined
    const character = String.fromCharCode(code)
    if (UNRESERVED.test(character)) {
      decoded += path.slice(from, at) + character
      from = at + 3
    }
  }
  return decoded + path.slice(from)
}

/** RFC 3986 section 5.2.4, except that `..` above the root is refused (undefined). */
function removeDotSegments(path: string): string | undefined {
  const kept: string[] = []
  const segments = path.split('/')
  const last = segments.length - 1
  for (let index = 1; index <= last; index += 1) {
    const segment = segments[index] ?? ''
    const isDots = segment === '.' || segment === '..'
    if (segment === '..' && kept.pop() === undefined) return undefined
    if (!isDots) kept.push(segment)
    else if (index === last) kept.push('')
  }
  return `/${kept.join('/')}`
}

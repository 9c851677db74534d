// The one gate for request heads: what a parser has split is judged here, by the same rules for every codec. Pure.
// node:http accepts two Hosts, `gzip, chunked`, HTTP/0.9 and fragments; whatever a parser lets through, this does not.
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import { canonicalHost } from '../../model/host.ts'
import { canonicalTarget, MAX_TARGET_LENGTH, SERVER_TARGET } from '../../model/target.ts'
import { validFieldName, validFieldValue } from './field-list.ts'

/** Fields of one head. Cookie crumbs are counted one by one. */
const MAX_FIELDS = 100
/** Bytes of all field lines with their `: ` and CRLF. */
const MAX_FIELD_BYTES = 32_768

/** A head as a parser split it. Text is latin1. */
export interface RawHead {
  readonly method: string
  readonly target: string
  /** `1.1`, `1.0` or what the client claims. */
  readonly version: string
  /** Name, value, name, value … surrounding white space of values removed. */
  readonly fields: readonly string[]
}

/** What the gate found: everything that decides where the message goes and where it ends. */
export interface CheckedHead {
  /** Canonical. */
  readonly host: string
  /** Port in the Host field, null where there is none. */
  readonly port: number | null
  readonly path: string
  readonly query: string
  /** Bytes; null for chunked. */
  readonly bodyLength: number | null
  readonly expectsContinue: boolean
  readonly websocket: boolean
  /** Values of all Connection fields. */
  readonly connection: readonly string[]
  /** Lower-case names, one for each field. */
  readonly lower: string[]
  /** HTTP/1.0, `Connection: close`, or an upgrade that is ignored: the connection ends with this answer. */
  readonly closes: boolean
}

/** Fields of which there is one meaning, so two lines are two readings. */
const SINGLE: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'content-type',
  'expect',
  'host',
  'sec-websocket-key',
  'sec-websocket-version',
  'transfer-encoding',
  'upgrade',
])

const METHOD = /^[!#$%&'*+.^`|~0-9A-Za-z-]{1,32}$/
const CONTENT_LENGTH = /^[0-9]{1,15}$/
const WEBSOCKET_KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/
const CONNECTION_OPTIONS = /^[!#$%&'*+.^`|~0-9A-Za-z, \t_-]*$/

/** Judges a head. Returns what it means, or the code of the answer; the connection closes after any refusal. */
export function checkHead(raw: RawHead): CheckedHead | GatewayErrorCode {
  if (raw.version !== '1.1' && raw.version !== '1.0') return 'BadRequest'
  if (!METHOD.test(raw.method)) return 'BadRequest'
  if (raw.method === 'CONNECT' || raw.method === 'TRACE') return 'MethodNotAllowed'
  if (raw.target.length > MAX_TARGET_LENGTH) return 'UriTooLong'

  const seen = readFields(raw.fields)
  if (typeof seen === 'string') return seen

  const host = seen.host === undefined ? undefined : canonicalHost(seen.host)
  if (host === undefined) return 'BadRequest'
  const port = portOf(seen.host ?? '')
  const originForm = originFormOf(raw, host, port)
  if (originForm === undefined) return 'BadRequest'
  if (originForm === SERVER_TARGET && raw.method !== 'OPTIONS') return 'BadRequest'
  const target = originForm === SERVER_TARGET ? { path: SERVER_TARGET, query: '' } : canonicalTarget(originForm)
  if (typeof target === 'string') return target

  const bodyLength = bodyLengthOf(raw, seen)
  if (bodyLength === undefined) return 'BadRequest'
  if (seen.expect !== undefined && seen.expect.toLowerCase() !== '100-continue') return 'ExpectationFailed'

  const options = seen.connection.join(',').toLowerCase()
  const asksToUpgrade = seen.upgrade !== undefined && hasOption(options, 'upgrade')
  const upgrades = asksToUpgrade && seen.upgrade?.toLowerCase() === 'websocket'
  // An invalid WebSocket handshake is neither tunnelled nor passed on as something else. Other upgrades (h2c) are
  // ignored, as RFC 9110 section 7.8 allows.
  if (upgrades && !validHandshake(raw, seen, bodyLength)) return 'BadRequest'

  return {
    host,
    port,
    path: target.path,
    query: target.query,
    bodyLength,
    expectsContinue: seen.expect !== undefined && raw.version === '1.1' && bodyLength !== 0,
    websocket: upgrades,
    connection: seen.connection,
    lower: seen.lower,
    // Behind an upgrade that is ignored a parser may have stopped: what followed in the same packet is lost, and a later
    // answer would be taken for that of the lost request. llhttp does so.
    closes: raw.version === '1.0' || hasOption(options, 'close') || (asksToUpgrade && !upgrades),
  }
}

interface SeenFields {
  readonly lower: string[]
  readonly connection: string[]
  host?: string
  contentLength?: string
  transferEncoding?: string
  expect?: string
  upgrade?: string
  websocketKey?: string
  websocketVersion?: string
}

function readFields(fields: readonly string[]): SeenFields | GatewayErrorCode {
  if (fields.length > MAX_FIELDS * 2) return 'HeadersTooLarge'
  const seen: SeenFields = { lower: [], connection: [] }
  let bytes = 0
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? ''
    const value = fields[at + 1] ?? ''
    bytes += name.length + value.length + 4
    if (bytes > MAX_FIELD_BYTES) return 'HeadersTooLarge'
    // `x_user` and `x-user` are one field to CGI-like backends, so a name with an underscore could pass for another.
    if (!validFieldName(name) || name.includes('_') || !validFieldValue(value)) return 'BadRequest'
    const lower = name.toLowerCase()
    if (SINGLE.has(lower)) {
      if (seen.lower.includes(lower)) return 'BadRequest'
      keep(seen, lower, value)
    } else if (lower === 'connection') {
      if (!CONNECTION_OPTIONS.test(value)) return 'BadRequest'
      seen.connection.push(value)
    }
    seen.lower.push(lower)
  }
  return seen
}

function keep(seen: SeenFields, lower: string, value: string): void {
  switch (lower) {
    case 'host':
      seen.host = value
      break
    case 'content-length':
      seen.contentLength = value
      break
    case 'transfer-encoding':
      seen.transferEncoding = value
      break
    case 'expect':
      seen.expect = value
      break
    case 'upgrade':
      seen.upgrade = value
      break
    case 'sec-websocket-key':
      seen.websocketKey = value
      break
    case 'sec-websocket-version':
      seen.websocketVersion = value
      break
  }
}

/** RFC 9112 section 6.3: one unambiguous length, or nothing. undefined where it is ambiguous. */
function bodyLengthOf(raw: RawHead, seen: SeenFields): number | null | undefined {
  if (seen.transferEncoding !== undefined) {
    const chunked = seen.transferEncoding.toLowerCase() === 'chunked'
    return chunked && raw.version === '1.1' && seen.contentLength === undefined ? null : undefined
  }
  if (seen.contentLength === undefined) return 0
  return CONTENT_LENGTH.test(seen.contentLength) ? Number(seen.contentLength) : undefined
}

/**
 * The origin form; an absolute form loses its authority, which must be the Host (RFC 9112 section 3.2.2). Of OPTIONS
 * without a path the server itself is asked (section 3.2.4).
 */
function originFormOf(raw: RawHead, host: string, port: number | null): string | undefined {
  if (raw.target.startsWith('/') || raw.target === SERVER_TARGET) return raw.target
  const scheme = /^https?:\/\//i.exec(raw.target)
  if (scheme === null) return undefined
  const rest = raw.target.slice(scheme[0].length)
  const end = rest.search(/[/?#]/)
  const authority = end < 0 ? rest : rest.slice(0, end)
  if (canonicalHost(authority) !== host || portOf(authority) !== port) return undefined
  const target = end < 0 ? '' : rest.slice(end)
  if (target === '' && raw.method === 'OPTIONS') return SERVER_TARGET
  return target.startsWith('/') ? target : `/${target}`
}

/** The port of a Host field whose grammar canonicalHost has accepted. */
function portOf(text: string): number | null {
  const colon = text.lastIndexOf(':')
  if (colon < 0 || text.endsWith(']') || colon === text.length - 1) return null
  return Number(text.slice(colon + 1))
}

/** RFC 6455 section 4.2.1. */
function validHandshake(raw: RawHead, seen: SeenFields, bodyLength: number | null): boolean {
  return (
    raw.method === 'GET' &&
    raw.version === '1.1' &&
    bodyLength === 0 &&
    seen.websocketVersion === '13' &&
    seen.websocketKey !== undefined &&
    WEBSOCKET_KEY.test(seen.websocketKey)
  )
}

function hasOption(options: string, wanted: string): boolean {
  return options !== '' && options.split(',').some((option) => option.trim() === wanted)
}

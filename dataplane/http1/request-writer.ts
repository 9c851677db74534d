// Serialises one UpstreamRequest as HTTP/1.1 (RFC 9112): head, body framing, trailers. Pure. connection.ts writes what
// comes out. The fields were validated at the door; here is only made sure that nothing can end a line early, however
// the text got here, because what leaves is written as latin1 and a wider character would be cut to its low byte.
import type { UpstreamRequest } from '../runtime/upstream.ts'
import { FIELD_VALUE_TEXT, TARGET_TEXT, TOKEN_TEXT } from './grammar.ts'
import { withoutForbiddenTrailers } from './trailers.ts'

/** The last chunk and an empty trailer section. */
const LAST_CHUNK = '0\r\n\r\n'

/** A request ready to be written, with what its text says of the connection. */
export interface RequestHead {
  /** latin1, empty line included. */
  readonly text: string
  /** It authenticates the connection (NTLM, Negotiate), so no one else may use that afterwards. */
  readonly bindsConnection: boolean
  /** The client's Sec-WebSocket-Key, '' where there is none. */
  readonly websocketKey: string
}

/** RFC 9110 section 8.6: methods that expect content say that there is none. */
const METHODS_WITH_CONTENT: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH'])

/** Methods whose content has no meaning: some backends leave it unread and take it for the next request. */
const METHODS_WITHOUT_CONTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])

/** Framing and the connection have one author. A second opinion in `fields` would be a second request. */
const RESERVED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'transfer-encoding',
  'upgrade',
])
const RESERVED_LENGTHS: ReadonlySet<number> = new Set([...RESERVED].map((name) => name.length))

/** Whether a backend can be trusted to have read this body, so that the connection may be used again. */
export function bodyIsDefined(request: UpstreamRequest): boolean {
  return request.bodyLength === 0 || !METHODS_WITHOUT_CONTENT.has(request.method)
}

/**
 * The head of a request. Throws TypeError where a method, target, name or value could break the framing: a fault of the
 * caller, never of a user, whose input was judged at the door.
 */
export function writeHead(request: UpstreamRequest): RequestHead {
  const { method, target, fields } = request
  if (!TOKEN_TEXT.test(method)) throw new TypeError('The method cannot be written.')
  if (!TARGET_TEXT.test(target)) throw new TypeError('The request target cannot be written.')
  if (request.bodyLength !== null && !(Number.isSafeInteger(request.bodyLength) && request.bodyLength >= 0)) {
    throw new TypeError('The length of the body cannot be written.')
  }
  let text = `${method} ${target} HTTP/1.1\r\n`
  let bindsConnection = false
  let websocketKey = ''
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    const value = fields[index + 1] as string
    text += fieldLine(name, value)
    if (RESERVED_LENGTHS.has(name.length) && RESERVED.has(name.toLowerCase())) {
      throw new TypeError(`${name} is written by the codec alone.`)
    }
    if (name.length === 13 && name.toLowerCase() === 'authorization') {
      bindsConnection = /^(?:ntlm|negotiate)(?:$|\s)/i.test(value)
    } else if (name.length === 17 && name.toLowerCase() === 'sec-websocket-key') websocketKey = value
  }
  if (request.websocket) text += 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
  if (request.expectContinue) text += 'Expect: 100-continue\r\n'
  if (request.bodyLength === null) text += 'Transfer-Encoding: chunked\r\n'
  else if (request.bodyLength > 0 || METHODS_WITH_CONTENT.has(method)) {
    text += `Content-Length: ${request.bodyLength}\r\n`
  }
  return { text: `${text}\r\n`, bindsConnection, websocketKey }
}

/** The line before a chunk of `length` bytes; the chunk is followed by CR LF. */
export function writeChunkSize(length: number): string {
  return `${length.toString(16)}\r\n`
}

/** The last chunk with its trailers. Throws as `writeHead` does. */
export function writeLastChunk(trailers: readonly string[]): string {
  const kept = withoutForbiddenTrailers(trailers)
  if (kept.length === 0) return LAST_CHUNK
  let text = '0\r\n'
  for (let index = 0; index < kept.length; index += 2)
    text += fieldLine(kept[index] as string, kept[index + 1] as string)
  return `${text}\r\n`
}

function fieldLine(name: string, value: string): string {
  if (!TOKEN_TEXT.test(name)) throw new TypeError('A field name cannot be written.')
  if (!FIELD_VALUE_TEXT.test(value)) throw new TypeError(`The value of ${name} cannot be written.`)
  return `${name}: ${value}\r\n`
}

// The ClientHello, read for one thing: the server name, before any cryptography. Pure. The TLS table calls it with the
// bytes that a new connection has sent so far; OpenSSL reads the same bytes again afterwards and judges all the rest.

/** Bytes of records that are read while looking for the ClientHello; a bigger one is refused. */
export const MAX_HELLO_LENGTH = 32_768

/** What the bytes so far say. `serverName` is the raw text of the host_name entry, '' where there is none. */
export type HelloResult =
  | { readonly type: 'more' /** Nothing new can be said before so many bytes are there. */; readonly length: number }
  | { readonly type: 'invalid' }
  | { readonly type: 'hello'; readonly serverName: string }

const INVALID: HelloResult = { type: 'invalid' }
const RECORD_HEADER = 5
const HANDSHAKE = 22
const MAX_RECORD = 16_384
/** Records that one ClientHello may be cut into: every one of them costs a reading of all that came before. */
const MAX_RECORDS = 64
const CLIENT_HELLO = 1
const EXTENSION_SERVER_NAME = 0
const NAME_TYPE_HOST = 0

/**
 * Reads TLS records (RFC 8446 section 5.1) up to the end of the ClientHello, which may be cut into any number of them,
 * and its server_name extension (RFC 6066 section 3). Never throws, whatever the bytes. Two names are invalid.
 */
export function readClientHello(bytes: Uint8Array): HelloResult {
  const message: number[] = []
  let at = 0
  let needed = 4
  for (let record = 0; message.length < needed; record += 1) {
    if (record >= MAX_RECORDS) return INVALID
    if (bytes.length < at + RECORD_HEADER) {
      // Whoever speaks something else is told at once, not after a timeout.
      if (bytes.length > at && bytes[at] !== HANDSHAKE) return INVALID
      return { type: 'more', length: at + RECORD_HEADER }
    }
    const length = uint16(bytes, at + 3)
    if (bytes[at] !== HANDSHAKE || bytes[at + 1] !== 3 || length === 0 || length > MAX_RECORD) return INVALID
    const end = at + RECORD_HEADER + length
    if (end > MAX_HELLO_LENGTH) return INVALID
    if (bytes.length < end) return { type: 'more', length: end }
    for (let index = at + RECORD_HEADER; index < end; index += 1) message.push(bytes[index] ?? 0)
    at = end
    if (message.length >= 4) {
      if (message[0] !== CLIENT_HELLO) return INVALID
      needed = 4 + (message[1] ?? 0) * 65_536 + (message[2] ?? 0) * 256 + (message[3] ?? 0)
      if (needed > MAX_HELLO_LENGTH) return INVALID
    }
  }
  const serverName = readServerName(Uint8Array.from(message.slice(4, needed)))
  return serverName === undefined ? INVALID : { type: 'hello', serverName }
}

/** The body of a ClientHello: version, random, session id, cipher suites, compression methods, extensions. */
function readServerName(body: Uint8Array): string | undefined {
  let at = 2 + 32
  at += 1 + (body[at] ?? 0)
  at += 2 + uint16(body, at)
  at += 1 + (body[at] ?? 0)
  if (at > body.length) return undefined
  if (at === body.length) return ''
  const end = at + 2 + uint16(body, at)
  if (end !== body.length) return undefined
  at += 2
  let name: string | undefined
  while (at < end) {
    if (at + 4 > end) return undefined
    const type = uint16(body, at)
    const from = at + 4
    at = from + uint16(body, at + 2)
    if (at > end) return undefined
    if (type !== EXTENSION_SERVER_NAME) continue
    if (name !== undefined) return undefined
    name = readNameList(body.subarray(from, at))
    if (name === undefined) return undefined
  }
  return name ?? ''
}

/** One entry of type host_name; several are against RFC 6066, and whoever sends them hopes for two readings. */
function readNameList(list: Uint8Array): string | undefined {
  if (list.length < 5 || uint16(list, 0) !== list.length - 2) return undefined
  const length = uint16(list, 3)
  if (list[2] !== NAME_TYPE_HOST || length === 0 || 5 + length !== list.length) return undefined
  let name = ''
  for (let index = 5; index < list.length; index += 1) name += String.fromCharCode(list[index] ?? 0)
  return name
}

/** Bytes beyond the end read as 0, and every length is checked against the end afterwards. */
function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0)
}

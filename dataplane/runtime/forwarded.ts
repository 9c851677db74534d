// Who asks: the peer of the socket, or the client that trusted hops vouch for, counted from the right. Pure.
// request-head.ts calls it once for each request; nothing else reads X-Forwarded-* or Forwarded.
import { type AddressRanges, formatAddress, limitKeyOf, parseAddress } from '../../model/address.ts'
import type { ClientIdentity } from '../../model/filter.ts'

/** Entries of a chain that are looked at; a longer one is cut on the left, where the least trusted entries stand. */
const MOST_HOPS = 32

/** What a request says about the hops before us. Values of all lines, in wire order. */
export interface ForwardedFields {
  readonly forwardedFor: readonly string[]
  readonly proto: readonly string[]
  readonly host: readonly string[]
  readonly port: readonly string[]
  readonly forwarded: readonly string[]
}

/** What is believed of them, and what is passed on so that the backend can count from the right too. */
export interface BelievedHops {
  readonly client: ClientIdentity
  readonly scheme: 'http' | 'https' | undefined
  /** The chains as received, '' for none; ours is appended. */
  readonly forwardedFor: string
  readonly forwarded: string
  readonly host: string | undefined
  readonly port: string | undefined
}

/** The identity of a socket's other end. An address that cannot be read (a destroyed socket) counts as `::`. */
export function identityOfPeer(address: string): ClientIdentity {
  const bytes = parseAddress(withoutZone(address)) ?? new Uint8Array(16)
  const text = formatAddress(bytes)
  return { address: text, bytes, limitKey: limitKeyOf(bytes), peer: text }
}

/** Reads what a trusted hop says. Only call it where the peer itself is in `trusted`. */
export function believeHops(peer: ClientIdentity, fields: ForwardedFields, trusted: AddressRanges): BelievedHops {
  const usesForwarded = fields.forwardedFor.length === 0 && fields.forwarded.length > 0
  const elements = usesForwarded ? splitList(fields.forwarded) : []
  const chain = usesForwarded ? elements.map((element) => parameter(element, 'for')) : splitList(fields.forwardedFor)
  const found = clientOf(peer, chain, trusted)
  const protos = usesForwarded ? elements.map((element) => parameter(element, 'proto')) : splitList(fields.proto)
  return {
    client: found.client,
    scheme: schemeOf(protos.length === chain.length ? protos[found.at] : protos.at(-1)),
    forwardedFor: fields.forwardedFor.join(', '),
    forwarded: fields.forwarded.join(', '),
    host: splitList(fields.host).at(-1),
    port: portOf(splitList(fields.port).at(-1)),
  }
}

/** The rightmost address that is no trusted hop, and its place. An entry that is none ends the search. */
function clientOf(
  peer: ClientIdentity,
  chain: readonly string[],
  trusted: AddressRanges,
): { client: ClientIdentity; at: number } {
  let bytes = peer.bytes
  let at = chain.length
  while (at > 0 && chain.length - at < MOST_HOPS) {
    const next = parseAddress(nodeAddress(chain[at - 1] ?? ''))
    if (next === undefined) break
    bytes = next
    at -= 1
    if (!trusted.contains(next)) break
  }
  if (bytes === peer.bytes) return { client: peer, at: Math.max(0, chain.length - 1) }
  const client = { address: formatAddress(bytes), bytes, limitKey: limitKeyOf(bytes), peer: peer.peer }
  return { client, at }
}

/** `1.2.3.4`, `1.2.3.4:567`, `[2001:db8::1]:567` or `"[2001:db8::1]"` without quotes, brackets and port. */
function nodeAddress(text: string): string {
  const plain = text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text
  if (plain.startsWith('[')) return plain.slice(1, Math.max(1, plain.indexOf(']')))
  const colon = plain.indexOf(':')
  return colon > 0 && colon === plain.lastIndexOf(':') ? plain.slice(0, colon) : plain
}

function schemeOf(text: string | undefined): 'http' | 'https' | undefined {
  switch (text?.toLowerCase()) {
    case 'https':
    case 'wss':
      return 'https'
    case 'http':
    case 'ws':
      return 'http'
    default:
      return undefined
  }
}

function portOf(text: string | undefined): string | undefined {
  return text !== undefined && /^[1-9][0-9]{0,4}$/.test(text) ? text : undefined
}

/** Elements of all lines, at most the last 32. No quoted commas: where one is, an element is none and the search ends. */
function splitList(lines: readonly string[]): string[] {
  if (lines.length === 0) return []
  const elements = lines.join(',').split(',')
  return elements
    .slice(-MOST_HOPS)
    .map((element) => element.trim())
    .filter((element) => element !== '')
}

/** A parameter of one Forwarded element (RFC 7239 section 4), '' where it is absent. */
function parameter(element: string, wanted: string): string {
  for (const pair of element.split(';')) {
    const equals = pair.indexOf('=')
    if (equals > 0 && pair.slice(0, equals).trim().toLowerCase() === wanted) {
      const value = pair.slice(equals + 1).trim()
      return value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value
    }
  }
  return ''
}

function withoutZone(address: string): string {
  const percent = address.indexOf('%')
  return percent < 0 ? address : address.slice(0, percent)
}

/** The node of a Forwarded element: IPv6 in brackets and quotes (RFC 7239 section 6). */
export function forwardedNode(address: string): string {
  return address.includes(':') ? `"[${address}]"` : address
}

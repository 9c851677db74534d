// Which fields end at this hop, which belong to the gateway, and which may stand in a trailer section. Pure.
// request-head.ts applies the first two to requests, exchange-response.ts and exchange-body.ts the others to answers.

/** Fields about one connection or one message's framing (RFC 9110 section 7.6.1). Never passed on. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
])

/** Whether a field, by its lower-case name, ends at this hop. Content-Length is among them: framing is written anew. */
export function endsHere(lower: string): boolean {
  return HOP_BY_HOP.has(lower)
}

const OWNED: ReadonlySet<string> = new Set([
  'forwarded',
  'x-client-cert',
  'x-real-ip',
  'x-request-id',
  'x-ssl-client-cert',
])
const OWNED_PREFIXES = ['x-forwarded-', 'x-atrium-', 'ssl-client-', 'x-ssl-client-'] as const

/**
 * Whether only the gateway may set this request field, by its lower-case name: what a backend believes about who asks.
 * Spellings with an underscore never get this far, because every name with one is refused.
 */
export function ownedByGateway(lower: string): boolean {
  if (OWNED.has(lower)) return true
  const first = lower.charCodeAt(0)
  if (first !== 0x78 && first !== 0x73) return false
  return OWNED_PREFIXES.some((prefix) => lower.startsWith(prefix))
}

/** Lower-case names that a Connection field lists, without the options that are no fields. undefined where none. */
export function listedNames(values: readonly string[]): ReadonlySet<string> | undefined {
  let names: Set<string> | undefined
  for (const value of values) {
    if (value === 'keep-alive' || value === 'close') continue
    for (const part of value.split(',')) {
      const name = part.trim().toLowerCase()
      if (name === '' || name === 'close' || name === 'keep-alive' || name === 'upgrade') continue
      names ??= new Set()
      names.add(name)
    }
  }
  return names
}

/** Fields that no trailer section may hold: framing, routing, identity, control (RFC 9110 section 6.5.1). */
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'host',
  'location',
  'max-forwards',
  'range',
  'retry-after',
  'set-cookie',
  'trailer',
  'vary',
  'www-authenticate',
])

const MOST_TRAILERS = 20
const MOST_TRAILER_BYTES = 4096

/**
 * The trailers that may pass: those that the head announced in `Trailer`, never framing, routing or identity fields.
 * More than 20 of them, or more than 4 KiB, and none passes.
 */
export function passingTrailers(trailers: readonly string[], announced: readonly string[]): readonly string[] {
  if (trailers.length === 0) return trailers
  const names = listedNames(announced)
  if (names === undefined) return []
  const passing: string[] = []
  let bytes = 0
  for (let at = 0; at + 1 < trailers.length; at += 2) {
    const name = trailers[at] ?? ''
    const value = trailers[at + 1] ?? ''
    const lower = name.toLowerCase()
    bytes += name.length + value.length
    if (!names.has(lower) || endsHere(lower) || ownedByGateway(lower) || NOT_IN_TRAILERS.has(lower)) continue
    passing.push(name, value)
  }
  return passing.length > MOST_TRAILERS * 2 || bytes > MOST_TRAILER_BYTES ? [] : passing
}

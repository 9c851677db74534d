// Host names: one canonical form for Host fields, absolute request targets and SNI, and what a pattern covers. Pure.
// The codec and the TLS table call canonicalHost; compile and the host table call the pattern functions.
import ipaddr from 'ipaddr.js'

/** Octets of the longest host name (RFC 1035 section 2.3.4, without the root's dot). */
const LONGEST_HOST = 253

/** Host, one trailing dot and the longest port. */
const LONGEST_FIELD = LONGEST_HOST + 1 + ':65535'.length

/** Labels of letters, digits, `-` and `_` (RFC 2181 section 11), at most 63 each, `-` only inside. */
const NAME = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/

/** A last label that some resolvers read as a number, so the whole name must be a plain IPv4 address. */
const ENDS_IN_NUMBER = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/

const IPV4 = /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}$/

const PORT = /^[0-9]{0,5}$/

/**
 * The canonical form of a host as it came in a Host field, an absolute target or SNI: port and one trailing dot off,
 * lower case (RFC 9110 section 4.2.3, RFC 4343), IPv6 literals in brackets and in the form of RFC 5952. Underscores are
 * allowed, because names with them exist; no exact hostname of a Tenant has one, so they reach wildcards only.
 * Returns undefined for everything else: user information, commas, blanks, percent signs, zones, `*`, empty or
 * overlong labels, numbers that are not an IPv4 address, bytes beyond ASCII, ports over 65535. Idempotent.
 */
export function canonicalHost(text: string): string | undefined {
  if (text.length === 0 || text.length > LONGEST_FIELD) return undefined
  if (text.charCodeAt(0) === 0x5b) return canonicalLiteral(text)
  const colon = text.indexOf(':')
  let name = colon < 0 ? text : text.slice(0, colon)
  if (colon >= 0 && !validPort(text.slice(colon + 1))) return undefined
  if (name.endsWith('.')) name = name.slice(0, -1)
  if (name.length > LONGEST_HOST) return undefined
  // toLowerCase maps some letters beyond ASCII into it (the Kelvin sign becomes k), so the bytes are looked at first.
  if (!isAscii(name)) return undefined
  name = name.toLowerCase()
  if (!NAME.test(name)) return undefined
  return !ENDS_IN_NUMBER.test(name) || IPV4.test(name) ? name : undefined
}

/** `[2001:db8::1]` with or without a port (RFC 3986 section 3.2.2). Zones and future versions are refused. */
function canonicalLiteral(text: string): string | undefined {
  const end = text.indexOf(']')
  if (end < 0) return undefined
  const rest = text.slice(end + 1)
  if (rest !== '' && (rest.charCodeAt(0) !== 0x3a || !validPort(rest.slice(1)))) return undefined
  const address = text.slice(1, end)
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(address) || !ipaddr.IPv6.isValid(address)) return undefined
  return `[${ipaddr.IPv6.parse(address).toRFC5952String()}]`
}

/** RFC 3986 section 3.2.3 allows an empty port. */
function validPort(port: string): boolean {
  return PORT.test(port) && Number(port) <= 65535
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) > 0x7f) return false
  }
  return true
}

/** Whether a hostname of a Tenant or Route holds for a canonical host. `*.domain` stands for one or more whole labels. */
export function hostCovers(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host
  return host.length > pattern.length - 1 && host.endsWith(pattern.slice(1)) && host.charCodeAt(0) !== 0x2e
}

/** Whether every host that `narrow` holds for, `wide` holds for too. Both may be wildcards. */
export function patternCovers(wide: string, narrow: string): boolean {
  if (wide === narrow) return true
  if (!narrow.startsWith('*.')) return hostCovers(wide, narrow)
  return wide.startsWith('*.') && narrow.length > wide.length && narrow.endsWith(wide.slice(1))
}

/** Whether some host exists that both hold for. */
export function patternsOverlap(a: string, b: string): boolean {
  return patternCovers(a, b) || patternCovers(b, a)
}

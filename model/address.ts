// Addresses and address ranges: one strict reading, always 16 bytes, IPv4 as ::ffff:a.b.c.d. Pure.
// The access policy, limit keys, endpoint rules of compile and the trusted hops of the dataplane all read addresses here.
import ipaddr from 'ipaddr.js'

/** A range of addresses as it was written. An IPv6 range never holds IPv4 addresses, even where its bits would. */
export interface Cidr {
  /** The first address, 16 bytes, host bits zero. */
  readonly bytes: Uint8Array
  /** Number of leading bits that count, of 128: `10.0.0.0/8` has 104. */
  readonly prefix: number
  readonly family: 4 | 6
}

const IPV6_TEXT = /^[0-9a-fA-F:]{2,39}$/
const DOTTED_TAIL = /^([0-9a-fA-F:]*:)([0-9.]{7,15})$/
const MAPPED_PREFIX_BITS = 96
const LONGEST_ADDRESS = 45

/**
 * The 16 bytes of an address, or undefined where the text is none. Strict: no zone, no brackets, no port, no white
 * space, no octal, hexadecimal or shortened IPv4. `::ffff:10.0.0.1` and `10.0.0.1` give the same bytes.
 */
export function parseAddress(text: string): Uint8Array | undefined {
  if (text.length > LONGEST_ADDRESS) return undefined
  if (!text.includes(':')) return parseIpv4(text)
  let groups = text
  const tail = DOTTED_TAIL.exec(text)
  if (tail !== null) {
    // The library reads ::1.2.3.4 as ::ffff:1.2.3.4 and allows octal there, so the dotted part is turned into groups.
    const last = parseIpv4(tail[2] ?? '')
    if (last === undefined) return undefined
    groups = `${tail[1]}${hexGroup(last, 12)}:${hexGroup(last, 14)}`
  }
  if (!IPV6_TEXT.test(groups) || !ipaddr.IPv6.isValid(groups)) return undefined
  return Uint8Array.from(ipaddr.IPv6.parse(groups).toByteArray())
}

/** Canonical text: dotted for IPv4 (mapped included), RFC 5952 for IPv6. `bytes` is what parseAddress returns. */
export function formatAddress(bytes: Uint8Array): string {
  if (isMapped(bytes)) return `${bytes[12]}.${bytes[13]}.${bytes[14]}.${bytes[15]}`
  return new ipaddr.IPv6([...bytes]).toRFC5952String()
}

/** Whose bucket an address falls into: the IPv4 address, or the /64 of an IPv6 address, which one customer holds. */
export function limitKeyOf(bytes: Uint8Array): string {
  if (isMapped(bytes)) return formatAddress(bytes)
  const network = new Uint8Array(16)
  network.set(bytes.subarray(0, 8))
  return `${formatAddress(network)}/64`
}

/**
 * A range such as `10.0.0.0/8`, `2001:db8::/32` or a single address. undefined where the text is none, or where bits
 * after the prefix are set: such a range may not mean what its author thinks.
 */
export function parseCidr(text: string): Cidr | undefined {
  const cidr = parseCidrLoosely(text)
  return cidr !== undefined && bytesEqual(cidr.bytes, networkOf(cidr)) ? cidr : undefined
}

/** What is wrong with a range, for its author; undefined where nothing is. */
export function describeCidrProblem(text: string): string | undefined {
  const cidr = parseCidrLoosely(text)
  if (cidr === undefined) return `"${text}" is no address range; write 10.0.0.0/8, 2001:db8::/32 or one address`
  const network = networkOf(cidr)
  if (bytesEqual(cidr.bytes, network)) return undefined
  return `"${text}" has bits set after its prefix; write ${formatCidr({ ...cidr, bytes: network })}`
}

/** Canonical text of a range. */
export function formatCidr(cidr: Cidr): string {
  const bits = cidr.family === 4 ? cidr.prefix - MAPPED_PREFIX_BITS : cidr.prefix
  return `${formatAddress(cidr.bytes)}/${bits}`
}

/** Both ends belong to it. */
interface Interval {
  readonly first: bigint
  readonly last: bigint
}

const MAPPED: Interval = { first: 0xffffn << 32n, last: (0xffffn << 32n) | 0xffff_ffffn }

/** A set of addresses, for membership per request and for inclusion at compile time. Immutable. */
export class AddressRanges {
  readonly #intervals: readonly Interval[]
  /** The same intervals as bytes, 16 for each end, ordered and apart from each other. */
  readonly #firsts: Uint8Array
  readonly #lasts: Uint8Array

  constructor(cidrs: readonly Cidr[], intervals: readonly Interval[] = mergeIntervals(cidrs.flatMap(intervalsOf))) {
    this.#intervals = intervals
    this.#firsts = new Uint8Array(intervals.length * 16)
    this.#lasts = new Uint8Array(intervals.length * 16)
    intervals.forEach((interval, index) => {
      writeBytes(interval.first, this.#firsts, index * 16)
      writeBytes(interval.last, this.#lasts, index * 16)
    })
  }

  /** Every IPv4 and every IPv6 address. */
  static everything(): AddressRanges {
    return new AddressRanges([], [{ first: 0n, last: (1n << 128n) - 1n }])
  }

  get isEmpty(): boolean {
    return this.#intervals.length === 0
  }

  /** Whether an address is in the set. `bytes` is what parseAddress returns; anything but 16 bytes is in no set. */
  contains(bytes: Uint8Array): boolean {
    if (bytes.length !== 16) return false
    let low = 0
    let high = this.#intervals.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      if (compareAt(bytes, this.#firsts, middle * 16) < 0) high = middle - 1
      else if (compareAt(bytes, this.#lasts, middle * 16) > 0) low = middle + 1
      else return true
    }
    return false
  }

  /** Addresses of this set that are not in `other`. */
  minus(other: AddressRanges): AddressRanges {
    const left: Interval[] = []
    let next = 0
    for (const { first, last } of this.#intervals) {
      let start = first
      while (next < other.#intervals.length && (other.#intervals[next]?.last ?? 0n) < start) next += 1
      for (let at = next; at < other.#intervals.length; at += 1) {
        const cut = other.#intervals[at]
        if (cut === undefined || cut.first > last) break
        if (cut.first > start) left.push({ first: start, last: cut.first - 1n })
        start = cut.last + 1n
      }
      if (start <= last) left.push({ first: start, last })
    }
    return new AddressRanges([], left)
  }

  /** Whether every address of `other` is in this set. */
  covers(other: AddressRanges): boolean {
    return other.minus(this).isEmpty
  }
}

function parseIpv4(text: string): Uint8Array | undefined {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text)) return undefined
  const bytes = new Uint8Array(16)
  bytes[10] = 0xff
  bytes[11] = 0xff
  bytes.set(ipaddr.IPv4.parse(text).octets, 12)
  return bytes
}

function parseCidrLoosely(text: string): Cidr | undefined {
  const slash = text.indexOf('/')
  const addressText = slash < 0 ? text : text.slice(0, slash)
  const bytes = parseAddress(addressText)
  if (bytes === undefined) return undefined
  const width = addressText.includes(':') ? 128 : 32
  const bitsText = slash < 0 ? String(width) : text.slice(slash + 1)
  if (!/^(0|[1-9][0-9]{0,2})$/.test(bitsText) || Number(bitsText) > width) return undefined
  const prefix = Number(bitsText) + 128 - width
  return { bytes, prefix, family: isMapped(bytes) && prefix >= MAPPED_PREFIX_BITS ? 4 : 6 }
}

function networkOf(cidr: Cidr): Uint8Array {
  return cidr.bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, cidr.prefix - index * 8))))
}

function intervalsOf(cidr: Cidr): Interval[] {
  const first = readBytes(networkOf(cidr))
  const last = first | ((1n << BigInt(128 - cidr.prefix)) - 1n)
  // ::/0 means all of IPv6 to its author: without this, `allow: [::/0]` would let every IPv4 address in too.
  if (cidr.family === 4 || last < MAPPED.first || first > MAPPED.last) return [{ first, last }]
  const parts: Interval[] = []
  if (first < MAPPED.first) parts.push({ first, last: MAPPED.first - 1n })
  if (last > MAPPED.last) parts.push({ first: MAPPED.last + 1n, last })
  return parts
}

function mergeIntervals(intervals: readonly Interval[]): Interval[] {
  const ordered = [...intervals].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  const merged: Interval[] = []
  for (const interval of ordered) {
    const before = merged.at(-1)
    if (before === undefined || interval.first > before.last + 1n) merged.push(interval)
    else if (interval.last > before.last) merged[merged.length - 1] = { first: before.first, last: interval.last }
  }
  return merged
}

function isMapped(bytes: Uint8Array): boolean {
  for (let index = 0; index < 10; index += 1) if (bytes[index] !== 0) return false
  return bytes[10] === 0xff && bytes[11] === 0xff
}

function hexGroup(bytes: Uint8Array, offset: number): string {
  return (((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0)).toString(16)
}

function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return compareAt(a, b, 0) === 0
}

function compareAt(bytes: Uint8Array, table: Uint8Array, offset: number): number {
  for (let index = 0; index < 16; index += 1) {
    const difference = (bytes[index] ?? 0) - (table[offset + index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function readBytes(bytes: Uint8Array): bigint {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return value
}

function writeBytes(value: bigint, target: Uint8Array, offset: number): void {
  for (let index = 15, rest = value; index >= 0; index -= 1, rest >>= 8n) target[offset + index] = Number(rest & 0xffn)
}

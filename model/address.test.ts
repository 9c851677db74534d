// Addresses: strict reading, canonical text, ranges against a naive reference.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  AddressRanges,
  type Cidr,
  describeCidrProblem,
  formatAddress,
  formatCidr,
  limitKeyOf,
  parseAddress,
  parseCidr,
} from './address.ts'

const bytesOf = (text: string): Uint8Array => {
  const bytes = parseAddress(text)
  if (bytes === undefined) throw new Error(`no address: ${text}`)
  return bytes
}
const cidrOf = (text: string): Cidr => {
  const cidr = parseCidr(text)
  if (cidr === undefined) throw new Error(`no range: ${text}`)
  return cidr
}

const ipv4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join('.'))
const ipv6 = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
const address = fc.oneof(
  ipv4,
  ipv6.map((groups) => groups.map((group) => group.toString(16)).join(':')),
)

describe('parseAddress', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:0A00:0001', '10.0.0.1'],
    ['0:0:0:0:0:ffff:a00:1', '10.0.0.1'],
    ['::1.2.3.4', '::102:304'],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['::', '::'],
  ])('%s is %s', (text, canonical) => {
    expect(formatAddress(bytesOf(text))).toBe(canonical)
  })

  test.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '0x1.2.3.4',
    '1.2.3.256',
    '16909060',
    ' 1.2.3.4',
    '1.2.3.4 ',
    '1.2.3.4\n',
    '1.2.3.4:80',
    'fe80::1%eth0',
    'fe80::1%1',
    '[::1]',
    '::ffff:010.0.0.1',
    '::0x1.2.3.4',
    '1::2::3',
    ':::',
    '1:',
    '1:2:3:4:5:6:7:8:9',
    '00001::',
    '::ffff:1.2.3',
    '١.٢.٣.٤',
    'localhost',
    '__proto__',
    '1'.repeat(10_000),
    ':'.repeat(10_000),
  ])('%j is none', (text) => {
    expect(parseAddress(text)).toBeUndefined()
  })

  test('canonical text reads back as the same bytes', () => {
    fc.assert(
      fc.property(address, (text) => {
        const bytes = bytesOf(text)
        expect(bytes).toHaveLength(16)
        expect(bytesOf(formatAddress(bytes))).toEqual(bytes)
      }),
    )
  })

  test('never throws', () => {
    const odd = fc.string({ unit: fc.constantFrom(...'0123456789abcdefx:./%[] \n'), maxLength: 60 })
    fc.assert(
      fc.property(fc.oneof(odd, fc.string()), (text) => {
        parseAddress(text)
        parseCidr(text)
        describeCidrProblem(text)
      }),
    )
  })
})

test('limits count an IPv4 address by itself, mapped or not, and an IPv6 address by its /64', () => {
  expect(limitKeyOf(bytesOf('::ffff:10.0.0.1'))).toBe('10.0.0.1')
  expect(limitKeyOf(bytesOf('2001:db8:1:2:3:4:5:6'))).toBe('2001:db8:1:2::/64')
  expect(limitKeyOf(bytesOf('2001:db8:1:2:ffff::'))).toBe('2001:db8:1:2::/64')
})

describe('parseCidr', () => {
  test.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['10.1.2.3', '10.1.2.3/32'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['::/0', '::/0'],
    ['2001:db8::1', '2001:db8::1/128'],
  ])('%s is %s', (text, canonical) => {
    expect(formatCidr(cidrOf(text))).toBe(canonical)
    expect(describeCidrProblem(text)).toBeUndefined()
  })

  test.each([
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '10.0.0.0/',
    '/8',
    '::/129',
    '10.0.0.0/8/8',
    '10/8',
    '::1%1/64',
  ])('%s is none', (text) => {
    expect(parseCidr(text)).toBeUndefined()
    expect(describeCidrProblem(text)).toContain('is no address range')
  })

  test('bits after the prefix are refused with the range that was meant', () => {
    expect(parseCidr('10.1.2.3/8')).toBeUndefined()
    expect(describeCidrProblem('10.1.2.3/8')).toBe('"10.1.2.3/8" has bits set after its prefix; write 10.0.0.0/8')
    expect(describeCidrProblem('2001:db8::1/32')).toContain('write 2001:db8::/32')
  })
})

describe('AddressRanges', () => {
  test('a range of IPv6 holds no IPv4 address, however wide', () => {
    const all6 = new AddressRanges([cidrOf('::/0')])
    expect(all6.contains(bytesOf('::1'))).toBe(true)
    expect(all6.contains(bytesOf('ffff::'))).toBe(true)
    expect(all6.contains(bytesOf('10.0.0.1'))).toBe(false)
    expect(new AddressRanges([cidrOf('0.0.0.0/0')]).contains(bytesOf('::1'))).toBe(false)
    expect(AddressRanges.everything().covers(new AddressRanges([cidrOf('::/0'), cidrOf('0.0.0.0/0')]))).toBe(true)
    expect(new AddressRanges([cidrOf('::/0'), cidrOf('0.0.0.0/0')]).covers(AddressRanges.everything())).toBe(true)
  })

  test('anything but 16 bytes is in no set', () => {
    expect(AddressRanges.everything().contains(new Uint8Array(4))).toBe(false)
  })

  // Few bits vary, so that random ranges meet, touch and nest.
  const near = fc.oneof(
    fc.tuple(fc.nat(15), fc.integer({ min: 28, max: 32 })).map(([host, bits]) => rangeText('10.0.0.', host, bits, 32)),
    fc.tuple(fc.nat(15), fc.integer({ min: 124, max: 128 })).map(([host, bits]) => rangeText('::', host, bits, 128)),
    fc.constantFrom('::/0', '0.0.0.0/0', '::/80', '10.0.0.0/8'),
  )
  const ranges = fc.array(near, { maxLength: 6 })
  const probes = [
    ...Array.from({ length: 16 }, (_, host) => `10.0.0.${host}`),
    ...Array.from({ length: 16 }, (_, host) => `::${host.toString(16)}`),
    '9.255.255.255',
    '10.0.0.16',
    '11.0.0.0',
    '255.255.255.255',
    '::10',
    '::fffe:ffff:ffff',
    '::1:0:0:0',
    'ffff::',
  ].map(bytesOf)

  function rangeText(front: string, host: number, bits: number, width: number): string {
    const network = host & ~((1 << (width - bits)) - 1)
    return `${front}${network.toString(width === 32 ? 10 : 16)}/${bits}`
  }

  function naive(texts: readonly string[], bytes: Uint8Array): boolean {
    return texts.some((text) => {
      const cidr = cidrOf(text)
      if ((cidr.family === 4) !== formatAddress(bytes).includes('.')) return false
      for (let bit = 0; bit < cidr.prefix; bit += 1) {
        const mask = 0x80 >> (bit % 8)
        if (((cidr.bytes[bit >> 3] ?? 0) & mask) !== ((bytes[bit >> 3] ?? 0) & mask)) return false
      }
      return true
    })
  }

  test('membership, difference and inclusion agree with a naive reference', () => {
    fc.assert(
      fc.property(ranges, ranges, (left, right) => {
        const a = new AddressRanges(left.map(cidrOf))
        const b = new AddressRanges(right.map(cidrOf))
        const rest = a.minus(b)
        for (const probe of probes) {
          expect(a.contains(probe)).toBe(naive(left, probe))
          expect(rest.contains(probe)).toBe(naive(left, probe) && !naive(right, probe))
          if (b.covers(a) && naive(left, probe)) expect(naive(right, probe)).toBe(true)
        }
        if (!b.covers(a)) expect(rest.isEmpty).toBe(false)
      }),
      { numRuns: 300 },
    )
  })
})

// Spellings of hosts: what is one host, what is refused, and what patterns cover.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalHost, hostCovers, patternCovers, patternsOverlap } from './host.ts'

describe('canonicalHost', () => {
  it.each([
    ['one.test', 'one.test'],
    ['ONE.Test', 'one.test'],
    ['one.test.', 'one.test'],
    ['one.test:8443', 'one.test'],
    ['one.test.:8443', 'one.test'],
    ['one.test:', 'one.test'],
    ['localhost', 'localhost'],
    ['my_app.wild.test', 'my_app.wild.test'],
    ['xn--bcher-kva.test', 'xn--bcher-kva.test'],
    ['10.0.0.1:80', '10.0.0.1'],
    ['[::1]', '[::1]'],
    ['[0:0:0:0:0:0:0:1]:8080', '[::1]'],
    ['[2001:DB8::A]', '[2001:db8::a]'],
    [`${'a'.repeat(63)}.test`, `${'a'.repeat(63)}.test`],
  ])('%s is %s', (text, host) => {
    expect(canonicalHost(text)).toBe(host)
  })

  it.each([
    '',
    '.',
    '..',
    'one.test..',
    '.one.test',
    'one..test',
    '*',
    '*.wild.test',
    'user@one.test',
    'one.test,two.test',
    'one.test two.test',
    ' one.test',
    'one.test ',
    'one%2etest',
    'one.test/',
    'one.test\\',
    'one.test:80:80',
    'one.test:x',
    'one.test:65536',
    'one.test:-1',
    'one.test:+80',
    '-one.test',
    'one-.test',
    `${'a'.repeat(64)}.test`,
    `${'a.'.repeat(126)}ab`,
    'one.test\u0000',
    'one\u3002test',
    'ONE.tes\u212a',
    'b\u00fccher.test',
    '127.1',
    '0x7f.0.0.1',
    '0x7f000001',
    '2130706433',
    '1.2.3.04',
    '256.0.0.1',
    '1.2.3.4.5',
    '[::1',
    '::1',
    '[::1]x',
    '[fe80::1%25eth0]',
    '[fe80::1%eth0]',
    '[v1.a]',
    '[]',
    '[:::]',
    '[1.2.3.4]',
    '__proto__.constructor\u0000',
  ])('%j is no host', (text) => {
    expect(canonicalHost(text)).toBeUndefined()
  })

  it('never throws and is a fixed point', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 300 }), fc.domain(), fc.ipV6(), fc.ipV4()), (text) => {
        const once = canonicalHost(text)
        if (once !== undefined) expect(canonicalHost(once)).toBe(once)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('patterns', () => {
  it('a wildcard stands for one or more whole labels', () => {
    expect(hostCovers('*.wild.test', 'a.wild.test')).toBe(true)
    expect(hostCovers('*.wild.test', 'a.b.wild.test')).toBe(true)
    expect(hostCovers('*.wild.test', 'wild.test')).toBe(false)
    expect(hostCovers('*.wild.test', '.wild.test')).toBe(false)
    expect(hostCovers('*.wild.test', 'awild.test')).toBe(false)
    expect(hostCovers('one.test', 'one.test')).toBe(true)
    expect(hostCovers('one.test', 'a.one.test')).toBe(false)
  })

  it('covers and overlaps', () => {
    expect(patternCovers('*.test', '*.wild.test')).toBe(true)
    expect(patternCovers('*.wild.test', '*.test')).toBe(false)
    expect(patternCovers('*.wild.test', 'a.wild.test')).toBe(true)
    expect(patternCovers('a.wild.test', '*.wild.test')).toBe(false)
    expect(patternCovers('*.ild.test', '*.wild.test')).toBe(false)
    expect(patternsOverlap('*.test', '*.wild.test')).toBe(true)
    expect(patternsOverlap('*.a.test', '*.b.test')).toBe(false)
    expect(patternsOverlap('a.test', 'a.test')).toBe(true)
    expect(patternsOverlap('*.a.test', 'a.test')).toBe(false)
  })

  it('covering is the same as holding for every host', () => {
    const label = fc.constantFrom('a', 'b', 'c')
    const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'))
    const pattern = fc.oneof(
      name,
      name.map((text) => `*.${text}`),
    )
    fc.assert(
      fc.property(pattern, pattern, name, (wide, narrow, host) => {
        if (patternCovers(wide, narrow) && hostCovers(narrow, host)) expect(hostCovers(wide, host)).toBe(true)
        if (hostCovers(wide, host) && hostCovers(narrow, host)) expect(patternsOverlap(wide, narrow)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})

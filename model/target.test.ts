// The one normalisation of paths: a table of what attackers try, and properties.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalPath, canonicalTarget, comparablePath, MAX_TARGET_LENGTH } from './target.ts'

describe('canonicalTarget', () => {
  it.each([
    ['/', '/', ''],
    ['/a?b=1', '/a', 'b=1'],
    ['/a?', '/a', ''],
    ['/a?b?c', '/a', 'b?c'],
    ['/api/p/grp%2Frepo', '/api/p/grp%2Frepo', ''],
    ['/api/p/grp%2frepo', '/api/p/grp%2frepo', ''],
    ['/api/go/http%3A%2F%2Fx.test%2Fy?u=a%26b+c', '/api/go/http%3A%2F%2Fx.test%2Fy', 'u=a%26b+c'],
    ['/api//x', '/api//x', ''],
    ['//admin', '//admin', ''],
    ['/api/x/../admin', '/api/admin', ''],
    ['/api/x/%2e%2E/admin', '/api/admin', ''],
    ['/api/x/.%2e/admin', '/api/admin', ''],
    ['/a/./b', '/a/b', ''],
    ['/a/.', '/a/', ''],
    ['/a/b/..', '/a/', ''],
    ['/a/..', '/', ''],
    ['/a//../b', '/a/b', ''],
    ['/a/..//b', '//b', ''],
    ['/%61dmin', '/admin', ''],
    ['/%7Euser', '/~user', ''],
    ['/%2561', '/%2561', ''],
    ['/...', '/...', ''],
    ['/.well-known/x', '/.well-known/x', ''],
    ['/a..b/.c', '/a..b/.c', ''],
    ['/caf%C3%A9', '/caf%C3%A9', ''],
    ['/a;v=1/b', '/a;v=1/b', ''],
    ['/a[0]|{b}^`', '/a[0]|{b}^`', ''],
    ['/a?x=100%&y=../..&z=\\"', '/a', 'x=100%&y=../..&z=\\"'],
  ])('%s', (raw, path, query) => {
    expect(canonicalTarget(raw)).toEqual({ path, query })
  })

  it.each([
    '',
    '*',
    'a',
    'http://one.test/',
    '/..',
    '/../a',
    '/a/../../b',
    '/%2e%2e/a',
    '/./../a',
    '/a/..;/b',
    '/a/..;x=1/b',
    '/a/..%3b/b',
    '/a/.;/b',
    '/a/%2e%2e;/b',
    '/a\\b',
    '/a%5cb',
    '/a%5Cb',
    '/a%00b',
    '/a\u0000b',
    '/a\tb',
    '/a b',
    '/a\nb',
    '/a\u007fb',
    '/a#b',
    '/a?b#c',
    '/a?b c',
    '/a?b\u0000',
    '/a?\u00e9',
    '/\u00e9',
    '/a%',
    '/a%2',
    '/a%zz',
    '/a%%36%31',
    '/%c0%af',
    '/%c0%ae%c0%ae/',
    '/%e0%80%af',
    '/%f0%80%80%af',
    '/a"b',
    '/<b>',
  ])('%j is refused', (raw) => {
    expect(canonicalTarget(raw)).toBe('BadRequest')
  })

  it('is too long beyond 8 KiB', () => {
    expect(canonicalTarget(`/${'a'.repeat(MAX_TARGET_LENGTH)}`)).toBe('UriTooLong')
    expect(canonicalTarget(`/${'a'.repeat(MAX_TARGET_LENGTH - 1)}`)).toEqual({
      path: `/${'a'.repeat(MAX_TARGET_LENGTH - 1)}`,
      query: '',
    })
  })

  const piece = fc.constantFrom(
    ...[
      '/',
      '.',
      '..',
      '%2e',
      '%2E',
      '%2f',
      '%25',
      '2e',
      '%',
      ';',
      '%3b',
      'a',
      'b',
      '//',
      '?',
      '%61',
      '\\',
      '%00',
      '&',
      '=',
    ],
  )
  const raw = fc.array(piece, { maxLength: 14 }).map((pieces) => `/${pieces.join('')}`)

  it('is a fixed point without dot segments, and never longer', () => {
    fc.assert(
      fc.property(raw, (text) => {
        const once = canonicalTarget(text)
        if (typeof once === 'string') return
        expect(canonicalTarget(once.query === '' ? once.path : `${once.path}?${once.query}`)).toEqual(once)
        expect(once.path.split('/').some((segment) => /^(\.|%2e){1,2}$/i.test(segment))).toBe(false)
        expect(once.path.length).toBeLessThanOrEqual(text.length)
      }),
      { numRuns: 20_000 },
    )
  })

  it('never leaves what a decoding backend would read as leaving the directory', () => {
    fc.assert(
      fc.property(raw, (text) => {
        const path = canonicalPath(text)
        if (path === undefined) return
        // A backend that decodes everything once except %2F, then removes dot segments, must see the same path.
        const decoded = path.replace(/%(?!2f)[0-9a-f]{2}/gi, (triplet) =>
          String.fromCharCode(Number.parseInt(triplet.slice(1), 16)),
        )
        expect(decoded.split('/').every((segment) => segment !== '.' && segment !== '..')).toBe(true)
      }),
      { numRuns: 5000 },
    )
  })

  it('compares escapes without case', () => {
    expect(comparablePath('/a%2fb%c3')).toBe('/a%2Fb%C3')
    expect(comparablePath('/a%252f')).toBe('/a%252f')
    expect(comparablePath('/plain')).toBe('/plain')
  })
})

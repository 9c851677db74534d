// Rewrites and redirects: the Gateway API's tables, and what attackers put behind a prefix.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PathChange, RedirectPlan } from '../../model/snapshot.ts'
import { canonicalPath } from '../../model/target.ts'
import { makeRequest } from '../../test/support/request.ts'
import { makeMatch } from '../../test/support/shard.ts'
import { createLocation, createTarget, secureLocation } from './target.ts'

const replacePrefix = (value: string): PathChange => ({ type: 'ReplacePrefixMatch', value })

describe('target', () => {
  it('is the path and query as received where nothing is rewritten', () => {
    const target = createTarget(null, makeMatch('/'))
    expect(target(makeRequest('/api/go/http%3A%2F%2fx?u=a%26b+c'))).toBe('/api/go/http%3A%2F%2fx?u=a%26b+c')
    expect(target(makeRequest('/a?'))).toBe('/a')
  })

  // Gateway API, HTTPPathModifier.replacePrefixMatch.
  it.each([
    ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz/', '/xyz/bar'],
    ['/foo', '/foo', '/xyz', '/xyz'],
    ['/foo/', '/foo', '/xyz', '/xyz/'],
    ['/foo/bar', '/foo', '', '/bar'],
    ['/foo/', '/foo', '', '/'],
    ['/foo', '/foo', '', '/'],
    ['/foo/', '/foo', '/', '/'],
    ['/foo', '/foo', '/', '/'],
    ['/foo//bar', '/foo', '/xyz', '/xyz//bar'],
    ['/anything', '/', '/xyz', '/xyz/anything'],
    ['/', '/', '/xyz', '/xyz/'],
    ['/foo/%2e%2e%2f', '/', '/xyz', '/xyz/foo/..%2f'],
    ['/a%2fb/c', '/a%2Fb', '/xyz', '/xyz/c'],
    ['/foo/bar', '/f%6fo', '/xyz', '/xyz/bar'],
  ])('%s with prefix %s and replacement %j is %s', (path, prefix, replacement, expected) => {
    const target = createTarget(replacePrefix(replacement), makeMatch(prefix))
    expect(target(makeRequest(`${path}?q=1`))).toBe(`${expected}?q=1`)
  })

  it('replaces the whole path and keeps the query', () => {
    const target = createTarget(
      { type: 'ReplaceFullPath', value: '/static' },
      makeMatch({ type: 'Exact', value: '/assets' }),
    )
    expect(target(makeRequest('/assets?v=1'))).toBe('/static?v=1')
  })

  it('is too long beyond 8 KiB', () => {
    const target = createTarget(replacePrefix(`/${'x'.repeat(1000)}`), makeMatch('/'))
    expect(target(makeRequest(`/${'a'.repeat(8000)}`))).toBe('UriTooLong')
  })

  it('is refused at load time where it cannot be', () => {
    expect(() => createTarget(replacePrefix('/x y'), makeMatch('/'))).toThrow('no path')
    expect(() => createTarget({ type: 'ReplaceFullPath', value: '/../x' }, makeMatch('/'))).toThrow('no path')
    expect(() => createTarget(replacePrefix('/x'), makeMatch({ type: 'RegularExpression', value: '/.*' }))).toThrow(
      'no prefix',
    )
  })

  it('never leaves the replacement, whatever follows the prefix', () => {
    const piece = fc.constantFrom('/', '.', '..', '%2e', '%2f', '%25', 'a', ';', '%3b', '//')
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 10 }),
        fc.constantFrom('/foo', '/foo/', '/'),
        fc.constantFrom('', '/', '/xyz', '/xyz/', '/x%2fz'),
        (pieces, prefix, replacement) => {
          const path = canonicalPath(`/foo/${pieces.join('')}`)
          if (path === undefined || !(path === '/foo' || path.startsWith('/foo/'))) return
          const target = createTarget(replacePrefix(replacement), makeMatch(prefix))(makeRequest(path))
          expect(canonicalPath(target)).toBe(target)
          const base = replacement.replace(/\/$/, '')
          expect(target === base || target.startsWith(`${base}/`)).toBe(true)
        },
      ),
      { numRuns: 5000 },
    )
  })
})

describe('location', () => {
  const location = (redirect: Partial<RedirectPlan>, target: string, port = 443, rest = {}) =>
    createLocation(
      { scheme: null, hostname: null, path: null, port: null, statusCode: 302, ...redirect },
      makeMatch('/foo'),
    )(makeRequest(target, rest), port)

  it.each([
    [{}, 443, 'https://one.test/foo?q=1'],
    [{}, 8443, 'https://one.test:8443/foo?q=1'],
    [{ scheme: 'http' }, 8443, 'http://one.test/foo?q=1'],
    [{ scheme: 'https' }, 8080, 'https://one.test/foo?q=1'],
    [{ scheme: 'https', port: 443 }, 8080, 'https://one.test/foo?q=1'],
    [{ scheme: 'http', port: 443 }, 80, 'http://one.test:443/foo?q=1'],
    [{ port: 8080 }, 443, 'https://one.test:8080/foo?q=1'],
    [{ hostname: 'two.test' }, 443, 'https://two.test/foo?q=1'],
    [{ path: { type: 'ReplaceFullPath', value: '/new' } }, 443, 'https://one.test/new?q=1'],
    [{ path: { type: 'ReplacePrefixMatch', value: '' } }, 443, 'https://one.test/?q=1'],
  ] as const)('%j on port %i is %s', (redirect, port, expected) => {
    expect(location(redirect, '/foo?q=1', port)).toBe(expected)
  })

  it('names a host whatever the path, and no character that a URI may not hold', () => {
    expect(location({ path: { type: 'ReplacePrefixMatch', value: '' } }, '/foo//evil.test/')).toBe(
      'https://one.test//evil.test/',
    )
    expect(location({}, '/foo/[{|}]^`?a="<>\\')).toBe('https://one.test/foo/%5B%7B%7C%7D%5D%5E%60?a=%22%3C%3E%5C')
  })

  it('of plain HTTP is the same over https, with a port only where it is not 443', () => {
    const request = makeRequest('/a?b=1', { scheme: 'http' })
    expect(secureLocation(request, 443)).toBe('https://one.test/a?b=1')
    expect(secureLocation(request, 8443)).toBe('https://one.test:8443/a?b=1')
  })
})

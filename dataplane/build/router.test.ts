// The router against the plain reading of its order: the first match that holds, whatever the set of matches.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareMatches } from '../../model/precedence.ts'
import type { MatchPlan } from '../../model/snapshot.ts'
import { comparablePath } from '../../model/target.ts'
import { makeRequest } from '../../test/support/request.ts'
import { makeMatch, makeRoute } from '../../test/support/shard.ts'
import { compilePath, pathHolds } from './path-index.ts'
import { BoundedPattern, PatternBudget, PatternCache, Undecidable } from './patterns.ts'
import { compilePredicates, QueryParameters } from './predicates.ts'
import { Router } from './router.ts'

const patternOf = (text: string) => new BoundedPattern(text)

const routerOf = (...matches: MatchPlan[]) => new Router(matches, patternOf, (match) => match.index)

const prefix = (value: string, rest: Partial<MatchPlan> = {}) => makeMatch(value, rest)
const exact = (value: string, rest: Partial<MatchPlan> = {}) => makeMatch({ type: 'Exact', value }, rest)
const pattern = (value: string, rest: Partial<MatchPlan> = {}) => makeMatch({ type: 'RegularExpression', value }, rest)

describe('paths', () => {
  it.each([
    ['/api', '/api', true],
    ['/api', '/api/', true],
    ['/api', '/api/x', true],
    ['/api', '/api//x', true],
    ['/api', '/apix', false],
    ['/api', '/API', false],
    ['/api', '//api', false],
    ['/api', '/api%2Fadmin', false],
    ['/api', '/%61pi/x', true],
    ['/api', '/x/../api', true],
    ['/api/', '/api', true],
    ['/api/', '/apix', false],
    ['/', '/anything', true],
    ['/a%2fb', '/a%2Fb/c', true],
    ['/a b', '/a%20b', false],
  ])('prefix %s, path %s: %s', (value, path, holds) => {
    expect(routerOf(prefix(value)).route(makeRequest(path)) === 0).toBe(holds)
  })

  it.each([
    ['/hello', '/hello', true],
    ['/hello', '/hello/', false],
    ['/hello', '/HELLO', false],
    ['/hello/', '/hello', false],
    ['/__proto__', '/__proto__', true],
  ])('exact %s, path %s: %s', (value, path, holds) => {
    expect(routerOf(exact(value)).route(makeRequest(path)) === 0).toBe(holds)
  })

  it.each([
    ['/v[0-9]+', '/v12', true],
    ['/v[0-9]+', '/v12/', false],
    ['/v[0-9]+', '/x/v12', false],
    ['/a|/ab', '/ab', true],
    ['/a%2Fb', '/a%2fb', true],
  ])('pattern %s, path %s: %s', (value, path, holds) => {
    expect(routerOf(pattern(value)).route(makeRequest(path)) === 0).toBe(holds)
  })

  it('takes the longest of more prefixes than are compared one by one', () => {
    const matches = Array.from({ length: 40 }, (_, index) => prefix(`/p${index}/x`, { index }))
    const router = routerOf(
      ...matches,
      prefix('/p7', { index: 97 }),
      prefix('/a/', { index: 98 }),
      prefix('/', { index: 99 }),
    )
    expect(router.route(makeRequest('/p7/x/y'))).toBe(7)
    expect(router.route(makeRequest('/p7/xy'))).toBe(97)
    expect(router.route(makeRequest('/a'))).toBe(98)
    expect(router.route(makeRequest('/p77/x'))).toBe(99)
  })
})

describe('conditions', () => {
  it('methods are exact', () => {
    const router = routerOf(prefix('/', { method: 'GET' }))
    expect(router.route(makeRequest('/'))).toBe(0)
    expect(router.route(makeRequest('/', { method: 'HEAD' }))).toBeUndefined()
  })

  it.each([
    [[['X-Version', '2']], 0],
    [[['x-version', '3']], undefined],
    [[], undefined],
    [
      [
        ['x-version', '2'],
        ['X-VERSION', '2'],
      ],
      0,
    ],
    [
      [
        ['x-version', '2'],
        ['x-version', '3'],
      ],
      undefined,
    ],
    [
      [
        ['x-version', '3'],
        ['x-version', '2'],
      ],
      undefined,
    ],
    [[['x-version', '2, 2']], undefined],
  ] as const)('headers hold where every field line does: %j', (headers, index) => {
    const router = routerOf(prefix('/', { headers: [{ name: 'x-version', type: 'Exact', value: '2' }] }))
    expect(router.route(makeRequest('/', { headers }))).toBe(index)
  })

  it.each([
    ['/?beta=1', 0],
    ['/?b%65ta=%31', 0],
    ['/?beta=1&beta=1', 0],
    ['/?beta=1&beta=2', undefined],
    ['/?beta=2&beta=1', undefined],
    ['/?beta', undefined],
    ['/?Beta=1', undefined],
    ['/?x=1;beta=1', undefined],
    ['/?beta=1#'.slice(0, -1), 0],
    [`/?${'a&'.repeat(256)}beta=1`, undefined],
  ])('query parameters hold where every value does: %s', (target, index) => {
    const router = routerOf(prefix('/', { queryParams: [{ name: 'beta', type: 'Exact', value: '1' }] }))
    expect(router.route(makeRequest(target))).toBe(index)
  })

  it('reads the query as a form', () => {
    const values = (query: string, name: string) => new QueryParameters(query).values(name)
    expect(values('a=x+y&a=%2B&a=100%&a=%C3%A9&__proto__=1', 'a')).toEqual(['x y', '+', '100%', '\u00e9'])
    expect(values('?a=1', '?a')).toEqual(['1'])
    expect(values('a=1&__proto__=2', '__proto__')).toEqual(['2'])
    expect(values('a=1', 'constructor')).toEqual([])
  })

  it('reads the query once, however many matches ask for it', () => {
    const matches = Array.from({ length: 500 }, (_, index) =>
      prefix('/', { queryParams: [{ name: `p${index}`, type: 'Exact', value: '1' }], index }),
    )
    let reads = 0
    const request = makeRequest(`/?${'a&'.repeat(250)}`)
    const counted = Object.defineProperty(Object.create(request), 'query', {
      get: () => {
        reads += 1
        return request.query
      },
    }) as typeof request
    expect(routerOf(...matches).route(counted)).toBeUndefined()
    expect(reads).toBe(1)
  })

  // The first rule is the one with the policy, and the backend takes the first value, or the last.
  it.each([
    ['/?debug=1&debug=0', []],
    ['/?debug=0&debug=1', []],
    [`/?debug=1${'&a'.repeat(256)}`, []],
    [
      '/',
      [
        ['x-debug', '1'],
        ['x-debug', '0'],
      ],
    ],
    [
      '/',
      [
        ['x-debug', '0'],
        ['x-debug', '1'],
      ],
    ],
  ] as const)('gives what can be read in two ways to no rule, not to the next one: %s %j', (target, headers) => {
    const router = routerOf(
      prefix('/', { queryParams: [{ name: 'debug', type: 'Exact', value: '1' }] }),
      prefix('/', { headers: [{ name: 'x-debug', type: 'Exact', value: '1' }], index: 1 }),
      prefix('/', { index: 2 }),
    )
    const request = makeRequest(target, { headers })
    expect(router.route(request)).toBeUndefined()
    expect(
      router
        .trace(request)
        .map(({ why }) => why)
        .join(),
    ).toContain('so no rule is chosen')
    expect(router.route(makeRequest('/?debug=0&debug=2'))).toBe(2)
    expect(router.route(makeRequest('/?debug=1&debug=1'))).toBe(0)
  })

  it('patterns stand for the whole value', () => {
    const router = routerOf(prefix('/', { headers: [{ name: 'x-id', type: 'RegularExpression', value: '[0-9]+' }] }))
    expect(router.route(makeRequest('/', { headers: [['x-id', '12']] }))).toBe(0)
    expect(router.route(makeRequest('/', { headers: [['x-id', 'a12']] }))).toBeUndefined()
  })

  it('says why', () => {
    const router = routerOf(
      exact('/b'),
      prefix('/a', { headers: [{ name: 'x-version', type: 'Exact', value: '2' }], index: 1 }),
      prefix('/', { method: 'POST', queryParams: [{ name: 'q', type: 'Exact', value: '1' }], index: 2 }),
      prefix('/', { queryParams: [{ name: 'q', type: 'RegularExpression', value: '[a-z]' }], index: 3 }),
      prefix('/ä', { index: 4 }),
      prefix('/', { method: 'GET', index: 5 }),
    )
    const request = makeRequest('/a?q=7&q=8')
    expect(router.trace(request).map(({ matched, why }) => [matched, why])).toEqual([
      [false, 'path: wants Exact /b'],
      [false, 'header x-version: wants "2", absent'],
      [false, 'method: wants POST, is GET'],
      [false, 'query q: wants pattern [a-z], is "7" and "8"'],
      [false, 'path: PathPrefix /ä is no valid path'],
      [true, 'PathPrefix /, method GET'],
    ])
  })
})

describe('patterns', () => {
  it('that would cost too much choose no rule at all', () => {
    const router = routerOf(pattern('/(a|b){1,50}.*'), prefix('/', { index: 1 }))
    expect(router.route(makeRequest('/ab'))).toBe(0)
    expect(router.route(makeRequest('/x'))).toBe(1)
    const long = makeRequest(`/x${'a'.repeat(8000)}`)
    expect(router.route(long)).toBeUndefined()
    expect(router.trace(long)[0]?.why).toBe('pattern: the text is too long for the pattern, so no rule is chosen')
  })

  it('stop when they have taken their time together', () => {
    const costly = Array.from({ length: 200 }, (_, index) => pattern(`.*a.{${5 + (index % 10)}}b.*x`, { index }))
    const router = routerOf(...costly, prefix('/', { index: 999 }))
    expect(router.route(makeRequest(`/${'abba'.repeat(1900)}`))).toBeUndefined()
  })

  it('in headers are bounded too', () => {
    const headers = [{ name: 'x-id', type: 'RegularExpression' as const, value: '(a|b){1,50}' }]
    const router = routerOf(prefix('/', { headers }), prefix('/', { index: 1 }))
    expect(router.route(makeRequest('/', { headers: [['x-id', 'ab']] }))).toBe(0)
    expect(router.route(makeRequest('/', { headers: [['x-id', 'a'.repeat(20_000)]] }))).toBeUndefined()
  })

  it('are compiled once for each tenant and text, and forgotten when nobody asks for them', () => {
    const cache = new PatternCache()
    const first = cache.sourceFor('acme')('/a+')
    expect(cache.sourceFor('globex')('/a+')).not.toBe(first)
    const again = cache.sourceFor('acme')
    expect(again('/a+')).toBe(first)
    expect(again('/a+')).toBe(first)
    cache.sourceFor('acme')
    expect(cache.sourceFor('acme')('/a+')).not.toBe(first)
  })
})

describe('any set of matches', () => {
  const segment = fc.constantFrom('a', 'b', 'ab', '', '%2f', '%2F', '%61', '..', 'x')
  const path = fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join('/')}`)
  const value = fc.constantFrom('1', '2')
  const condition = fc.record({ name: fc.constantFrom('h', 'k'), type: fc.constant('Exact' as const), value })
  const matchPlan = fc.record({
    path: fc.oneof(
      fc.record({ type: fc.constantFrom('Exact' as const, 'PathPrefix' as const), value: path }),
      fc.record({
        type: fc.constant('RegularExpression' as const),
        value: fc.constantFrom('/a.*', '/[ab]+', '.*', '/a|/b', '/x/.*'),
      }),
    ),
    method: fc.constantFrom(null, null, 'GET', 'POST'),
    headers: fc.array(condition, { maxLength: 1 }),
    queryParams: fc.array(condition, { maxLength: 1 }),
    route: fc.nat(3),
  })
  const pair = fc.tuple(fc.constantFrom('h', 'k'), value)
  const request = fc.record({
    path,
    method: fc.constantFrom('GET', 'POST', 'HEAD'),
    headers: fc.array(pair, { maxLength: 2 }),
    query: fc.array(pair, { maxLength: 2 }),
  })

  /** The definition: walk the list, take the first match of which every condition holds; none where one is undecidable. */
  function plainReading(
    matches: readonly MatchPlan[],
    head: ReturnType<typeof makeRequest>,
  ): number | undefined | 'undecidable' {
    try {
      return firstThatHolds(matches, head)
    } catch (error) {
      if (error instanceof Undecidable) return 'undecidable'
      throw error
    }
  }

  function firstThatHolds(matches: readonly MatchPlan[], head: ReturnType<typeof makeRequest>): number | undefined {
    return matches.find(
      (match) =>
        pathHolds(compilePath(match.path, patternOf), comparablePath(head.path), new PatternBudget()) &&
        compilePredicates(match, patternOf).every((predicate) =>
          predicate.holds(head, new PatternBudget(), new QueryParameters(head.query)),
        ),
    )?.index
  }

  it.each([
    ['in the order of precedence', true],
    ['in any order', false],
  ])('gives the first that holds, %s', (_order, sorted) => {
    fc.assert(
      fc.property(
        fc.array(matchPlan, { maxLength: 30 }),
        fc.array(request, { minLength: 5, maxLength: 10 }),
        (plans, requests) => {
          const routes = [0, 1, 2, 3].map((index) => makeRoute('acme', `r${index}`).id)
          const matches = plans.map((plan, index): MatchPlan => ({ ...plan, index }))
          const idOf = (match: MatchPlan) => routes[match.route] ?? makeRoute('acme', 'none').id
          if (sorted) matches.sort((a, b) => compareMatches(a, idOf(a), b, idOf(b)))
          const router = routerOf(...matches)
          for (const each of requests) {
            const query = each.query.map(([name, text]) => `${name}=${text}`).join('&')
            let head: ReturnType<typeof makeRequest>
            try {
              head = makeRequest(`${each.path}?${query}`, { method: each.method, headers: each.headers })
            } catch {
              continue
            }
            const expected = plainReading(matches, head)
            if (expected === 'undecidable') {
              expect(router.route(head)).toBeUndefined()
              continue
            }
            expect(router.route(head)).toBe(expected)
            expect(router.trace(head).find((entry) => entry.matched)?.route).toBe(expected)
          }
        },
      ),
      { numRuns: 700 },
    )
  })
})

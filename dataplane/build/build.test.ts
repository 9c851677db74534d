// From a shard to a program: what is shared, what is decided, what is refused; and the host table that programs go into.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Filter, Hooks } from '../../model/filter.ts'
import { hostCovers } from '../../model/host.ts'
import type { PoolId, TenantShard } from '../../model/snapshot.ts'
import { makeRequest } from '../../test/support/request.ts'
import { makeBackend, makeHost, makeMatch, makeRoute, makeShard, NO_LIMITS } from '../../test/support/shard.ts'
import { FieldList } from '../runtime/field-list.ts'
import { createLocalState } from '../runtime/local-state.ts'
import { buildTenant, type Backends } from './build.ts'
import type { Filters } from './chain.ts'
import { HostTable } from './host-table.ts'
import type { HostProgram, RouteProgram } from './program.ts'

const POOL: PoolId = { tenant: 'acme', namespace: 'acme-prod', service: 'web', port: 80, tls: '' }
const NO_ENDPOINTS: Backends = {
  backend: (plan) => ({ service: plan.service, pick: () => undefined, report: () => undefined }),
}

function build(shard: TenantShard, filters: Filters = {}) {
  const state = createLocalState()
  return { state, program: buildTenant(shard, { state, pools: NO_ENDPOINTS, filters }) }
}

function routeOf(host: HostProgram | undefined, target = '/'): RouteProgram {
  const route = host?.route(makeRequest(target))
  if (route === undefined) throw new Error(`no route for ${target}`)
  return route
}

const filterOf =
  (hooks: Hooks): Filter<never> =>
  () =>
    hooks

describe('buildTenant', () => {
  it('makes a program with everything of the tenant', () => {
    const limits = { ...NO_LIMITS, requests: { count: 1, seconds: 60, burst: 2 } }
    const { program } = build(
      makeShard('acme', { suspended: true, limits, hosts: [makeHost('one.test')], routes: [makeRoute('acme', 'r')] }),
    )
    expect(program).toMatchObject({ tenant: 'acme', shardHash: 'hash-of-acme', suspended: true, limits })
    expect([1, 2, 3].map(() => program.requests?.take('').allowed)).toEqual([true, true, false])
    expect(program.hosts[0]?.tenant).toBe(program)
    expect(build(makeShard('acme')).program.requests).toBeNull()
  })

  it('keeps the state of limits over builds', () => {
    const shard = makeShard('acme', { limits: { ...NO_LIMITS, requests: { count: 1, seconds: 60, burst: 1 } } })
    const { state, program } = build(shard)
    program.requests?.take('')
    const again = buildTenant(shard, { state, pools: NO_ENDPOINTS, filters: {} })
    expect(again.requests?.take('').allowed).toBe(false)
  })

  it('puts each hook in its list, in the order of the policies', async () => {
    const filters: Filters = {
      first: filterOf({ onRequest: () => undefined, onEnd: () => undefined }),
      second: filterOf({ onAuthenticated: () => undefined, onRequestChunk: () => undefined }),
      third: filterOf({ onRequest: () => undefined, onResponse: () => undefined, onResponseChunk: () => undefined }),
      nothing: filterOf({}),
    }
    const plans = ['first', 'second', 'nothing', 'third'].map((policy) => ({ policy, config: {}, origins: [] }))
    const { program } = build(
      makeShard('acme', { hosts: [makeHost('one.test')], routes: [makeRoute('acme', 'r', { filters: plans })] }),
      filters,
    )
    const route = routeOf(program.hosts[0])
    const shown = (steps: readonly { readonly policy: string; readonly slot: number }[]) =>
      steps.map(({ policy, slot }) => `${policy} ${slot}`)
    expect(route.slots).toBe(4)
    expect(shown(route.onRequest)).toEqual(['first 0', 'third 3', 'second 1'])
    expect(shown(route.onRequestChunk)).toEqual(['second 1'])
    expect(shown(route.onResponse)).toEqual(['third 3'])
    expect(shown(route.onResponseChunk)).toEqual(['third 3'])
    expect(shown(route.onEnd)).toEqual(['first 0'])
  })

  it('gives a filter its config, limiters of the pod and the counters of its policy', () => {
    const decisions: boolean[] = []
    const filters: Filters = {
      gate: ((config: { readonly burst: number }, services) => {
        const limiter = services.limiter(
          { tenant: services.tenant, origin: ['gate'] },
          { count: 1, seconds: 60, burst: config.burst },
        )
        return {
          onRequest: () => {
            const { allowed } = limiter.take('')
            decisions.push(allowed)
            services.count(allowed ? 'allowed' : 'refused')
            return undefined
          },
        }
      }) satisfies Filter<{ readonly burst: number }> as Filter<never>,
    }
    const plan = { policy: 'gate', config: { burst: 1 }, origins: [] }
    const shard = makeShard('acme', {
      hosts: [makeHost('one.test')],
      routes: [makeRoute('acme', 'r', { filters: [plan] })],
    })
    const { state, program } = build(shard, filters)
    for (const step of routeOf(program.hosts[0]).onRequest) {
      const exchange = { request: makeRequest('/') } as never
      void step.hook.call(step.hooks, exchange, step.slot)
      void step.hook.call(step.hooks, exchange, step.slot)
    }
    expect(decisions).toEqual([true, false])
    expect(state.read('acme').policies.get('gate')).toEqual({ allowed: 1, refused: 1 })
  })

  it.each([
    [
      'a policy that is not known',
      makeRoute('acme', 'r', { filters: [{ policy: 'waf', config: {}, origins: [] }] }),
      makeMatch('/'),
    ],
    [
      'a policy named like a property of every object',
      makeRoute('acme', 'r', { filters: [{ policy: 'constructor', config: {}, origins: [] }] }),
      makeMatch('/'),
    ],
    ['a pattern that is none', makeRoute('acme', 'r'), makeMatch({ type: 'RegularExpression', value: '(' })],
    [
      'a rewrite that is no path',
      makeRoute('acme', 'r', { rewrite: { hostname: null, path: { type: 'ReplaceFullPath', value: 'x' } } }),
      makeMatch('/'),
    ],
    ['a route that is not there', makeRoute('acme', 'r'), makeMatch('/', { route: 7 })],
  ])('throws for %s', (_what, route, match) => {
    expect(() =>
      build(makeShard('acme', { hosts: [makeHost('one.test', { matches: [match] })], routes: [route] })),
    ).toThrow()
  })

  it('shares a program between matches, except where the prefix is replaced', () => {
    const matches = [makeMatch('/a'), makeMatch('/b', { index: 1 }), makeMatch('/a', { method: 'POST', index: 2 })]
    const host = (rewrite: boolean) =>
      build(
        makeShard('acme', {
          hosts: [makeHost('one.test', { matches })],
          routes: [
            makeRoute('acme', 'r', {
              rewrite: rewrite ? { hostname: null, path: { type: 'ReplacePrefixMatch', value: '/x' } } : null,
            }),
          ],
        }),
      ).program.hosts[0]
    expect(routeOf(host(false), '/a')).not.toBe(undefined)
    const plain = host(false)
    expect(routeOf(plain, '/a')).toBe(routeOf(plain, '/b'))
    const replacing = host(true)
    expect(routeOf(replacing, '/a').target(makeRequest('/a/1'))).toBe('/x/1')
    expect(routeOf(replacing, '/b').target(makeRequest('/b/1'))).toBe('/x/1')
    expect(routeOf(replacing, '/a').onRequest).toBe(routeOf(replacing, '/b').onRequest)
  })

  it('changes headers by one function, or none', () => {
    const plan = {
      set: [{ name: 'X-Set', value: '1' }],
      add: [{ name: 'x-add', value: '2' }],
      remove: ['x-gone'],
    }
    const { program } = build(
      makeShard('acme', { hosts: [makeHost('one.test')], routes: [makeRoute('acme', 'r', { requestHeaders: plan })] }),
    )
    const route = routeOf(program.hosts[0])
    const head = new FieldList()
    for (const [name, value] of [
      ['x-set', '0'],
      ['x-add', '1'],
      ['x-gone', '1'],
    ] as const)
      head.add(name, value)
    route.changeRequestHeaders?.(head)
    expect(head.fields()).toEqual(['X-Set', '1', 'x-add', '1', 'x-add', '2'])
    expect(route.changeResponseHeaders).toBeNull()
  })

  it('picks backends by weight, a share without a pool as null', () => {
    const pick = (backends: ReturnType<typeof makeBackend>[], times = 100) => {
      const { program } = build(
        makeShard('acme', {
          hosts: [makeHost('one.test')],
          routes: [makeRoute('acme', 'r', { action: { type: 'forward', backends } })],
        }),
      )
      const route = routeOf(program.hosts[0])
      const counts = new Map<string | null, number>()
      for (let count = 0; count < times; count += 1) {
        const name = route.pickBackend()?.service.name ?? null
        counts.set(name, (counts.get(name) ?? 0) + 1)
      }
      return Object.fromEntries(counts)
    }
    const a = makeBackend('a', { pool: POOL, weight: 99 })
    expect(pick([a, makeBackend('b', { pool: POOL, weight: 1 })])).toEqual({ a: 99, b: 1 })
    expect(pick([a, makeBackend('b', { pool: POOL, weight: 0 })])).toEqual({ a: 100 })
    expect(pick([a, makeBackend('gone', { weight: 1 })])).toEqual({ a: 99, null: 1 })
    expect(pick([makeBackend('a', { pool: POOL, weight: 0 })], 1)).toEqual({ null: 1 })
    expect(pick([], 1)).toEqual({ null: 1 })
  })

  it('forwards nowhere where the rule redirects or may not serve', () => {
    const redirect = { scheme: null, hostname: null, path: null, port: null, statusCode: 302 }
    for (const action of [
      { type: 'redirect', redirect },
      { type: 'unavailable', error: 'PolicyNotReady' },
    ] as const) {
      const { program } = build(
        makeShard('acme', { hosts: [makeHost('one.test')], routes: [makeRoute('acme', 'r', { action })] }),
      )
      expect(routeOf(program.hosts[0]).pickBackend()).toBeUndefined()
    }
  })
})

describe('HostTable', () => {
  const programOf = (tenant: string, hosts: readonly string[]) =>
    build(makeShard(tenant, { hosts: hosts.map((host) => makeHost(host)), routes: [makeRoute(tenant, 'r')] })).program

  it('finds exact names before wildcards, and the longest wildcard', () => {
    const table = new HostTable()
    table.replace('acme', programOf('acme', ['one.test', '*.wild.test', '*.a.wild.test', 'x.wild.test']))
    const found = (host: string) => table.lookup(host)?.host
    expect(found('one.test')).toBe('one.test')
    expect(found('x.wild.test')).toBe('x.wild.test')
    expect(found('b.wild.test')).toBe('*.wild.test')
    expect(found('b.a.wild.test')).toBe('*.a.wild.test')
    expect(found('c.b.a.wild.test')).toBe('*.a.wild.test')
    for (const host of ['wild.test', 'a.one.test', 'two.test', 'xwild.test', '__proto__', '']) {
      expect(found(host)).toBeUndefined()
    }
  })

  it('replaces one tenant and leaves the others alone', () => {
    const table = new HostTable()
    const globex = programOf('globex', ['two.test'])
    table.replace('acme', programOf('acme', ['one.test', 'old.test']))
    table.replace('globex', globex)
    table.replace('acme', programOf('acme', ['one.test', 'new.test']))
    expect(table.lookup('old.test')).toBeUndefined()
    expect(table.lookup('new.test')?.tenant.tenant).toBe('acme')
    expect(table.lookup('two.test')?.tenant).toBe(globex)
    table.replace('acme', undefined)
    expect(table.lookup('one.test')).toBeUndefined()
    expect([...table.tenants()]).toEqual([globex])
    expect(table.tenant('globex')).toBe(globex)
  })

  it.each([
    ['the old holder first', ['acme', 'globex']],
    ['the new holder first', ['globex', 'acme']],
  ] as const)('hands a host over, %s', (_order, order) => {
    const table = new HostTable()
    table.replace('acme', programOf('acme', ['moves.test']))
    const after = { acme: programOf('acme', []), globex: programOf('globex', ['moves.test']) }
    for (const tenant of order) table.replace(tenant, after[tenant])
    expect(table.lookup('moves.test')?.tenant.tenant).toBe('globex')
  })

  it('agrees with the plain reading for any set of names', () => {
    const label = fc.constantFrom('a', 'b', 'c')
    const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))
    const pattern = fc.oneof(
      name,
      name.map((text) => `*.${text}`),
    )
    fc.assert(
      fc.property(fc.uniqueArray(pattern, { maxLength: 12 }), fc.array(name, { maxLength: 10 }), (patterns, hosts) => {
        const table = new HostTable()
        table.replace('acme', programOf('acme', patterns))
        for (const host of hosts) {
          const holding = patterns.filter((each) => hostCovers(each, host))
          const best = holding.includes(host) ? host : holding.sort((a, b) => b.length - a.length)[0]
          expect(table.lookup(host)?.host).toBe(best)
        }
      }),
      { numRuns: 300 },
    )
  })
})

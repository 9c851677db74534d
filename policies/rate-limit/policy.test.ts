// rateLimits: buckets and their keys, headers, all layers hold, and what an override leaves without effect.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { schemaChecker, Findings } from '../../model/check-value.ts'
import type { PolicyLayer } from '../../model/define-policy.ts'
import type { Exchange, FilterServices, Hooks, Limiter } from '../../model/filter.ts'
import { tupleKey } from '../../model/resources.ts'
import { schemaNode } from '../../model/schema.ts'
import type { RouteId } from '../../model/snapshot.ts'
import { createTestExchange, TestResponseHead } from '../../test/support/exchange.ts'
import { rateLimitFilter } from './filter.ts'
import { rateLimits } from './policy.ts'
import type { RateLimitsBody } from './schema.ts'

/** A pod with plain token buckets, exact in whole milliseconds: a reference, not the limiter that ships. */
class Pod {
  now = 0
  readonly buckets = new Map<string, { tokens: number; at: number }>()
  readonly counted: string[] = []

  services(route: Partial<RouteId> = {}): FilterServices {
    const id = { tenant: 'acme', namespace: 'acme', route: 'shop', rule: 0, ruleName: '', ...route }
    return {
      tenant: 'acme',
      route: id,
      limiter: ({ tenant, origin }, rate) => this.limiter(tupleKey([tenant, ...origin]), rate),
      count: (decision) => this.counted.push(decision),
    }
  }

  limiter(id: string, rate: { count: number; seconds: number; burst: number }): Limiter {
    const perToken = rate.seconds * 1000
    const full = rate.burst * perToken
    return {
      take: (key) => {
        const name = tupleKey([id, key])
        const bucket = this.buckets.get(name) ?? { tokens: full, at: this.now }
        const tokens = Math.min(full, bucket.tokens + (this.now - bucket.at) * rate.count)
        const allowed = tokens >= perToken
        const left = allowed ? tokens - perToken : tokens
        this.buckets.set(name, { tokens: left, at: this.now })
        return {
          allowed,
          remaining: Math.floor(left / perToken),
          resetAfter: (full - left) / rate.count / 1000,
          retryAfter: allowed ? 0 : (perToken - left) / rate.count / 1000,
        }
      },
    }
  }
}

interface Request {
  readonly at?: number
  readonly client?: string
  readonly headers?: Readonly<Record<string, readonly string[]>>
}

function createExchange(request: Request): Exchange {
  const fields = Object.entries(request.headers ?? {}).flatMap(([name, values]) =>
    values.map((value) => [name, value] as const),
  )
  return createTestExchange({ fields, ...(request.client === undefined ? {} : { client: request.client }) })
}

function layerOf(body: RateLimitsBody, override = false): PolicyLayer<RateLimitsBody> {
  return override
    ? { body, origin: { kind: 'Tenant', namespace: '', name: 'acme' }, point: 'TenantOverrides' }
    : { body, origin: { kind: 'Policy', namespace: 'acme', name: 'edge' }, point: 'Namespace' }
}

/** The answer to one request, with the headers that its response gets. */
function ask(hooks: Hooks, request: Request = {}) {
  const exchange = createExchange(request)
  const answer = hooks.onRequest?.(exchange, 0)
  const response = new TestResponseHead()
  hooks.onResponse?.(exchange, response, answer === undefined ? 'backend' : 'gateway', 0)
  return { answer, allowed: answer === undefined, headers: Object.fromEntries(response.fields) }
}

function gateOf(pod: Pod, layers: readonly PolicyLayer<RateLimitsBody>[], route: Partial<RouteId> = {}) {
  return rateLimitFilter(rateLimits.compile(layers), pod.services(route))
}

test('the answer and the headers of one limit', () => {
  const pod = new Pod()
  const gate = gateOf(pod, [layerOf([{ name: 'all', rate: '2/m' }])])
  expect(ask(gate)).toEqual({
    answer: undefined,
    allowed: true,
    headers: { 'RateLimit-Policy': '"all";q=2;w=60', RateLimit: '"all";r=1;t=30' },
  })
  expect(ask(gate).headers['RateLimit']).toBe('"all";r=0;t=60')
  pod.now = 10_500
  expect(ask(gate)).toEqual({
    answer: { code: 'RequestRateExceeded', retryAfter: 20, decidedBy: 'rateLimits/all' },
    allowed: false,
    headers: { 'RateLimit-Policy': '"all";q=2;w=60', RateLimit: '"all";r=0;t=50' },
  })
  expect(pod.counted).toEqual(['allowed', 'allowed', 'refused'])
})

test('Retry-After is at least one second, and long enough', () => {
  const pod = new Pod()
  const gate = gateOf(pod, [layerOf([{ name: 'fast', rate: '100/s', burst: 1 }])])
  ask(gate)
  expect(ask(gate).answer).toMatchObject({ retryAfter: 1 })
  pod.now = 1000
  expect(ask(gate).allowed).toBe(true)
})

test('a limit with a burst is shown as a window that fills the burst', () => {
  const fields = [
    [{ name: 'a', rate: '20/s', burst: 40 }, '"a";q=40;w=2'],
    [{ name: 'a', rate: '10000/h' }, '"a";q=10000;w=3600'],
    [{ name: 'a', rate: '600/m', burst: 1 }, '"a";q=1;w=1'],
  ] as const
  for (const [limit, field] of fields) {
    expect(ask(gateOf(new Pod(), [layerOf([limit])])).headers['RateLimit-Policy']).toBe(field)
  }
})

test('several limits: document order, the later ones unspent, the tightest shown', () => {
  const pod = new Pod()
  const body = [
    { name: 'first', rate: '2/h' },
    { name: 'second', rate: '3/h' },
  ]
  const gate = gateOf(pod, [layerOf(body)])
  expect(ask(gate).headers).toEqual({
    'RateLimit-Policy': '"first";q=2;w=3600, "second";q=3;w=3600',
    RateLimit: '"first";r=1;t=1800',
  })
  ask(gate)
  for (let turn = 0; turn < 5; turn += 1) expect(ask(gate).answer).toMatchObject({ decidedBy: 'rateLimits/first' })
  pod.now = 1_800_000
  // Of the second bucket two were spent, not seven.
  expect(ask(gate)).toMatchObject({ allowed: true })
})

test('no limits, no headers; a request that another policy answered before gets none', () => {
  expect(gateOf(new Pod(), [layerOf([])])).toEqual({})
  const gate = gateOf(new Pod(), [layerOf([{ name: 'a', rate: '1/s' }])])
  const response = new TestResponseHead()
  gate.onResponse?.(createExchange({}), response, 'gateway', 0)
  expect(response.fields).toEqual([])
})

describe('keys', () => {
  const once = (key: RateLimitsBody[number]['key']) =>
    gateOf(new Pod(), [layerOf([{ name: 'a', rate: '1/d', ...(key === undefined ? {} : { key }) }])])
  const fresh = (gate: Hooks, request: Request) => ask(gate, request).allowed

  test('none: one bucket for all', () => {
    const gate = once(undefined)
    expect(fresh(gate, { client: '10.0.0.1' })).toBe(true)
    expect(fresh(gate, { client: '10.0.0.2' })).toBe(false)
  })

  test('clientIP: the limit key of the client', () => {
    const gate = once([{ clientIP: {} }])
    expect(fresh(gate, { client: '10.0.0.1' })).toBe(true)
    expect(fresh(gate, { client: '10.0.0.1' })).toBe(false)
    expect(fresh(gate, { client: '::ffff:10.0.0.1' })).toBe(false)
    expect(fresh(gate, { client: '2001:db8::1' })).toBe(true)
    expect(fresh(gate, { client: '2001:db8::ffff:1' })).toBe(false)
    expect(fresh(gate, { client: '2001:db8:0:1::1' })).toBe(true)
  })

  test('header: the value; absent, empty and repeated ones share a bucket; long ones are cut', () => {
    const gate = once([{ header: 'X-Api-Key' }])
    expect(fresh(gate, { headers: { 'x-api-key': ['one'] } })).toBe(true)
    expect(fresh(gate, { headers: { 'x-api-key': ['one'] } })).toBe(false)
    expect(fresh(gate, { headers: { 'x-api-key': ['two'] } })).toBe(true)
    expect(fresh(gate, {})).toBe(true)
    expect(fresh(gate, { headers: { 'x-api-key': [''] } })).toBe(false)
    expect(fresh(gate, { headers: { 'x-api-key': ['three', 'four'] } })).toBe(false)
    expect(fresh(gate, { headers: { 'x-api-key': ['z'.repeat(256)] } })).toBe(true)
    expect(fresh(gate, { headers: { 'x-api-key': [`${'z'.repeat(256)}y`] } })).toBe(false)
  })

  test('combined: no two combinations share a bucket', () => {
    const gate = once([{ header: 'a' }, { header: 'b' }, { clientIP: {} }])
    expect(fresh(gate, { headers: { a: ['1'], b: ['23'] } })).toBe(true)
    expect(fresh(gate, { headers: { a: ['12'], b: ['3'] } })).toBe(true)
    expect(fresh(gate, { headers: { a: ['1'], b: ['23'] }, client: '10.0.0.9' })).toBe(true)
    expect(fresh(gate, { headers: { a: ['1'], b: ['23'] } })).toBe(false)
  })

  test('route: each rule has its own bucket; without it all rules of the Policy share one', () => {
    for (const [key, own] of [
      [[{ route: {} }], true],
      [undefined, false],
    ] as const) {
      const pod = new Pod()
      const layers = [layerOf([{ name: 'a', rate: '1/d', ...(key === undefined ? {} : { key: [...key] }) }])]
      expect(ask(gateOf(pod, layers, { rule: 0 })).allowed).toBe(true)
      expect(ask(gateOf(pod, layers, { rule: 1 })).allowed).toBe(own)
      expect(ask(gateOf(pod, layers, { rule: 0, ruleName: 'api' })).allowed).toBe(own)
      // A named rule keeps its bucket when its position changes, and so does every bucket when the rate changes.
      const changed = [layerOf([{ name: 'a', rate: '2/d', burst: 1, ...(key === undefined ? {} : { key: [...key] }) }])]
      expect(ask(gateOf(pod, changed, { rule: 5, ruleName: 'api' })).allowed).toBe(false)
    }
  })

  test('defaults and overrides of one Tenant, and limits of the same name elsewhere, are different buckets', () => {
    const body = [{ name: 'a', rate: '1/d' }]
    const origin = { kind: 'Tenant', namespace: '', name: 'acme' } as const
    const pod = new Pod()
    const layers = [
      { body, origin, point: 'TenantOverrides' },
      { body, origin, point: 'TenantDefaults' },
      { body, origin: { kind: 'Policy', namespace: 'a', name: 'b' }, point: 'Rule' },
    ] as const
    expect(layers.every((layer) => ask(gateOf(pod, [layer])).allowed)).toBe(true)
    // The same Policy at another place is the same bucket.
    expect(ask(gateOf(pod, [{ ...layers[2], point: 'Namespace' }])).allowed).toBe(false)
  })
})

describe('an override', () => {
  const key = fc.constantFrom<NonNullable<RateLimitsBody[number]['key']>>(
    [],
    [{ clientIP: {} }],
    [{ header: 'k' }],
    [{ route: {} }],
    [{ clientIP: {} }, { header: 'K' }],
  )
  const body = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      rate: fc.constantFrom('1/s', '2/s', '60/m', '5/s', '90/m'),
      burst: fc.integer({ min: 1, max: 4 }),
      key,
    }),
    { selector: (limit) => limit.name, maxLength: 3 },
  )
  const requests = fc.array(
    fc.record({
      at: fc.integer({ min: 0, max: 700 }),
      client: fc.constantFrom('10.0.0.1', '2001:db8::1', '2001:db8::2'),
      headers: fc.constantFrom<Record<string, string[]>>({}, { k: ['1'] }, { k: ['2'] }),
    }),
    { maxLength: 40 },
  )

  /** Which requests pass. `at` is the time since the one before. */
  function replay(layers: readonly PolicyLayer<RateLimitsBody>[], asked: readonly Request[]): readonly boolean[] {
    const pod = new Pod()
    const gate = gateOf(pod, layers)
    return asked.map((request) => {
      pod.now += request.at ?? 0
      return gate.onRequest === undefined || ask(gate, request).allowed
    })
  }

  test('what both layers let through, each of them lets through alone', () => {
    fc.assert(
      fc.property(body, body, requests, (override, own, asked) => {
        const layers = [layerOf(override, true), layerOf(own)]
        const passed = replay(layers, asked)
        const admitted: Request[] = []
        let waited = 0
        asked.forEach((request, index) => {
          waited += request.at
          if (passed[index] !== true) return
          admitted.push({ ...request, at: waited })
          waited = 0
        })
        for (const layer of layers) expect(replay([layer], admitted)).not.toContain(false)
      }),
      { numRuns: 200 },
    )
  })

  test('a limit that is called lost changes no decision', () => {
    fc.assert(
      fc.property(body, body, requests, (override, own, asked) => {
        const lost = new Set(rateLimits.looserFields(own, override).map((field) => field.path[0]))
        const kept = own.filter((_, index) => !lost.has(index))
        expect(replay([layerOf(override, true), layerOf(kept)], asked)).toEqual(
          replay([layerOf(override, true), layerOf(own)], asked),
        )
      }),
      { numRuns: 300 },
    )
  })

  test('says which limit wins; equal ones and other keys are not lost', () => {
    const perClient = { name: 'mine', rate: '20/s', key: [{ clientIP: {} }] }
    expect(rateLimits.looserFields([perClient], [{ name: 'cap', rate: '10/s', key: [{ clientIP: {} }] }])).toEqual([
      { path: [0], because: "allows 20/s by clientIP, the override's cap 10/s by clientIP" },
    ])
    expect(rateLimits.looserFields([perClient], [{ name: 'cap', rate: '10/s', burst: 5 }])).toHaveLength(1)
    expect(rateLimits.looserFields([perClient], [perClient])).toEqual([])
    expect(rateLimits.looserFields([perClient], [{ name: 'cap', rate: '10/s', key: [{ header: 'k' }] }])).toEqual([])
    expect(rateLimits.looserFields([{ name: 'mine', rate: '5/s' }], [{ name: 'cap', rate: '10/s' }])).toEqual([])
  })
})

test('the schema refuses two limits of one name, a key with nothing or too much in it, and more than 16 limits', () => {
  const check = schemaChecker(schemaNode(rateLimits.body))
  const problems = (value: unknown) => {
    const findings = new Findings()
    check(value, findings)
    return findings.problems.map((problem) => problem.message)
  }
  const limit = { name: 'a', rate: '1/s' }
  expect(problems([limit])).toEqual([])
  expect(problems([limit, limit])).toEqual(['[1] repeats name "a" of item 0; each may stand there once.'])
  expect(problems([{ ...limit, key: [{}] }])[0]).toContain('name one of clientIP, header and route')
  expect(problems([{ ...limit, key: [{ route: {} }, { route: {} }] }])[0]).toContain('each part stands in the key once')
  expect(problems([{ ...limit, rate: '0/s' }])[0]).toContain('must be a rate such as')
  expect(problems(Array.from({ length: 17 }, (_, at) => ({ ...limit, name: `l${at}` })))[0]).toContain('at most 16')
})

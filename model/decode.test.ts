// Decode: never throws, accepts what is right, and says where and what is wrong.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createDecoders, type DecodeResult } from './decode.ts'
import { definePolicy } from './define-policy.ts'
import type { FieldPath } from './issue.ts'
import { flag, object } from './schema.ts'

const marker = definePolicy({
  name: 'marker',
  body: object({ on: flag({ description: 'Whether.' }) }, { description: 'A policy for this test.' }),
  attachesTo: ['TenantDefaults', 'Namespace', 'Route', 'Rule'],
  check: (body) => (body.on ? [] : [{ path: ['on'], message: 'off makes no sense' }]),
  looserFields: () => [],
  compile: (layers) => layers.length,
})
const decoders = createDecoders([marker])

const route = {
  hostnames: ['shop.acme.example.com', '*.acme.example.com'],
  requires: ['access'],
  tls: {
    certificateRefs: [{ name: 'shop-tls' }],
    minVersion: '1.3',
    plainHTTP: 'Refuse',
    clientValidation: { caCertificateRefs: [{ kind: 'Secret', name: 'ca', namespace: 'pki' }], mode: 'Optional' },
  },
  rules: [
    {
      name: 'api',
      matches: [
        {
          path: { type: 'PathPrefix', value: '/api' },
          method: 'GET',
          headers: [{ name: 'x-version', value: '2' }],
          queryParams: [{ type: 'RegularExpression', name: 'beta', value: '[0-9]+' }],
        },
      ],
      filters: [
        { type: 'URLRewrite', urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' } } },
        { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-tenant', value: 'acme' }] } },
      ],
      backendRefs: [
        { name: 'api', port: 8080, weight: 90 },
        { name: 'api', port: 'http', weight: 10 },
      ],
      balance: { algorithm: 'RoundRobin' },
      timeouts: { request: '30s', backendRequest: '10s', connect: '1s', idle: '1m30s' },
      retry: { attempts: 2, when: ['ConnectFailure'], backoff: '25ms' },
      healthCheck: { passive: { consecutiveFailures: 5, ejectFor: '10s', maxEjectedPercent: 50 } },
    },
    { filters: [{ type: 'RequestRedirect', requestRedirect: { scheme: 'https', statusCode: 301 } }] },
  ],
}
const tenant = {
  displayName: 'Acme Corp',
  namespaces: ['acme-prod'],
  namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'In', values: ['acme'] }] },
  hostnames: ['acme.example.com', '*.acme.example.com'],
  hostnameExceptions: ['shop.acme.example.com'],
  tls: { certificateRefs: [{ namespace: 'acme-prod', name: 'wildcard' }] },
  limits: {
    requests: { rate: '500/s', burst: 1000 },
    concurrency: 200,
    connections: 2000,
    bodySize: '10Mi',
    routes: 200,
  },
  policies: { defaults: { marker: { on: true } } },
  requires: ['marker'],
  suspended: false,
}
const policy = { targetRefs: [{ kind: 'Route', name: 'shop', sectionName: 'api' }], marker: { on: true } }

function messages(result: DecodeResult<unknown>): readonly string[] {
  return result.ok ? [] : result.problems.map((problem) => problem.message)
}
const routeMessages = (change: (spec: Record<string, unknown>) => void) => {
  const spec = structuredClone(route) as Record<string, unknown>
  change(spec)
  return messages(decoders.route({ spec }))
}

describe('what is right passes', () => {
  test('Tenant, Route, Policy', () => {
    expect(decoders.tenant({ spec: tenant })).toEqual({ ok: true, value: tenant })
    expect(decoders.route({ spec: route })).toEqual({ ok: true, value: route })
    expect(decoders.policy({ spec: policy })).toEqual({
      ok: true,
      value: { targetRefs: policy.targetRefs, bodies: { marker: { on: true } } },
    })
    expect(decoders.policy({ spec: {} })).toEqual({ ok: true, value: { bodies: {} } })
  })

  test('core kinds: unknown fields are ignored, null means absent', () => {
    const slice = {
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true, serving: null }, deprecatedTopology: {} }],
      ports: null,
    }
    const result = decoders.endpointSlice(slice)
    expect(result.ok && result.value.ports).toBeUndefined()
    expect(result.ok && result.value.endpoints?.[0]?.conditions).toEqual({ ready: true })
    const service = { spec: { ports: [{ port: 80, targetPort: 'http' }], clusterIP: '10.96.0.1' } }
    const decoded = decoders.service(service)
    expect(decoded.ok && decoded.value).toBe(service)
    expect(decoders.namespace({ status: { phase: 'Active' } }).ok).toBe(true)
    expect(messages(decoders.pod({ status: { podIP: 7 } }))).toEqual([
      'status.podIP must be text, not the number 7. Put it in quotes.',
    ])
    expect(messages(decoders.referenceGrant({ spec: { from: [], to: [{ group: '', kind: 'Service' }] } }))).toEqual([
      'spec.from is empty; it needs at least one item.',
    ])
  })
})

describe('what is wrong is said', () => {
  const cases: readonly [string, (spec: Record<string, unknown>) => void, string][] = [
    ['unknown', (spec) => (spec['ruels'] = []), 'spec.ruels is unknown; did you mean rules?'],
    [
      'far',
      (spec) => (spec['balancer'] = {}),
      'spec.balancer is unknown; known here: hostnames, requires, tls, rules.',
    ],
    [
      'missing',
      (spec) => (spec['rules'] = [{ backendRefs: [{ name: 'a' }] }]),
      'spec.rules[0].backendRefs[0].port is missing.',
    ],
    ['null', (spec) => (spec['tls'] = null), 'spec.tls has no value; give it one or leave the field out.'],
    ['type', (spec) => (spec['hostnames'] = 'a'), 'spec.hostnames must be a list, not "a".'],
    [
      'number',
      (spec) => (spec['requires'] = [5]),
      'spec.requires[0] must be text, not the number 5. Put it in quotes.',
    ],
    [
      'pattern',
      (spec) => (spec['hostnames'] = ['Shop.example.com']),
      'spec.hostnames[0] must be a hostname: lower case, without a port or a trailing dot, a wildcard only as *. in front; it is "Shop.example.com".',
    ],
    ['long', (spec) => (spec['hostnames'] = ['a'.repeat(300)]), 'spec.hostnames[0] is longer than 253 characters.'],
    [
      'bounds',
      (spec) => (spec['rules'] = [{ retry: { attempts: 6 } }]),
      'spec.rules[0].retry.attempts must be from 0 to 5, not 6.',
    ],
    [
      'fraction',
      (spec) => (spec['rules'] = [{ retry: { attempts: 1.5 } }]),
      'spec.rules[0].retry.attempts must be a whole number, not 1.5.',
    ],
    [
      'word',
      (spec) => (spec['tls'] = { plainHTTP: 'redirect' }),
      'spec.tls.plainHTTP must be one of Redirect, Serve, Refuse, not "redirect". Did you mean Redirect?',
    ],
    [
      'items',
      (spec) => (spec['hostnames'] = Array.from({ length: 17 }, (_, at) => `h${at}`)),
      'spec.hostnames has 17 items; at most 16 are allowed.',
    ],
    [
      'set',
      (spec) => (spec['hostnames'] = ['a', 'b', 'a']),
      'spec.hostnames[2] repeats "a" of item 0; each may stand there once.',
    ],
    [
      'map',
      (spec) =>
        (spec['rules'] = [
          {
            matches: [
              {
                headers: [
                  { name: 'a', value: '1' },
                  { name: 'a', value: '2' },
                ],
              },
            ],
          },
        ]),
      'spec.rules[0].matches[0].headers[1] repeats name "a" of item 0; each may stand there once.',
    ],
    ['rule', (spec) => (spec['rules'] = [{ name: 'a' }, { name: 'a' }]), 'spec.rules: names of rules are unique.'],
    [
      'grammar',
      (spec) => (spec['rules'] = [{ timeouts: { request: '99h' } }]),
      'spec.rules[0].timeouts.request: "99h" is longer than 24h.',
    ],
    [
      'zero',
      (spec) => (spec['rules'] = [{ timeouts: { connect: '0s' } }]),
      'spec.rules[0].timeouts.connect: must be more than 0.',
    ],
    [
      'port',
      (spec) => (spec['rules'] = [{ backendRefs: [{ name: 'a', port: 0 }] }]),
      'spec.rules[0].backendRefs[0].port must be from 1 to 65535, not 0.',
    ],
  ]
  test.each(cases)('%s', (_, change, message) => {
    expect(routeMessages(change)).toEqual([message])
  })

  test('no spec, another spec, names of the language', () => {
    expect(messages(decoders.route({}))).toEqual(['spec is missing.'])
    expect(messages(decoders.route({ spec: [] }))).toEqual(['spec must be an object, not a list.'])
    expect(messages(decoders.route({ sepc: {}, status: {} }))).toEqual([
      'spec is missing.',
      'sepc is unknown; did you mean spec?',
    ])
    const hostile = JSON.parse('{"spec":{"__proto__":{"rules":[]},"constructor":1,"toString":2}}') as Record<
      string,
      unknown
    >
    expect(messages(decoders.route(hostile))).toHaveLength(3)
    expect(messages(decoders.policy(hostile))).toHaveLength(3)
  })

  test('bodies of policies, wherever they stand', () => {
    expect(messages(decoders.policy({ spec: { marker: { on: false } } }))).toEqual([
      'spec.marker.on: off makes no sense.',
    ])
    expect(messages(decoders.policy({ spec: { makrer: {} } }))).toEqual([
      'spec.makrer is unknown; did you mean marker?',
    ])
    expect(messages(decoders.tenant({ spec: { policies: { defaults: { marker: { on: 1 } } } } }))).toEqual([
      'spec.policies.defaults.marker.on must be true or false, not the number 1.',
    ])
    expect(messages(decoders.tenant({ spec: { policies: { overrides: { marker: { on: true } } } } }))).toEqual([
      'spec.policies.overrides.marker is unknown; nothing is allowed here.',
    ])
  })

  test('a flood of mistakes is cut, huge texts and names are shortened, deep nesting is not followed', () => {
    const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`x${at}`, at]))
    expect(messages(decoders.route({ spec: many }))).toHaveLength(32)
    const [message] = messages(decoders.route({ spec: { ['y'.repeat(1_000_000)]: 1 } }))
    expect(message?.length).toBeLessThan(300)
    let deep: unknown = []
    for (let level = 0; level < 100_000; level += 1) deep = [deep]
    expect(messages(decoders.route({ spec: { rules: deep } }))).toEqual([
      'spec.rules[0] must be an object, not a list.',
    ])
    expect(messages(decoders.service({ spec: { ports: deep } }))).toEqual([
      'spec.ports[0] must be an object, not a list.',
    ])
    expect(messages(decoders.route({ spec: { rules: 'z\u0000\n'.repeat(100_000) } }))[0]).not.toMatch(/[\u0000\n]/)
  })
})

const all = Object.entries(decoders)

test('random JSON never throws', () => {
  const word = fc.constantFrom(
    'spec',
    'rules',
    'matches',
    'tls',
    'limits',
    'ports',
    'endpoints',
    'from',
    '__proto__',
    'name',
  )
  const json = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.jsonValue(),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(word, tie('value'), { maxKeys: 5 }),
    ),
  })).value
  fc.assert(
    fc.property(fc.dictionary(word, json), (body) => {
      for (const [, decode] of all) decode(body)
    }),
    { numRuns: 500 },
  )
})

function hasParent(root: unknown, path: FieldPath): boolean {
  let at: unknown = root
  for (const step of path.slice(0, -1)) {
    if (typeof at !== 'object' || at === null) return false
    at = (at as Record<string | number, unknown>)[step]
  }
  return typeof at === 'object' && at !== null
}

test('each field of a right object, made wrong, is reported at a place that exists', () => {
  const wrong = [null, 'x y', '', -1, 1.5, true, [], [[]], {}, { nonsense: 1 }, 'a'.repeat(5000), Array(2000).fill('a')]
  const mutate = (root: Record<string, unknown>, at: unknown, path: FieldPath, decode: typeof decoders.route): void => {
    if (typeof at !== 'object' || at === null) return
    const parent = at as Record<string, unknown>
    for (const key of Object.keys(parent)) {
      const kept = parent[key]
      for (const value of wrong) {
        parent[key] = value
        const result = decode(root)
        if (result.ok) continue
        for (const problem of result.problems) expect(hasParent(root, problem.path)).toBe(true)
      }
      parent[key] = null
      const result = decode(root)
      const here = [...path, Array.isArray(at) ? Number(key) : key]
      expect(result.ok || result.problems.some((problem) => String(problem.path) === String(here))).toBe(!result.ok)
      parent[key] = kept
      mutate(root, kept, here, decode)
      if (Array.isArray(at)) continue
      parent[`${key}Q`] = 1
      expect(messages(decode(root))).not.toEqual([])
      delete parent[`${key}Q`]
    }
  }
  const pairs = [
    [tenant, decoders.tenant],
    [route, decoders.route],
    [policy, decoders.policy],
  ] as const
  for (const [spec, decode] of pairs) {
    const body = { spec: structuredClone(spec) }
    mutate(body, body.spec, ['spec'], decode as typeof decoders.route)
    expect(decode(body).ok).toBe(true)
  }
})

// What explain says, in JSON and as text, for the questions that people ask.
import { describe, expect, it } from 'vitest'
import { AddressRanges } from '../model/address.ts'
import { Hidden } from '../model/hidden.ts'
import { poolKey, type Pool, type PoolId, type TenantShard } from '../model/snapshot.ts'
import { FILTERS } from '../policies/filters.ts'
import { POLICIES } from '../policies/index.ts'
import {
  makeBackend,
  makeHost,
  makeHostTls,
  makeMatch,
  makeRoute,
  makeShard,
  NO_LIMITS,
} from '../test/support/shard.ts'
import { explain } from './explain.ts'
import { nearestName } from './explain-suggest.ts'
import { renderExplanation } from './explain-text.ts'
import type { ExplainOptions, ExplainQuery } from './explain-types.ts'
import { ExplainWorld } from './explain-world.ts'

const API: PoolId = { tenant: 'acme', namespace: 'acme-prod', service: 'api', port: 8080, tls: '' }
const PERSON = { clientAddress: '198.51.100.7' } as const

function shop(rest: Partial<TenantShard> = {}): TenantShard {
  const rateLimits = {
    limits: [{ origin: ['x'], name: 'per-client', count: 20, seconds: 1, burst: 40, key: [{ type: 'clientIP' }] }],
  }
  return makeShard('acme', {
    hosts: [
      makeHost('shop.acme.test', {
        tls: makeHostTls({ certificates: ['c1'] }),
        matches: [
          makeMatch('/api', { headers: [{ name: 'x-version', type: 'Exact', value: '2' }], route: 1 }),
          makeMatch('/api'),
          makeMatch('/', { route: 1 }),
        ],
      }),
      makeHost('*.acme.test', { matches: [makeMatch('/', { route: 1 })] }),
    ],
    routes: [
      makeRoute('acme', 'shop', {
        id: { tenant: 'acme', namespace: 'acme-prod', route: 'shop', rule: 0, ruleName: 'api' },
        action: {
          type: 'forward',
          backends: [
            makeBackend('api', {
              weight: 9,
              pool: API,
              service: { namespace: 'acme-prod', name: 'api', port: '8080' },
            }),
            makeBackend('api-canary', { weight: 1 }),
          ],
        },
        rewrite: { hostname: null, path: { type: 'ReplacePrefixMatch', value: '/' } },
        requestHeaders: { set: [{ name: 'x-tenant', value: 'acme' }], add: [], remove: [] },
        filters: [
          { policy: 'access', config: { allow: [], deny: ['203.0.113.0/24'] }, origins: ['Tenant acme (override)'] },
          { policy: 'rateLimits', config: rateLimits, origins: ['Policy acme-prod/edge'] },
        ],
      }),
      makeRoute('acme', 'shop', {
        id: { tenant: 'acme', namespace: 'acme-prod', route: 'shop', rule: 1, ruleName: '' },
      }),
    ],
    certificates: new Map([
      [
        'c1',
        {
          names: ['shop.acme.test'],
          notBefore: 0,
          notAfter: 0,
          fingerprint: 'c1',
          chainPem: '',
          keyPem: new Hidden(''),
        },
      ],
    ]),
    limits: { ...NO_LIMITS, requests: { count: 500, seconds: 1, burst: 1000 } },
    ...rest,
  })
}

const POOLS: readonly Pool[] = [
  {
    id: API,
    hash: '',
    endpoints: [
      { address: '10.1.2.3', port: 8080, zone: '', state: 'ready' },
      { address: 'fd00::1', port: 8080, zone: '', state: 'draining' },
    ],
  },
]

function worldOf(...shards: readonly TenantShard[]): ExplainWorld {
  return new ExplainWorld({
    version: '7c41e9f00',
    shards: new Map(shards.map((shard) => [shard.tenant, shard])),
    pools: new Map(POOLS.map((pool) => [poolKey(pool.id), pool])),
    filters: FILTERS,
    policies: POLICIES,
    trusted: new AddressRanges([]),
    hasDefaultCertificate: false,
    httpsPort: 443,
  })
}

const ask = (query: ExplainQuery, options: ExplainOptions = {}, world = worldOf(shop())) =>
  explain(world, query, options)

describe('explain', () => {
  it('tells the whole way to a backend', async () => {
    const said = await ask(
      { url: 'https://SHOP.acme.test/api/orders/17?x=1#part', ...PERSON },
      {
        locate: ({ kind, name }, path) => `${kind.toLowerCase()}-${name}.yaml:${String(path.at(-1))}`,
        overridden: (_route, policy) => (policy === 'access' ? ['access of Policy acme-prod/edge: allows more'] : []),
      },
    )
    expect(said).toMatchObject({
      request: {
        method: 'GET',
        sni: 'shop.acme.test',
        canonical: { host: 'shop.acme.test', path: '/api/orders/17', query: 'x=1' },
      },
      decision: 'Proxied',
      status: null,
      error: null,
      result: 'proxied to Service api; 10 % of the requests get 503 NoHealthyEndpoint',
      tenant: 'acme',
      host: 'shop.acme.test',
      route: { namespace: 'acme-prod', name: 'shop', rule: 0, ruleName: 'api', origin: 'route-shop.yaml:0' },
      candidates: [
        { matched: false, chosen: false, why: 'header x-version: wants "2", absent' },
        { matched: true, chosen: true, why: 'PathPrefix /api; chosen, longer prefix' },
        { matched: true, chosen: false, why: 'PathPrefix /; lost, shorter prefix' },
      ],
      limits: [
        { name: 'requests', rule: '500/s, burst 1000', key: '', origin: 'Tenant acme' },
        { name: 'bodySize' },
        { name: 'per-client', rule: '20/s, burst 40', key: 'clientIP', origin: 'Policy acme-prod/edge' },
      ],
      steps: [
        {
          policy: 'access',
          summary: 'deny 203.0.113.0/24',
          origin: 'Tenant acme (override)',
          overridden: ['access of Policy acme-prod/edge: allows more'],
          wouldPass: true,
        },
        { policy: 'rateLimits', wouldPass: true },
      ],
      backends: [
        { service: { name: 'api' }, share: 0.9, endpoints: [{ address: '10.1.2.3', state: 'ready' }] },
        { service: { name: 'api-canary' }, share: 0.1, endpoints: [] },
      ],
      upstream: { method: 'GET', target: '/orders/17?x=1', host: 'shop.acme.test', changes: ['x-tenant: acme'] },
      snapshot: '7c41e9f00',
      unknown: ['use of the limits: assumed below all of them', 'health of the endpoints: assumed to answer'],
    })
  })

  it('draws it', async () => {
    const said = await ask({ url: 'https://shop.acme.test/api/orders/17', ...PERSON })
    expect(renderExplanation(said)).toMatchInlineSnapshot(`
      "GET https://shop.acme.test/api/orders/17               offline, snapshot 7c41e9f

       1 TLS       certificate for shop.acme.test, TLS 1.2+
       2 Host      shop.acme.test -> tenant acme                Tenant acme
       3 Route     acme-prod/shop, rule api                     Route acme-prod/shop
                   shop rule 1    no       header x-version: wants "2", absent
                   shop rule api  matches  PathPrefix /api; chosen, longer prefix
                   shop rule 1    matches  PathPrefix /; lost, shorter prefix
       4 Limits    requests       500/s, burst 1000             Tenant acme
                   bodySize       10Mi                          Tenant acme
                   per-client     20/s, burst 40   by clientIP  Policy acme-prod/edge
       5 Steps     access         deny 203.0.113.0/24: would pass
                                                                Tenant acme (override)
                   rateLimits     per-client 20/s, burst 40: would pass
                                                                 Policy acme-prod/edge
       6 Backend   api:8080 90 %, api-canary:80 10 %    RoundRobin
                   api          10.1.2.3:8080 ready
                   api-canary   no endpoint: its share is answered 503
       7 Sent      GET /orders/17   Host shop.acme.test   x-tenant: acme
                   timeout 30s, 2 retries

      Result   proxied to Service api; 10 % of the requests get 503 NoHealthyEndpoint
      Unknown  use of the limits: assumed below all of them
               health of the endpoints: assumed to answer"
    `)
  })

  it.each([
    [{ url: 'https://shop.acme.test/api', clientAddress: '203.0.113.9' }, 'Refused', 403, 'AddressDenied', /by access/],
    [{ url: 'http://shop.acme.test/a?b=1' }, 'Redirected', 308, null, /308 to https:\/\/shop\.acme\.test\/a\?b=1/],
    [{ url: 'http://shop.acme.test/a/../../b' }, 'Refused', 400, 'BadRequest', /malformed/],
    [{ url: 'http://other.test/' }, 'Refused', 404, 'NoHost', /no tenant serves other\.test$/],
    [{ url: 'http://x.acme.test/', method: 'TRACE' }, 'Refused', 405, 'MethodNotAllowed', /./],
    [
      { url: 'http://x.acme.test/', bodyLength: 99_999_999 },
      'Refused',
      413,
      'BodyTooLarge',
      /limits\.bodySize of Tenant acme/,
    ],
    [{ url: 'https://other.test/' }, 'Refused', null, null, /handshake ends: no certificate for other\.test/],
    [{ url: 'https://x.acme.test/' }, 'Refused', null, null, /x\.acme\.test has no certificate/],
    [{ url: 'https://10.0.0.1/' }, 'Refused', null, null, /a client without a TLS name/],
    [{ url: 'https://shop.acme.test/', headers: [['Host', 'other.test']] }, 'Refused', 404, 'NoHost', /./],
    [{ url: 'ftp://shop.acme.test/' }, 'Refused', 400, 'BadRequest', /no absolute http or https URL/],
    [{ url: 'http://x.acme.test/', headers: [['x_y', '1']] }, 'Refused', 400, 'BadRequest', /./],
    [{ url: 'http://x.acme.test' }, 'Answered', 503, 'NoHealthyEndpoint', /no backend of the rule has an endpoint/],
  ] as const)('%j: %s %s %s', async (query, decision, status, error, result) => {
    const said = await ask({ ...PERSON, ...query })
    expect(said).toMatchObject({ decision, status, error })
    expect(said.result).toMatch(result)
    const drawn = renderExplanation(said)
    expect(drawn.replace(/\n {9}/g, ' ')).toContain(`Result   ${said.result}`)
    for (const line of drawn.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80)
  })

  it('uses nothing up', async () => {
    const world = worldOf(
      shop({ limits: { ...NO_LIMITS, requests: { count: 1, seconds: 60, burst: 1 }, concurrency: 1 } }),
    )
    for (let count = 0; count < 5; count += 1) {
      expect((await ask({ url: 'https://shop.acme.test/api', ...PERSON }, {}, world)).decision).toBe('Proxied')
    }
  })

  it('says what it assumed', async () => {
    const said = await ask({ url: 'https://shop.acme.test/api' })
    expect(said.unknown[0]).toBe('client address: assumed 127.0.0.1')
  })

  it('suggests names of whoever may be seen, and nobody else', async () => {
    const globex = makeShard('globex', { hosts: [makeHost('cart.globex.test')], routes: [makeRoute('globex', 'r')] })
    const world = worldOf(shop(), globex)
    const result = async (options: ExplainOptions) =>
      (await ask({ url: 'http://cart.globx.test/' }, options, world)).result
    expect(await result({ suggest: 'all' })).toContain('did you mean cart.globex.test?')
    expect(await result({ suggest: { tenant: 'globex' } })).toContain('did you mean cart.globex.test?')
    expect(await result({ suggest: { tenant: 'acme' } })).not.toContain('mean')
    expect(await result({})).not.toContain('mean')
  })

  it('knows of client certificates', async () => {
    const authorities = new Map([['ca', { count: 1, notAfter: 0, fingerprint: 'ca', pem: 'x' }]])
    const tls = makeHostTls({
      certificates: ['c1'],
      clientValidation: { authorities: ['ca'], mode: 'Require', closed: false },
    })
    const base = shop()
    const world = worldOf(shop({ authorities, hosts: base.hosts.map((host) => ({ ...host, tls: host.tls && tls })) }))
    const url = 'https://shop.acme.test/api'
    const assumed = await ask({ url, ...PERSON }, {}, world)
    expect(assumed.decision).toBe('Proxied')
    expect(assumed.unknown).toContain('client certificate: assumed to come from an authority of the host')
    expect((await ask({ url, clientCertificate: 'none', ...PERSON }, {}, world)).result).toMatch(/demands a client/)
  })

  it('tells of a tenant that cannot be built', async () => {
    const world = worldOf(shop({ routes: [] }))
    const said = await ask({ url: 'https://shop.acme.test/api', ...PERSON }, {}, world)
    expect(said).toMatchObject({ decision: 'Answered', status: null })
    expect(said.result).toMatch(/cannot be run/)
  })
})

describe('nearestName', () => {
  it.each([
    ['cart.acme.test', ['card.acme.test', 'shop.acme.test'], 'card.acme.test'],
    ['crat.acme.test', ['cart.acme.test', 'crit.acme.test'], 'cart.acme.test'],
    ['a.test', ['completely.other.example'], undefined],
    ['x.acme.test', ['*.acme.test'], undefined],
    ['ab', ['cd'], undefined],
  ])('%s of %j is %s', (wanted, names, nearest) => {
    expect(nearestName(wanted, names)).toBe(nearest)
  })
})

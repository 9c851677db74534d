// Random worlds, random requests, and both answers to each: what explain says and what the exchange did. Used by the
// test beside it in every run, and with larger numbers by test/long.
import { buildTenant, type Backends } from '../../dataplane/build/build.ts'
import { HostTable } from '../../dataplane/build/host-table.ts'
import type { EndpointHandle } from '../../dataplane/build/program.ts'
import { explain } from '../../dataplane/explain.ts'
import type { ExplainQuery, Explanation } from '../../dataplane/explain-types.ts'
import { ExplainWorld } from '../../dataplane/explain-world.ts'
import { createHandler } from '../../dataplane/runtime/exchange.ts'
import { createLocalState } from '../../dataplane/runtime/local-state.ts'
import { AddressRanges } from '../../model/address.ts'
import { compareMatches } from '../../model/precedence.ts'
import {
  poolKey,
  type HostPlan,
  type MatchPlan,
  type Pool,
  type PoolId,
  type RouteId,
  type RoutePlan,
  type TenantShard,
} from '../../model/snapshot.ts'
import { FILTERS } from '../../policies/filters.ts'
import { POLICIES } from '../../policies/index.ts'
import { type MemoryAnswer, serve } from './memory-carrier.ts'
import { MemoryUpstream } from './memory-upstream.ts'
import { createTestContext, type TestContext } from './serve-context.ts'
import { makeHostTls, makeRoute, makeShard } from './shard.ts'

/** Repeatable numbers in [0, 1) (mulberry32), so that a failing seed is a whole bug report. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** How often each ending was seen, so that a test can tell that it saw them all. */
export type Tally = Map<string, number>

/** Draws one world and asks it `requests` times. Throws an Error that names the seed where the two disagree. */
export async function compareInWorld(seed: number, requests: number, tally: Tally): Promise<void> {
  const draw = new Draw(randomFrom(seed))
  const httpsPort = draw.of([443, 8443])
  const pools = new Map<string, Pool>()
  const shards = new Map(['acme', 'globex'].map((tenant) => [tenant, drawShard(draw, tenant, pools)] as const))
  const world = new ExplainWorld({
    version: `seed ${seed}`,
    shards,
    pools,
    filters: FILTERS,
    policies: POLICIES,
    trusted: new AddressRanges([]),
    hasDefaultCertificate: true,
    httpsPort,
  })
  const context = createContext(shards, pools, httpsPort)
  const handler = createHandler(context)
  try {
    for (let count = 0; count < requests; count += 1) {
      const query = drawQuery(draw)
      const said = await explain(world, query)
      const before = context.records.length
      // A handshake that ends has no answer to compare with.
      const name = said.request.sni
      const tls =
        name === null
          ? {}
          : {
              tls: {
                serverName: name,
                tenant: world.identity(name)?.tenant ?? '',
                verifiedAgainst: verifiedFor(world, name),
              },
            }
      const did = await serve(handler, {
        method: query.method ?? 'GET',
        url: query.url,
        headers: query.headers ?? [],
        ...(query.clientAddress === undefined ? {} : { client: query.clientAddress }),
        ...tls,
      })
      // The record is written when the last byte has gone.
      await Promise.resolve()
      await Promise.resolve()
      const route = context.records.length > before ? (context.records.at(-1)?.route ?? null) : null
      const difference = disagreement(said, did, route)
      if (difference !== undefined) {
        throw new Error(
          `seed ${seed}, request ${count}: ${difference}\n${JSON.stringify({ query, said, did, route }, undefined, 2)}`,
        )
      }
      const ending = `${said.decision} ${said.error ?? said.status ?? ''}`.trim()
      tally.set(ending, (tally.get(ending) ?? 0) + 1)
    }
    if (context.faults.length > 0) throw new Error(`seed ${seed}: ${String(context.faults[0]?.error)}`)
  } finally {
    context.close()
  }
}

/** Where an explanation and what was done differ, in words; undefined where they agree. */
function disagreement(said: Explanation, did: MemoryAnswer, route: RouteId | null): string | undefined {
  const saidRoute = said.route === null ? '' : `${said.route.namespace}/${said.route.name}#${said.route.rule}`
  const didRoute = route === null ? '' : `${route.namespace}/${route.route}#${route.rule}`
  if (saidRoute !== didRoute) return `route: said ${saidRoute}, did ${didRoute}`
  const error = did.headers['x-atrium-error'] ?? null
  if (said.decision !== 'Proxied') {
    if (said.status !== did.status) return `status: said ${said.status}, did ${did.status}`
    if (said.error !== error) return `error: said ${said.error}, did ${error}`
    const location = did.headers['location'] ?? null
    return said.location === location ? undefined : `location: said ${said.location}, did ${location}`
  }
  const withEndpoints = said.backends.filter(({ share, endpoints }) => share > 0 && endpoints.length > 0)
  if (did.status !== 200) {
    const mayLose = said.backends.some(({ share, endpoints }) => share > 0 && endpoints.length === 0)
    return mayLose && error === 'NoHealthyEndpoint' ? undefined : `said proxied, did ${did.status} ${error}`
  }
  // The answer to a HEAD has no body to tell who gave it.
  if (said.request.method === 'HEAD') return undefined
  const endpoints = withEndpoints.flatMap((backend) => backend.endpoints.map(({ address }) => address))
  const [endpoint = '', target, host] = JSON.parse(did.body) as string[]
  if (!endpoints.includes(endpoint)) return `endpoint: said ${endpoints.join(' or ')}, did ${endpoint}`
  if (said.upstream?.target !== target) return `target: said ${said.upstream?.target}, did ${target}`
  return said.upstream?.host === host ? undefined : `host: said ${said.upstream?.host}, did ${host}`
}

/** The client of these tests shows a valid certificate wherever it is asked. */
function verifiedFor(world: ExplainWorld, name: string): string {
  return world.identity(name)?.clientValidation?.authorityKey ?? ''
}

function createContext(
  shards: ReadonlyMap<string, TenantShard>,
  pools: ReadonlyMap<string, Pool>,
  httpsPort: number,
): TestContext {
  const state = createLocalState()
  const backends: Backends = {
    backend: (plan, _route, tenant) => {
      const all = pools.get(poolKey(plan.pool))?.endpoints ?? []
      const ready = all.filter((endpoint) => endpoint.state === 'ready')
      const handles = (ready.length > 0 ? ready : all).map(({ address, port }): EndpointHandle => {
        const client = new MemoryUpstream()
        client.onAttempt = (script) => {
          const { method, target, fields } = script.request
          const body = JSON.stringify([address, target, fields[fields.indexOf('host') + 1]])
          script.answer(200, [], method === 'HEAD' ? '' : body)
        }
        return { address, port, label: address, state: tenant.endpoint(plan.pool, address, port), client }
      })
      return {
        service: plan.service,
        pick: (tried) => handles.find((handle) => !tried.includes(handle)),
        report: () => undefined,
      }
    },
  }
  const hosts = new HostTable()
  for (const [tenant, shard] of shards) {
    hosts.replace(tenant, buildTenant(shard, { state, pools: backends, filters: FILTERS }))
  }
  return createTestContext(hosts, state, () => httpsPort)
}

/** Choices by the world's own numbers. */
class Draw {
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  below(bound: number): number {
    return Math.floor(this.#random() * bound)
  }

  of<Item>(items: readonly [Item, ...Item[]]): Item {
    return items[this.below(items.length)] ?? items[0]
  }

  chance(probability: number): boolean {
    return this.#random() < probability
  }

  many<Item>(most: number, make: (index: number) => Item): Item[] {
    return Array.from({ length: this.below(most + 1) }, (_, index) => make(index))
  }
}

const SEGMENTS = ['a', 'a', 'b', 'b', 'ab', 'api', '', '%2f', '%61', '.', '..', 'x;y'] as const

function drawPath(draw: Draw, most = 4): string {
  return `/${draw.many(most, () => draw.of(SEGMENTS)).join('/')}`
}

function drawShard(draw: Draw, tenant: string, pools: Map<string, Pool>): TenantShard {
  const routes = Array.from({ length: 1 + draw.below(6) }, (_, index) => drawRoute(draw, tenant, index, pools))
  const names = [`one.${tenant}.test`, `two.${tenant}.test`, `*.${tenant}.test`, `*.deep.${tenant}.test`]
  const hosts = names
    .filter(() => draw.chance(0.8))
    .map((host): HostPlan => {
      const matches = draw.many(14, (index) => drawMatch(draw, index, routes))
      matches.sort((a, b) => compareMatches(a, idOf(routes, a), b, idOf(routes, b)))
      return { host, tls: draw.chance(0.6) ? null : drawTls(draw), matches }
    })
  return makeShard(tenant, {
    hosts,
    routes,
    suspended: draw.chance(0.05),
    authorities: new Map([['ca', { count: 1, notAfter: 0, fingerprint: 'ca', pem: 'not read here' }]]),
    limits: { requests: null, concurrency: draw.chance(0.5) ? 10 : null, connections: null, bodySize: 1000 },
  })
}

function drawTls(draw: Draw): HostPlan['tls'] {
  const validation = { authorities: ['ca'], mode: draw.of(['Require', 'Optional'] as const), closed: false }
  return makeHostTls({
    plainHTTP: draw.of(['Redirect', 'Serve', 'Refuse'] as const),
    clientValidation: draw.chance(0.3) ? validation : null,
  })
}

function idOf(routes: readonly RoutePlan[], match: MatchPlan): RouteId {
  const route = routes[match.route]
  if (route === undefined) throw new Error('no such route')
  return route.id
}

function drawMatch(draw: Draw, index: number, routes: readonly RoutePlan[]): MatchPlan {
  const route = draw.below(routes.length)
  const plan = routes[route]
  const redirect = plan?.action.type === 'redirect' ? plan.action.redirect.path : null
  const needsPrefix = [plan?.rewrite?.path, redirect].some((change) => change?.type === 'ReplacePrefixMatch')
  const type = needsPrefix ? 'PathPrefix' : draw.of(['PathPrefix', 'PathPrefix', 'Exact', 'RegularExpression'] as const)
  const value = () => draw.of(['1', '2'])
  return {
    path:
      type === 'RegularExpression'
        ? { type, value: draw.of(['/a.*', '/[ab]+', '/api/.*', '.*b']) }
        : { type, value: drawPath(draw, 2).replace('/..', '/b') },
    method: draw.chance(0.25) ? draw.of(['GET', 'POST']) : null,
    headers: draw.chance(0.2) ? [{ name: 'x-version', type: 'Exact', value: value() }] : [],
    queryParams: draw.chance(0.2) ? [{ name: 'q', type: 'Exact', value: value() }] : [],
    route,
    index,
  }
}

function drawRoute(draw: Draw, tenant: string, index: number, pools: Map<string, Pool>): RoutePlan {
  const path = draw.of([
    null,
    null,
    { type: 'ReplaceFullPath', value: '/full' },
    { type: 'ReplacePrefixMatch', value: draw.of(['', '/', '/new', '/new/']) },
  ] as const)
  return makeRoute(tenant, `r${index}`, {
    action: drawAction(draw, tenant, index, pools),
    rewrite: path === null && draw.chance(0.7) ? null : { hostname: draw.of([null, 'inner.test']), path },
    filters: draw.chance(0.3) ? [drawAccess(draw)] : [],
    requestHeaders: draw.chance(0.2) ? { set: [{ name: 'x-set', value: '1' }], add: [], remove: ['accept'] } : null,
  })
}

function drawAccess(draw: Draw): RoutePlan['filters'][number] {
  const config = draw.chance(0.5)
    ? { allow: [['10.0.0.0/8']], deny: ['10.1.0.0/16'] }
    : { allow: [], deny: ['192.0.2.0/24'] }
  return { policy: 'access', config, origins: ['Policy test/edge'] }
}

function drawAction(draw: Draw, tenant: string, index: number, pools: Map<string, Pool>): RoutePlan['action'] {
  if (draw.chance(0.08)) {
    return { type: 'unavailable', error: draw.of(['PolicyNotReady', 'NoHealthyEndpoint'] as const) }
  }
  if (draw.chance(0.15)) {
    return {
      type: 'redirect',
      redirect: {
        scheme: draw.of([null, 'http', 'https'] as const),
        hostname: draw.of([null, 'else.test']),
        path: draw.of([null, { type: 'ReplacePrefixMatch', value: '/moved' }] as const),
        port: draw.of([null, 8443]),
        statusCode: draw.of([301, 302, 307, 308]),
      },
    }
  }
  const backends = Array.from({ length: 1 + draw.below(3) }, (_, place) => {
    const id: PoolId = { tenant, namespace: 'test', service: `s${index}-${place}`, port: 80, tls: '' }
    pools.set(poolKey(id), {
      id,
      hash: '',
      endpoints: draw.many(2, (at) => ({
        address: `10.${index}.${place}.${at}`,
        port: 8080,
        zone: '',
        state: draw.of(['ready', 'ready', 'draining'] as const),
      })),
    })
    return {
      weight: draw.of([0, 1, 1, 9]),
      pool: draw.chance(0.9) ? id : null,
      service: { namespace: 'test', name: id.service, port: '80' },
    }
  })
  return { type: 'forward', backends }
}

function drawQuery(draw: Draw): ExplainQuery {
  const tenant = draw.chance(0.04) ? 'nobody' : draw.of(['acme', 'globex'])
  const name = draw.of(['one', 'ONE', 'two', 'x', 'y.deep', 'deep'])
  const port = draw.of(['', '', ':8080', '.'])
  const query = draw.of(['', '', '?q=1', '?q=2', '?q=1&q=2', '?'])
  const headers: [string, string][] = draw.many(2, () => ['x-version', draw.of(['1', '2'])])
  const scheme = draw.chance(0.4) ? 'https' : 'http'
  return {
    url: `${scheme}://${name}.${tenant}.test${port}${drawPath(draw)}${query}`,
    method: draw.chance(0.02) ? 'TRACE' : draw.of(['GET', 'GET', 'GET', 'POST', 'PUT', 'HEAD']),
    headers: draw.chance(0.03) ? [...headers, ['x_bad', '1']] : headers,
    clientAddress: draw.of(['192.0.2.1', '10.1.2.3', '10.2.3.4', '2001:db8::1']),
    // A connection that was made for another name, now and then.
    ...(scheme === 'https' && draw.chance(0.3) ? { sni: draw.of(['one.acme.test', 'one.globex.test', '']) } : {}),
  }
}

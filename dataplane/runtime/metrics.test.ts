import { describe, expect, it } from 'vitest'
import { createAllocator, grantAll } from '../../test/support/shared-state.ts'
import type { RouteId } from '../../model/snapshot.ts'
import { escapeLabel, type MetricsFormat, metricsText, type PodFacts, writeMetrics } from './metrics.ts'
import { SeriesBudget } from './metrics-budget.ts'
import { METRICS } from './metrics-table.ts'
import { SharedState } from './shared-state.ts'
import type { StateAllocator } from './shared-state-allocator.ts'
import { giveBack, sweep } from './shared-state-repair.ts'

const FACTS: PodFacts = {
  version: 'v1',
  activeSince: 1_700_000_000_000,
  refusals: new Map(),
  restarts: 0,
  faults: 0,
  logDropped: 0,
  mainLag: 0,
  startedAt: 1_700_000_000,
}

function routeOf(tenant: string, route: string, rule = 0): RouteId {
  return { tenant, namespace: 'web', route, rule, ruleName: '' }
}

function setUp(workers = 2) {
  const clock = { now: 1_000 }
  const allocator = createAllocator({ workers, now: () => clock.now })
  const views = Array.from({ length: workers }, (_, column) => new SharedState(allocator.root, column, () => clock.now))
  const grant = (tenant: string, routes: readonly string[], viewsNow: readonly SharedState[] = views) =>
    grantAll(allocator, viewsNow, {
      tenant,
      limiters: [],
      routes: routes.map((route) => routeOf(tenant, route)),
      pool: { tenant, namespace: 'web', service: 's', port: 80, tls: '' },
      endpoints: [{ address: '10.0.0.1', port: 80 }],
    })
  return { clock, allocator, views, grant }
}

async function read(
  allocator: StateAllocator,
  budget: SeriesBudget,
  format: MetricsFormat = 'prometheus',
  now = 1_000,
) {
  const text = await metricsText(allocator, budget, FACTS, format, now)
  const samples = new Map<string, number>()
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('#')) continue
    const match = /^([a-z_]+(?:\{[^}]*\})?) ([^ ]+)$/.exec(line)
    expect(match, line).not.toBeNull()
    const [, name = '', value = ''] = match ?? []
    expect(samples.has(name), `${name} twice`).toBe(false)
    samples.set(name, Number(value))
  }
  return { text, samples }
}

/** Sum of a family over all its labels. */
function sum(samples: ReadonlyMap<string, number>, family: string): number {
  let total = 0
  for (const [name, value] of samples) if (name.startsWith(`${family}{`)) total += value
  return total
}

describe('metrics', () => {
  it('adds the columns of all workers up, and loses nothing when one dies', async () => {
    const { allocator, views, grant } = setUp()
    grant('acme', ['shop'])
    for (const view of views) {
      const { metrics } = view.tenant('acme')
      metrics.active(1)
      metrics.request(200, 3, 1, 2, 10, 20)
      metrics.request(503, 30_001, 1, 0, 0, 0)
      metrics.gatewayError('NoHealthyEndpoint')
      metrics.limitDecision('requests', 'refused')
      view.tenant('acme').route(routeOf('acme', 'shop')).request(200, 3)
    }
    const budget = new SeriesBudget(allocator)
    const check = async (active: number) => {
      const { samples } = await read(allocator, budget)
      expect(samples.get('atrium_http_requests_total{tenant="acme",code_class="2xx"}')).toBe(2)
      expect(samples.get('atrium_http_requests_total{tenant="acme",code_class="5xx"}')).toBe(2)
      expect(samples.get('atrium_http_request_duration_seconds_bucket{tenant="acme",le="0.0025"}')).toBe(0)
      expect(samples.get('atrium_http_request_duration_seconds_bucket{tenant="acme",le="0.005"}')).toBe(2)
      expect(samples.get('atrium_http_request_duration_seconds_bucket{tenant="acme",le="+Inf"}')).toBe(4)
      expect(samples.get('atrium_http_request_duration_seconds_count{tenant="acme"}')).toBe(4)
      expect(samples.get('atrium_http_request_bytes_total{tenant="acme"}')).toBe(20)
      expect(samples.get('atrium_http_active_requests{tenant="acme"}')).toBe(active)
      expect(samples.get('atrium_gateway_errors_total{tenant="acme",reason="NoHealthyEndpoint"}')).toBe(2)
      expect(samples.get('atrium_limit_decisions_total{tenant="acme",limit="requests",decision="refused"}')).toBe(2)
      expect(
        samples.get('atrium_route_requests_total{tenant="acme",route_namespace="web",route="shop",code_class="2xx"}'),
      ).toBe(2)
      expect(samples.get('atrium_endpoints{tenant="acme",state="ready"}')).toBe(1)
      expect(samples.get('atrium_upstream_duration_seconds_count')).toBe(2)
    }
    await check(2)
    giveBack(allocator, 0)
    await check(1)
    // The next worker of the column counts on.
    new SharedState(allocator.root, 0, () => 0)
    await check(1)
  })

  it('writes both formats so that their parsers accept them', async () => {
    const { allocator, views, grant } = setUp()
    grant('acme', ['shop'])
    views[0]?.tenant('acme').metrics.request(200, 3, 1, 2, 10, 20)
    const { text } = await read(allocator, new SeriesBudget(allocator))
    const seen = new Set<string>()
    let family = ''
    for (const line of text.trimEnd().split('\n')) {
      if (line.startsWith('# HELP ')) family = line.split(' ')[2] ?? ''
      if (line.startsWith('# HELP ')) expect(seen.has(family), `${family} begins twice`).toBe(false)
      if (line.startsWith('# HELP ')) seen.add(family)
      else if (!line.startsWith('#')) expect(line.startsWith(family), line).toBe(true)
    }
    expect([...seen].sort()).toEqual(
      Object.values(METRICS)
        .map(({ name }) => name)
        .sort(),
    )
    const open = await metricsText(allocator, new SeriesBudget(allocator), FACTS, 'openmetrics', 1_000)
    expect(open.endsWith('\n# EOF\n')).toBe(true)
    expect(open).toContain('# TYPE atrium_http_requests counter\n')
    expect(open).toContain('atrium_http_requests_total{')
    expect(escapeLabel('a"b\\c\nd')).toBe('a\\"b\\\\c\\nd')
  })

  it('keeps to the budget: few tenants in full, routes beyond it in one group, tenants never dropped', async () => {
    const { allocator, views, grant } = setUp(1)
    for (let tenant = 0; tenant < 30; tenant++) {
      const name = `t${tenant}`
      grant(
        name,
        Array.from({ length: 10 }, (_, route) => `r${route}`),
      )
      const state = views[0]?.tenant(name)
      for (let again = 0; again <= tenant; again++) {
        state?.metrics.request(200, 1, 1, 0, 0, 0)
        state?.route(routeOf(name, `r${again % 10}`)).request(200, 1)
      }
    }
    const budget = new SeriesBudget(allocator, 2_000)
    const { samples } = await read(allocator, budget)
    expect(samples.size).toBeLessThanOrEqual(2_000)
    expect(samples.get('atrium_series_over_budget')).toBe(0)
    const requests = (30 * 31) / 2
    expect(sum(samples, 'atrium_http_requests_total')).toBe(requests)
    expect(sum(samples, 'atrium_route_requests_total')).toBe(requests)
    const inFull = [...samples.keys()].filter((name) =>
      /duration_seconds_bucket\{tenant="t\d+",le="0.001"\}/.test(name),
    )
    expect(inFull).toHaveLength(10)
    expect(inFull.join()).toContain('tenant="t29"')
    for (let tenant = 0; tenant < 30; tenant++) {
      expect(samples.has(`atrium_http_requests_total{tenant="t${tenant}",code_class="2xx"}`)).toBe(true)
    }

    const small = await read(allocator, new SeriesBudget(allocator, 300))
    expect(small.samples.get('atrium_series_over_budget')).toBe(small.samples.size - 300)
    expect(sum(small.samples, 'atrium_route_requests_total')).toBe(requests)
    expect([...small.samples.keys()].filter((name) => name.startsWith('atrium_route_requests_total'))).toEqual([
      'atrium_route_requests_total{tenant="_other",route_namespace="_other",route="_other",code_class="2xx"}',
    ])
  })

  it('never lets a sum over all routes go down, whoever comes, goes or changes places', async () => {
    const { allocator, views, grant, clock } = setUp(1)
    const budget = new SeriesBudget(allocator, 300)
    let counted = 0
    const seen: number[] = []
    let shownBefore = 0
    for (let round = 0; round < 12; round++) {
      const routes = Array.from({ length: 20 }, (_, route) => `r${(route + round * 3) % 40}`)
      grant('acme', routes)
      for (const [index, route] of routes.entries()) {
        for (let again = 0; again < (index * 7 + round) % 5; again++) {
          views[0]?.tenant('acme').route(routeOf('acme', route)).request(200, 2)
          counted++
        }
      }
      clock.now += 1_800_000
      sweep(
        allocator,
        clock.now,
        { route: (record, key) => budget.retire(record, key), tenant: (record) => budget.retireTenant(record) },
        60_000,
      )
      const { samples } = await read(allocator, budget, 'prometheus', clock.now)
      const total = sum(samples, 'atrium_route_requests_total')
      const other = sum(
        new Map([...samples].filter(([name]) => name.includes('route="_other"'))),
        'atrium_route_requests_total',
      )
      seen.push(other)
      shownBefore = total
      expect(total).toBeLessThanOrEqual(counted)
    }
    expect(shownBefore).toBeGreaterThan(0)
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
  })

  it('does not hold the loop up', async () => {
    const { allocator, grant } = setUp(1)
    for (let tenant = 0; tenant < 2_000; tenant++) grant(`t${tenant}`, ['a', 'b'])
    let turns = 0
    const count = () => {
      turns++
      next = setImmediate(count)
    }
    let next = setImmediate(count)
    let pieces = 0
    for await (const piece of writeMetrics(allocator, new SeriesBudget(allocator), FACTS, 'prometheus', 1_000)) {
      pieces++
      expect(piece.length).toBeLessThan(200_000)
    }
    clearImmediate(next)
    expect(pieces).toBeGreaterThan(3)
    expect(turns).toBeGreaterThan(3)
  })
})

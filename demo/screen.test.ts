import { describe, expect, it } from 'vitest'
import { textWidth } from '../bin/output/width.ts'
import { countersOf, rowOf, stateWord, type TenantRow } from './figures.ts'
import { parseMetrics, sumOf } from './metrics-text.ts'
import { type Picture, pictureLines } from './screen.ts'

const row = (tenant: string, change: Partial<TenantRow> = {}): TenantRow => ({
  tenant,
  routes: 3,
  requestsPerSecond: 41.2,
  p50: 1.1,
  p99: 3.9,
  errors: 0,
  ofLimit: 0.08,
  refusedPerSecond: 0,
  endpoints: { ready: 2, all: 2 },
  suspended: false,
  ...change,
})

const picture: Picture = {
  version: '0.1.0',
  readySeconds: 0.9,
  addresses: { http: 8080, https: 8443, admin: 9901 },
  folder: 'examples/demo',
  rows: [row('acme'), row('globex'), row('initech', { refusedPerSecond: 450, errors: 0.9, ofLimit: 1 })],
  remarks: new Map([['acme', 'p99 1.05x']]),
  snapshot: '7c41e9',
  workers: '1 of 1 workers',
  changeMs: 4,
  isolation: 'worst victim p99 1.05x of before (acme, 3.9 -> 4.1 ms), 0 victim errors, over 20 s',
  events: [
    ['14:02:07  ', 'initech sends 500 req/s; its limit is 50 req/s (n again: stop)'],
    ['          $ ', 'x'.repeat(20)],
  ],
  page: 'table',
}
const plain = (_style: string, text: string) => text

describe('the picture', () => {
  it.each([
    [80, 24],
    [80, 40],
    [120, 30],
    [40, 24],
    [80, 5],
  ])('fits a terminal of %i x %i', (columns, rows) => {
    for (const page of [
      'table',
      'help',
      { prompt: 'http://a/' },
      { answer: Array(50).fill('y'.repeat(200)) },
    ] as const) {
      const lines = pictureLines({ ...picture, page }, { columns, rows }, plain)
      expect(lines.length).toBeLessThan(rows)
      if (columns >= 80) for (const line of lines) expect(textWidth(line), line).toBeLessThanOrEqual(columns)
    }
  })

  it('keeps what happened and the keys on a terminal of 24 lines, and lets the command go first', () => {
    const events: Picture['events'] = [
      ['14:02:07  ', `Route initech/login claims shop.acme.localhost: HostNotOwned ${'at a place '.repeat(12)}`],
      ['          $ ', 'npx atrium compile '.repeat(10)],
    ]
    const text = pictureLines({ ...picture, events }, { columns: 80, rows: 24 }, plain).join('\n')
    expect(text).toContain('14:02:07  Route initech/login claims')
    expect(text).toContain('q quit')
    expect(pictureLines(picture, { columns: 80, rows: 12 }, plain).join('\n')).toContain('q quit')
  })

  it('shows tenants, the isolation line, what happened and the keys', () => {
    const text = pictureLines(picture, { columns: 80, rows: 40 }, plain).join('\n')
    expect(text).toMatch(/acme +41\.2 +1\.1ms +3\.9ms +0\.0% +8% +Serving +p99 1\.05x/)
    expect(text).toMatch(/initech .* 90\.0% +100% +Limited +450\/s got 429/)
    expect(text).toContain('Isolation   worst victim p99 1.05x')
    expect(text).toContain('initech sends 500 req/s')
    expect(text).toContain('n noisy neighbour')
  })
})

describe('figures', () => {
  const page = [
    '# HELP atrium_http_requests_total requests',
    'atrium_http_requests_total{tenant="acme",code_class="2xx"} 90',
    'atrium_http_requests_total{tenant="acme",code_class="5xx"} 10',
    'atrium_http_requests_total{tenant="odd\\"one",code_class="2xx"} 7',
    'atrium_limit_decisions_total{tenant="acme",limit="requests",decision="refused"} 4',
    'rubbish',
  ].join('\n')

  it('reads what the gateway prints', () => {
    const samples = parseMetrics(page)
    expect(sumOf(samples, 'atrium_http_requests_total', { tenant: 'odd"one' })).toBe(7)
    expect(countersOf(samples, 'acme')).toEqual({ requests: 100, unwell: 10, refused: 4 })
  })

  it('turns two readings into a row', () => {
    const before = { requests: 0, unwell: 0, refused: 0 }
    const facts = { tenant: 'acme', routes: 1, ratePerSecond: 100, suspended: false }
    const made = rowOf(facts, { before, after: countersOf(parseMetrics(page), 'acme'), seconds: 2 }, [], {
      ready: 1,
      all: 2,
    })
    expect(made).toMatchObject({
      requestsPerSecond: 50,
      errors: 0.1,
      ofLimit: 0.5,
      refusedPerSecond: 2,
      p99: undefined,
    })
    expect(stateWord(made)).toBe('Limited')
  })
})

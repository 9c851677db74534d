// The verbs that ask the controller's API, as real commands against a real listener.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { atrium, type Finished, folderOf } from '../test/support/command.ts'
import { type ControllerApi, openControllerApi } from '../test/support/controller-api.ts'
import { coresBetween, quantile, ratesBetween } from './cluster/rates.ts'
import { textWidth } from './output/width.ts'

describe('verbs on a server', () => {
  let api: ControllerApi
  let folder: Awaited<ReturnType<typeof folderOf>>

  beforeAll(async () => {
    api = await openControllerApi()
    folder = await folderOf({
      'ca.crt': api.authorities,
      'empty/none.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: { name: none }\n',
    })
  })
  afterAll(async () => {
    await folder.remove()
    await api.close()
  })

  const ask = (user: string, ...args: readonly string[]): Promise<Finished> =>
    atrium([...args, '--server', `https://127.0.0.1:${api.port}`, '--ca-file', `${folder.path}/ca.crt`], {
      ATRIUM_TOKEN: `${user}.console`,
    })

  test('status says what is, and what to look at', async () => {
    const { code, out, err } = await ask('root', 'status')
    expect([code, out.split('\n').slice(1, 4)]).toEqual([
      0,
      [
        expect.stringMatching(/^Snapshot {2}v1 on 1 of 2 pods · last change .* ago, in 2\.0ms$/),
        'Pods      1/2 · plane-2 unreachable',
        'Tenants   1 Serving · 1 Degraded · 0 NotServing',
      ],
    ])
    expect(out).toMatch(
      /acme +Route acme-1\/old +\S+ +BackendNotFound\n +Service acme-1\/api-v2 is not there\. atrium help/,
    )
    expect(err).toContain('! plane-2 did not answer')
    for (const line of out.split('\n')) expect(textWidth(line)).toBeLessThanOrEqual(80)
  })

  test('status is a gate where it is asked to be', async () => {
    expect((await ask('root', 'status', '--fail-on', 'NotServing')).code).toBe(0)
    const { code, err } = await ask('root', 'status', '--fail-on', 'Degraded')
    expect([code, err]).toEqual([1, expect.stringContaining('atrium status: --fail-on Degraded')])
  })

  test('a tenant’s token shows that tenant', async () => {
    const { code, out } = await ask('ann', 'status', '-t', 'acme', '-o', 'json')
    const answer = JSON.parse(out)
    expect([code, answer.kind, answer.items.map(({ tenant }: { tenant: string }) => tenant)]).toEqual([
      0,
      'Status',
      ['acme'],
    ])
    expect(out).not.toContain('globex')
    expect((await ask('ann', 'status', '-t', 'globex')).code).toBe(4)
    expect((await ask('ann', 'status')).code).toBe(4)
  })

  test('top, explain and diff', async () => {
    const [top, explained, diff] = await Promise.all([
      ask('root', 'top', '--once', '-o', 'json'),
      ask('ann', 'explain', '--url', 'https://shop.acme.test/', '-o', 'json'),
      ask('root', 'diff', '--from', 'live', '--to', `${folder.path}/empty`, '-o', 'name'),
    ])
    expect([top.code, JSON.parse(top.out).items[0]]).toEqual([
      0,
      expect.objectContaining({ tenant: 'acme', inFlight: 1, endpoints: { ready: 1, all: 1 } }),
    ])
    expect([explained.code, JSON.parse(explained.out).items[0].tenant]).toEqual([0, 'acme'])
    expect([diff.code, diff.out]).toEqual([0, 'tenant/acme\ntenant/globex\n'])
  })

  test('exit codes tell not signed in, not there and not reachable apart', async () => {
    expect((await ask('root.other', 'status')).code).toBe(4)
    expect((await ask('ann', 'explain', '--url', 'https://globex.test/')).code).toBe(1)
    const none = await atrium(['status', '--server', 'https://127.0.0.1:1', '--token', 'x', '--timeout', '2s'])
    expect([none.code, none.err]).toEqual([3, expect.stringContaining('does not answer')])
    expect(
      (await atrium(['status', '--server', `https://127.0.0.1:${api.port}`, '--token', 'root.console'])).code,
    ).toBe(3)
    expect((await atrium(['status', '--server', 'https://127.0.0.1:1'])).code).toBe(2)
    expect((await atrium(['status', '--kubeconfig', '/nowhere'])).code).toBe(2)
    expect((await atrium(['curl', 'hello.test'])).code).toBe(2)
  })
})

describe('rates', () => {
  const line = (tenant: string, requests: Readonly<Record<string, number>>, connections = 0) => {
    const durations = { '1': requests['2xx'] ?? 0, '2.5': requests['4xx'] ?? 0, '+Inf': requests['5xx'] ?? 0 }
    const limited = (requests['4xx'] ?? 0) / 2
    const more = { routes: 1, endpoints: { ready: 1, all: 1 } }
    return { tenant, requests, limited, durations, bytesOut: 0, activeRequests: 0, connections, ...more }
  }
  const answer = (second: number, ...tenants: ReturnType<typeof line>[]) => {
    const cpu = { seconds: second / 4, workers: 2 }
    return { time: new Date(second * 1_000).toISOString(), pods: { answered: 1, all: 1 }, cpu, tenants, warnings: [] }
  }

  test('come from two readings, also where a pod ended in between', () => {
    const before = answer(0, line('a', { '2xx': 10, '5xx': 0 }), line('b', { '2xx': 50 }, 9))
    const after = answer(2, line('a', { '2xx': 70, '5xx': 20 }), line('b', { '2xx': 5 }, 9), line('c', { '4xx': 4 }))
    const rates = ratesBetween(before, after, 'requests')
    expect(rates.map(({ tenant, requests }) => [tenant, requests])).toEqual([
      ['a', 40],
      ['c', 2],
      ['b', 0],
    ])
    expect(rates[0]).toMatchObject({ serverErrors: 0.25, clientErrors: 0 })
    expect(ratesBetween(before, after, 'connections')[0]?.tenant).toBe('b')
    expect(rates[0]).toMatchObject({ p99: 2.5, limited: 0 })
    expect(rates[1]).toMatchObject({ clientErrors: 0.5, limited: 0.5, p50: 1.75 })
    expect(rates[2]).toMatchObject({ p50: null, p99: null })
    expect(coresBetween(before, after)).toEqual({ busy: 0.25, workers: 2 })
  })

  test('an older controller tells no latencies and no CPU', () => {
    const old = (count: number) => JSON.parse(JSON.stringify(answer(count, line('a', { '2xx': count }))))
    const [before, after] = [old(0), old(2)]
    for (const { tenants } of [before, after])
      for (const name of ['limited', 'durations', 'bytesOut']) delete tenants[0][name]
    delete after.cpu
    expect(ratesBetween(before, after, 'p99')).toMatchObject([{ requests: 1, p50: null, limited: 0, bytesOut: 0 }])
    expect(coresBetween(before, after)).toBe(undefined)
  })

  test('a percentile lies in its bucket by proportion', () => {
    const counts = { '1': 50, '2.5': 0, '5': 40, '10': 10, '+Inf': 0 }
    expect(quantile(counts, 0.5)).toBe(1)
    expect(quantile(counts, 0.7)).toBe(3.75)
    expect(quantile(counts, 0.99)).toBe(9.5)
    expect(quantile({ '1': 0 }, 0.5)).toBe(null)
  })
})

// The parts of a controller in a cluster, each alone: reviews, the authority's Secret, holders of namespaces, turns, metrics.
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { failure, ObjectServer } from '../../test/support/object-server.ts'
import { EXPOSITION_TYPE, familyText, Histogram } from '../../model/exposition.ts'
import { Hidden } from '../../model/hidden.ts'
import type { Claim } from '../../model/resources.ts'
import { type Snapshot, SNAPSHOT_FORMAT } from '../../model/snapshot.ts'
import type { ApiResult } from '../api-calls.ts'
import { createControllerMetrics } from '../metrics.ts'
import type { LoopState } from '../loop.ts'
import { createAuthorityStore, showBundle } from './authority-store.ts'
import { claimedHosts, figuresOf, holdersOf, hostHappenings, tenantNamespaces } from './holders.ts'
import { ClusterKeyCache, findPod, reviewToken } from './reviews.ts'
import { createSourceTrouble } from './source-trouble.ts'
import { createTurns } from './turns.ts'

const answering = (status: number, body: unknown) => ({
  request: (): Promise<ApiResult> => Promise.resolve({ status, body, retryAfterMs: undefined }),
})
const silent = { request: (): Promise<ApiResult> => Promise.reject(new Error('cut off')) }

const WORKING = {
  resource: 'routes',
  namespace: '',
  synced: true,
  lastEventAt: 0,
  relists: 0,
  failures: 0,
  unreadable: 0,
}

describe('reviews', () => {
  test('a yes carries who it is, a no its reason, silence is neither', async () => {
    const user = { username: 'ann', groups: ['g', 5], extra: { a: ['b'] } }
    const status = { authenticated: true, user, audiences: ['x'] }
    expect(await reviewToken(answering(201, { status }), 't', 'x')).toEqual({
      type: 'authenticated',
      username: 'ann',
      groups: ['g'],
      audiences: ['x'],
      extra: { a: ['b'] },
    })
    expect(await reviewToken(answering(201, { status: { error: 'expired' } }), 't', 'x')).toEqual({
      type: 'denied',
      message: 'expired',
    })
    expect(await reviewToken(answering(422, {}), 't', 'x')).toMatchObject({ type: 'denied' })
    for (const code of [401, 403, 429, 500, 503]) {
      expect(await reviewToken(answering(code, {}), 't', 'x')).toMatchObject({ type: 'unavailable' })
    }
    expect(await reviewToken(silent, 't', 'x')).toMatchObject({ type: 'unavailable' })
    expect(await reviewToken(answering(201, undefined), 't', 'x')).toMatchObject({ type: 'denied' })
  })

  test('a pod is where its status says, unless it is another or has ended', async () => {
    const pod = (uid: string, phase: string) => ({
      metadata: { uid },
      status: { phase, podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }] },
    })
    expect(await findPod(answering(200, pod('u', 'Running')), 'n', 'p', 'u')).toEqual({
      type: 'found',
      addresses: ['10.0.0.1', 'fd00::1'],
    })
    expect(await findPod(answering(200, pod('other', 'Running')), 'n', 'p', 'u')).toEqual({ type: 'gone' })
    expect(await findPod(answering(200, pod('u', 'Failed')), 'n', 'p', 'u')).toEqual({ type: 'gone' })
    expect(await findPod(answering(404, {}), 'n', 'p', 'u')).toEqual({ type: 'gone' })
    expect(await findPod(answering(403, {}), 'n', 'p', 'u')).toEqual({ type: 'unavailable' })
    expect(await findPod(silent, 'n', 'p', 'u')).toEqual({ type: 'unavailable' })
  })

  test('the cluster’s keys stay in use when nobody answers any more', async () => {
    let cut = false
    let status = 406
    const warnings: string[] = []
    const api = {
      request: ({ path }: { path: string }) => {
        if (cut) return Promise.reject(new Error('cut off'))
        const body = path.endsWith('jwks') ? { keys: [{ kid: 'a' }] } : { issuer: 'https://cluster' }
        return Promise.resolve({ status, body, retryAfterMs: undefined })
      },
    }
    const cache = new ClusterKeyCache(api, (message) => warnings.push(message))
    await cache.start()
    expect(cache.keys).toBeUndefined()
    status = 200
    await cache.start()
    cut = true
    await cache.start()
    await cache.start()
    cache.stop()
    expect(warnings.map((warning) => warning.split(': ')[1])).toEqual([
      'without the API server no new pod can be admitted.',
      'the former ones stay.',
    ])
    expect(cache.keys).toEqual({ issuer: 'https://cluster', keys: [{ kid: 'a' }] })
  })
})

test('trouble of the source is told once for each problem until all works again', () => {
  const notes: unknown[] = []
  let time = 0
  let failing: readonly (readonly [string, number])[] = []
  const trouble = createSourceTrouble({
    watches: () => failing.map(([problem, failingSince]) => ({ ...WORKING, problem, failingSince })),
    note: (event, fields) => notes.push([event, ...Object.values(fields)]),
    now: () => time,
  })
  for (const now of [
    [],
    [['a', 0]],
    [
      ['b', 0],
      ['a', 0],
    ],
    [['b', 0]],
    [
      ['a', 0],
      ['c', 25_000],
    ],
    [],
  ] as const) {
    failing = now
    trouble.look()
    time += 10_000
  }
  failing = [['d', time]]
  trouble.look()
  failing = []
  trouble.look()
  trouble.stop()
  expect(notes).toEqual([
    ['source.failing', 'a'],
    ['source.failing', 'b'],
    ['source.failing', 'c'],
    ['source.working', 50],
  ])
})

describe('the authority in the cluster', () => {
  const place = (api: ObjectServer) => ({ api, namespace: 'atrium', release: 'r-1', labels: {} })

  test('is written over the version that was read only, and kept as it was', async () => {
    const server = new ObjectServer()
    const store = createAuthorityStore(place(server))
    expect(await store.load()).toBeUndefined()
    const first = await store.save(new Hidden('one'), undefined)
    expect(await store.save(new Hidden('two'), undefined)).toBeUndefined()
    const second = await store.save(new Hidden('two'), first)
    expect(await store.save(new Hidden('three'), first)).toBeUndefined()
    const loaded = await store.load()
    expect([loaded?.content.reveal(), loaded?.version]).toEqual(['two', second])
    server.interfere = () => failure(500, 'InternalError')
    await expect(store.load()).rejects.toThrow('500')
    await expect(store.save(new Hidden('x'), second)).rejects.toThrow('500')
  })

  test('is asked for by an annotation, which it leaves alone, and tells how far it is', async () => {
    const server = new ObjectServer()
    const store = createAuthorityStore(place(server))
    const path = '/api/v1/namespaces/atrium/secrets/r-1-ca'
    await store.save(new Hidden('one'), undefined)
    expect((await store.load())?.request).toBeUndefined()
    const annotate = (annotations: Record<string, string>) => {
      const there = server.objects.get(path)
      server.put(path, { ...there, metadata: { ...there?.metadata, annotations } })
    }
    annotate({ 'atrium.dev/rotate': 'today', other: 'x' })
    expect((await store.load())?.request).toEqual({ word: 'today', overlap: 3_600_000 })
    annotate({ 'atrium.dev/rotate': 'today', 'atrium.dev/rotate-overlap': 'soon', other: 'x' })
    expect((await store.load())?.request).toEqual({ word: 'today', overlap: 3_600_000 })
    annotate({ 'atrium.dev/rotate': 'today', 'atrium.dev/rotate-overlap': '5m', other: 'x' })
    const loaded = await store.load()
    expect(loaded?.request).toEqual({ word: 'today', overlap: 300_000 })
    await store.save(new Hidden('two'), loaded?.version, 'today: done')
    expect(server.objects.get(path)?.metadata['annotations']).toEqual({
      'atrium.dev/rotate': 'today',
      'atrium.dev/rotate-overlap': '5m',
      'atrium.dev/rotation': 'today: done',
      other: 'x',
    })
    expect((await store.load())?.content.reveal()).toBe('two')
  })

  test('its bundle is written where it differs', async () => {
    const server = new ObjectServer()
    await showBundle(place(server), 'pem')
    const calls = server.calls.length
    await showBundle(place(server), 'pem')
    expect(server.calls).toHaveLength(calls + 1)
    await showBundle(place(server), 'new')
    expect(server.objects.get('/api/v1/namespaces/atrium/configmaps/r-1-ca')).toMatchObject({
      data: { 'ca.crt': 'new' },
    })
  })
})

describe('holders', () => {
  const claim = (what: Claim['what'], name: string, tenant: string, more: Partial<Claim> = {}): Claim => ({
    what,
    name,
    tenant,
    since: 1,
    ...more,
  })
  const stateOf = (
    claims: readonly Claim[],
    wanted: readonly Claim[],
    namespaces: Readonly<Record<string, string | undefined>> = {},
  ): LoopState => {
    const objects = new Map(
      Object.entries(namespaces).map(([name, label]) => [
        name,
        {
          kind: 'Namespace' as const,
          metadata: {
            name,
            namespace: '',
            generation: 0,
            labels: label === undefined ? {} : { 'atrium.dev/tenant': label },
            annotations: {},
          },
          body: {},
        },
      ]),
    )
    const partitions = new Map([['', { namespace: '', objects: new Map([['Namespace' as const, objects]]) }]])
    const snapshot: Snapshot = {
      format: SNAPSHOT_FORMAT,
      version: 'v',
      endpointsRevision: 'e',
      shards: new Map(),
      pools: new Map(),
    }
    return {
      resources: { revision: '1', partitions, claims, lastGood: [] },
      result: { snapshot, issues: [], objects: [], claims: wanted, lastGood: [], crossEffects: [], memo: undefined },
      source: { resources: { revision: '1', partitions }, problems: [], changed: new Set() },
      acknowledgements: [],
      sequence: 1,
      compileMs: 1,
      activationMs: 5,
      cycles: 1,
    }
  }

  test('a claim that holds decides; a wish of one alone is enough; a claim that only waits gives nothing', () => {
    const state = stateOf(
      [claim('namespace', 'a', 'acme'), claim('namespace', 'c', 'acme', { releasedAt: 5 })],
      [
        claim('namespace', 'a', 'acme'),
        claim('namespace', 'a', 'globex'),
        claim('namespace', 'b', 'globex'),
        claim('namespace', 'd', 'x'),
        claim('namespace', 'd', 'y'),
        claim('host', 'h', 'z'),
      ],
      { a: undefined, b: 'globex', c: 'acme', e: undefined },
    )
    const holders = holdersOf(state)
    expect([...holders]).toEqual([
      ['a', 'acme'],
      ['b', 'globex'],
    ])
    expect([...tenantNamespaces(state, holders)]).toEqual([
      ['a', { tenant: 'acme', label: undefined }],
      ['b', { tenant: 'globex', label: 'globex' }],
      ['c', { tenant: undefined, label: 'acme' }],
    ])
  })

  test('pods that refuse a tenant do not serve it', () => {
    const answer = (pod: string, version: string, refused: string[] = []) => ({
      pod,
      version,
      sequence: 1,
      endpointsRevision: 'e',
      refused: refused.map((tenant) => ({ tenant, message: '' })),
    })
    const figures = figuresOf(stateOf([], []), new Map([['a', 'acme']]), {
      acknowledgements: [answer('p', 'v'), answer('q', 'v', ['acme']), answer('r', 'old')],
      known: 4,
    })
    const status = (tenant: string) => Object.assign(Object.create(null), { tenant })
    expect(figures(status('acme'))).toMatchObject({
      podsServing: 1,
      podsDesired: 4,
      namespaces: 1,
      programmedAfterMs: 5,
    })
    expect(figures(status('globex'))).toMatchObject({ podsServing: 2, namespaces: 0 })
  })

  test('hosts that come and go are told to their tenants', () => {
    const before = claimedHosts([claim('host', 'a', 'acme'), claim('host', 'b', 'acme')])
    const after = claimedHosts([
      claim('host', 'a', 'acme', { releasedAt: 1 }),
      claim('host', 'b', 'acme'),
      claim('host', 'c', 'globex'),
    ])
    expect(
      hostHappenings(before, after).map(({ tenant, happening }) => [tenant, happening.reason, happening.note]),
    ).toEqual([
      ['globex', 'HostClaimed', 'c is held by this tenant.'],
      ['acme', 'HostReleased', 'a is not asked for any more.'],
    ])
  })
})

test('turns are taken at once, then together, and end', async () => {
  let runs = 0
  const turns = createTurns(20, () => {
    runs++
  })
  turns.ask()
  await sleep(5)
  expect(runs).toBe(1)
  for (let time = 0; time < 10; time++) turns.ask()
  await sleep(60)
  expect(runs).toBe(2)
  turns.flush()
  expect(runs).toBe(2)
  turns.ask()
  turns.flush()
  expect(runs).toBe(3)
  turns.ask()
  turns.stop()
  await sleep(40)
  turns.flush()
  expect(runs).toBe(3)
})

describe('metrics', () => {
  test('have heads, labels are escaped, buckets add up', () => {
    expect(
      familyText({ name: 'a', type: 'gauge', help: 'What\nis it?' }, [{ labels: { x: '"\\\n' }, value: 1.5 }]),
    ).toBe('# HELP a What\\nis it?\n# TYPE a gauge\na{x="\\"\\\\\\n"} 1.5\n')
    const histogram = new Histogram('h', 'How long?', [0.1, 1])
    for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe(value)
    expect(histogram.text().split('\n').slice(2, 7)).toEqual([
      'h_bucket{le="0.1"} 2',
      'h_bucket{le="1"} 3',
      'h_bucket{le="+Inf"} 4',
      'h_sum 7.65',
      'h_count 4',
    ])
    expect(EXPOSITION_TYPE).toContain('0.0.4')
  })

  test('a refusal is counted once for each pod and version', () => {
    const metrics = createControllerMetrics({
      leads: () => true,
      watches: () => [],
      statuses: () => [],
      state: () => undefined,
      tenantOf: () => undefined,
      statusWaiting: () => 3,
      sentBytes: () => 9,
      pushFailures: () => new Map([['Refused', 2]]),
      pods: () => [{ state: 'current' }, { state: 'failing' }],
    })
    const answer = (version: string) => [
      { pod: 'p', version, sequence: 1, endpointsRevision: 'e', refused: [{ tenant: 'acme', message: 'no' }] },
    ]
    for (const version of ['1', '1', '2']) metrics.answers(answer(version))
    const text = metrics.text()
    metrics.stop()
    expect(text).toContain('atrium_shard_refusals_total{tenant="acme"} 2\n')
    expect(text).toContain('atrium_pods{state="failing"} 1\n')
    expect(text).toContain('atrium_push_failures_total{reason="Refused"} 2\n')
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name)
    expect(new Set(names).size).toBe(names.length)
    for (const line of text.split('\n')) expect(line).toMatch(/^(#.*|[a-z_]+(\{.*\})? \S+|)$/)
  })
})

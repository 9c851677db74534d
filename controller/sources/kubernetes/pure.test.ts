// The parts of the Kubernetes source that need no server: order of versions, what is kept of an object, the cache under
// any history, Tenants of a namespace, figures as text waits, and the pulse.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Kind } from '../../../model/resources.ts'
import { Backoff } from './backoff.ts'
import type { ApiClient, ApiRequest } from './client.ts'
import { keepObject, sameObject, sameValue } from './keep-object.ts'
import { type Edit, KindCache } from './kind-cache.ts'
import { Pulse } from './pulse.ts'
import { compareVersions, isAtLeast, isOlder, newerVersion } from './resource-version.ts'
import { tenantsOf } from './tenants-of.ts'
import { readWatchEvent } from './watch-event.ts'
import { renderWatchMetrics, type WatchStatus } from './watch-status.ts'

describe('versions', () => {
  test('are ordered as numbers, of any length', () => {
    expect(compareVersions('9', '10')).toBeLessThan(0)
    expect(isOlder('99999999999999999999', '100000000000000000000')).toBe(true)
    expect(isAtLeast('7', '7')).toBe(true)
    expect(isAtLeast(undefined, '7')).toBe(false)
    expect(newerVersion('12', '9')).toBe('12')
  })

  test('that are no numbers are not compared, so nothing is dropped for them', () => {
    for (const odd of ['', 'abc', '-1', '1.5', '007']) {
      expect(compareVersions(odd, '5')).toBeUndefined()
      expect(isOlder(odd, '5')).toBe(false)
      expect(isAtLeast(odd, '5')).toBe(false)
      expect(newerVersion('5', odd)).toBe(odd)
    }
  })
})

describe('what is kept', () => {
  const raw = (more: object) => ({
    metadata: { name: 'x', namespace: 'a', uid: 'u', resourceVersion: '5', generation: 2, managedFields: [{}] },
    ...more,
  })

  test('of our own kinds: spec, labels, identity', () => {
    const kept = keepObject('Route', raw({ spec: { a: 1 }, status: { b: 2 } }))
    expect(kept.body).toEqual({ spec: { a: 1 } })
    expect(kept.metadata).toEqual({ name: 'x', namespace: 'a', uid: 'u', generation: 2, labels: {}, annotations: {} })
  })

  test('of a slice: what can be dialled, and who vouches for it', () => {
    const kept = keepObject(
      'EndpointSlice',
      raw({
        addressType: 'IPv4',
        ports: [{ port: 80 }],
        endpoints: [
          {
            addresses: ['10.0.0.1'],
            conditions: { ready: true },
            nodeName: 'n',
            hints: { forZones: [] },
            targetRef: { kind: 'Pod', name: 'p', namespace: 'a', uid: 'u' },
          },
          'rubbish',
        ],
      }),
    )
    expect(kept.body).toEqual({
      addressType: 'IPv4',
      ports: [{ port: 80 }],
      endpoints: [
        {
          addresses: ['10.0.0.1'],
          conditions: { ready: true },
          targetRef: { kind: 'Pod', name: 'p', namespace: 'a' },
        },
        'rubbish',
      ],
    })
  })

  test('a slice that only counts on is the same', () => {
    const one = keepObject('EndpointSlice', raw({ endpoints: [] }))
    const two = keepObject('EndpointSlice', {
      metadata: { ...raw({}).metadata, generation: 3, labels: { 'endpointslice.kubernetes.io/managed-by': 'x' } },
      endpoints: [],
    })
    expect(sameObject(one, two)).toBe(true)
    const other = keepObject('EndpointSlice', {
      metadata: { ...raw({}).metadata, labels: { 'kubernetes.io/service-name': 'web' } },
      endpoints: [],
    })
    expect(sameObject(one, other)).toBe(false)
  })

  test('is read from anything without a throw', () => {
    const kinds: readonly Kind[] = ['Tenant', 'Route', 'Policy', 'Service', 'EndpointSlice', 'Pod', 'Namespace']
    fc.assert(
      fc.property(
        fc.constantFrom(...kinds),
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.jsonValue(),
        (kind, more, odd) => {
          const object = { ...more, metadata: odd, spec: odd, status: odd, endpoints: odd }
          expect(keepObject(kind, object).kind).toBe(kind)
        },
      ),
    )
  })

  test('equality is that of JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        expect(sameValue(a, JSON.parse(JSON.stringify(a)))).toBe(true)
        if (sameValue(a, b)) expect(sorted(a)).toBe(sorted(b))
      }),
    )
  })
})

function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, each) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  )
}

describe('the cache', () => {
  const raw = (name: string, version: number, port: number) => ({
    metadata: { namespace: 'a', name, resourceVersion: String(version) },
    spec: { ports: [{ port }] },
  })

  /** A cache and the world that its edits make. */
  function make() {
    const world = new Map<string, unknown>()
    const edits: Edit[] = []
    const cache = new KindCache({
      kind: 'Service',
      onEdit: (edit) => {
        edits.push(edit)
        if (edit.object === undefined) world.delete(edit.name)
        else world.set(edit.name, edit.object.body)
      },
      onUnreadable: () => undefined,
    })
    return { cache, world, edits }
  }

  test('ends where the world is, whatever is doubled, late, listed in between or merged', () => {
    const step = fc.record({
      name: fc.constantFrom('x', 'y', 'z'),
      remove: fc.boolean(),
      port: fc.integer({ min: 1, max: 3 }),
    })
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 30 }),
        fc.array(fc.record({ at: fc.nat(30), what: fc.constantFrom('list', 'merge', 'repeat') }), { maxLength: 12 }),
        (steps, disturbances) => {
          const { cache, world } = make()
          const truth = new Map<string, { raw: ReturnType<typeof raw>; port: number }>()
          const events: { raw: ReturnType<typeof raw>; deleted: boolean }[] = []
          const states: ReadonlyMap<string, { raw: ReturnType<typeof raw>; port: number }>[] = [new Map()]
          for (const [index, { name, remove, port }] of steps.entries()) {
            const object = raw(name, index + 1, port)
            if (remove && !truth.has(name)) {
              states.push(new Map(truth))
              continue
            }
            if (remove) truth.delete(name)
            else truth.set(name, { raw: object, port })
            events.push({ raw: object, deleted: remove })
            states.push(new Map(truth))
          }
          const list = (revision: number, how: 'list' | 'merge') => {
            const items = [...(states[revision]?.values() ?? [])].map((each) => each.raw)
            if (how === 'merge') cache.mergeNamespace('a', items, String(revision))
            else {
              const listing = cache.beginList()
              for (const item of items) cache.listed(listing, item)
              cache.endList(listing, String(revision), false)
            }
          }
          for (const [index, event] of events.entries()) {
            const version = Number(event.raw.metadata.resourceVersion)
            cache.apply(event.raw, event.deleted)
            for (const { at, what } of disturbances) {
              if (at !== index) continue
              // A merged list may be ahead of the watch, and the same events come again after it.
              if (what === 'merge') list(Math.min(steps.length, version + 2), 'merge')
              if (what === 'list') list(version, 'list')
              if (what === 'repeat') for (const each of events.slice(0, index)) cache.apply(each.raw, each.deleted)
            }
          }
          const wanted = Object.fromEntries(
            [...truth].map(([name, { port }]) => [name, { spec: { ports: [{ port }] } }]),
          )
          expect(Object.fromEntries(world)).toEqual(wanted)
          expect(cache.size).toBe(truth.size)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('a list that is the truth by force forgets what was seen', () => {
    const { cache, world } = make()
    cache.apply(raw('x', 100, 1), false)
    cache.apply(raw('y', 101, 1), true)
    const listing = cache.beginList()
    cache.listed(listing, raw('x', 5, 2))
    cache.listed(listing, raw('y', 6, 2))
    cache.endList(listing, '7', true)
    expect([...world.keys()].sort()).toEqual(['x', 'y'])
    cache.apply(raw('y', 8, 3), false)
    expect(world.get('y')).toEqual({ spec: { ports: [{ port: 3 }] } })
  })

  test('what a merged list is newer than brings nothing back, for a moment either', () => {
    const { cache, edits } = make()
    cache.apply(raw('x', 5, 1), false)
    cache.mergeNamespace('a', [raw('y', 8, 1)], '10')
    const told = edits.length
    cache.apply(raw('x', 7, 2), false)
    cache.apply(raw('x', 9, 2), true)
    expect(edits).toHaveLength(told)
    cache.apply(raw('x', 11, 3), false)
    expect(cache.get('a', 'x')?.body).toEqual({ spec: { ports: [{ port: 3 }] } })
  })

  test('a list that was on its way while a newer one was merged changes nothing there', () => {
    const { cache, world } = make()
    const listing = cache.beginList()
    cache.listed(listing, raw('x', 5, 1))
    cache.mergeNamespace('a', [raw('y', 8, 1)], '10')
    cache.endList(listing, '6', false)
    expect([...world.keys()]).toEqual(['y'])
  })

  test('a repeated list edits nothing', () => {
    const { cache, edits } = make()
    for (let round = 0; round < 2; round++) {
      const listing = cache.beginList()
      cache.listed(listing, raw('x', 5, 2))
      cache.endList(listing, String(10 + round), false)
    }
    expect(edits).toHaveLength(1)
  })
})

test('an event is read or refused, and nothing throws', () => {
  expect(readWatchEvent('{"type":"ADDED","object":{"metadata":{"resourceVersion":"5"}}}')).toMatchObject({
    type: 'object',
    deleted: false,
    version: '5',
  })
  expect(readWatchEvent('{"type":"BOOKMARK"}')).toEqual({ type: 'bookmark', version: '' })
  expect(readWatchEvent('{"type":"LATER"}')).toEqual({ type: 'unknown' })
  for (const broken of ['', '{', '[]', 'null', '{"type":5}']) expect(readWatchEvent(broken)).toEqual({ type: 'broken' })
  fc.assert(
    fc.property(fc.string(), (line) => {
      readWatchEvent(line)
    }),
  )
})

test('Tenants of a namespace are those that name it or select its labels', () => {
  const tenant = (name: string, spec: unknown) =>
    keepObject('Tenant', { metadata: { name, generation: 1 }, spec: spec as object })
  const tenants = [
    tenant('named', { namespaces: ['a', 'b'] }),
    tenant('labels', { namespaceSelector: { matchLabels: { team: 'x' } } }),
    tenant('expressions', {
      namespaceSelector: {
        matchExpressions: [
          { key: 'team', operator: 'In', values: ['x', 'y'] },
          { key: 'stage', operator: 'Exists' },
          { key: 'old', operator: 'DoesNotExist' },
          { key: 'team', operator: 'NotIn', values: ['z'] },
        ],
      },
    }),
    tenant('empty', { namespaceSelector: {} }),
    tenant('odd', { namespaces: 5, namespaceSelector: { matchExpressions: [null, { operator: 'Is' }] } }),
    tenant('none', undefined),
  ]
  expect(tenantsOf('a', {}, tenants)).toEqual(['named'])
  expect(tenantsOf('c', { team: 'x' }, tenants)).toEqual(['labels'])
  expect(tenantsOf('c', { team: 'x', stage: 'prod' }, tenants)).toEqual(['labels', 'expressions'])
  expect(tenantsOf('c', { team: 'x', stage: 'prod', old: '' }, tenants)).toEqual(['labels'])
})

test('figures are one series for each resource, as old as its oldest watch', () => {
  const status: WatchStatus = {
    resource: 'secrets',
    namespace: 'a',
    synced: true,
    lastEventAt: 5_000,
    relists: 1,
    failures: 2,
    unreadable: 0,
  }
  const text = renderWatchMetrics([
    status,
    { ...status, namespace: 'b', lastEventAt: 4_000, problem: 'gone' },
    { ...status, resource: 'pods' },
  ])
  expect(text).toContain('atrium_watch_last_event_timestamp_seconds{resource="secrets"} 4\n')
  expect(text).toContain('atrium_watch_relists_total{resource="secrets"} 2\n')
  expect(text).toContain('atrium_watch_failures_total{resource="pods"} 2\n')
  expect(text).toContain('atrium_watch_failing{resource="secrets"} 1\n')
  expect(text.match(/^# TYPE /gm)).toHaveLength(4)
})

test('waits grow to their bound, are drawn below it, and never below what was asked', () => {
  const backoff = new Backoff({ baseMs: 100, maxMs: 1_000 })
  const waits = Array.from({ length: 50 }, () => backoff.next())
  expect(waits[0]).toBeLessThanOrEqual(100)
  expect(Math.max(...waits)).toBeLessThanOrEqual(1_000)
  expect(Math.max(...waits)).toBeGreaterThan(200)
  expect(backoff.next(5_000)).toBeGreaterThanOrEqual(5_000)
  backoff.reset()
  expect(backoff.next()).toBeLessThanOrEqual(100)
})

describe('the pulse', () => {
  function make(answer: (request: ApiRequest) => number, enabled?: () => boolean) {
    const requests: ApiRequest[] = []
    const client: ApiClient = {
      namespace: 'here',
      request: async (request) => {
        requests.push(request)
        return { status: answer(request), body: undefined, retryAfterMs: undefined }
      },
      watch: () => Promise.reject(new Error('no watch')),
      onReturn: () => () => undefined,
      close: () => undefined,
    }
    const owner = { name: 'pod-1', uid: 'u-1' }
    const object = { namespace: 'here', name: 'pulse', owner, ...(enabled === undefined ? {} : { enabled }) }
    return { pulse: new Pulse(client, object), requests }
  }
  const quiet = () => new Promise((resolve) => setTimeout(resolve, 5))

  test('is two writes at a time, and one more for all who came meanwhile', async () => {
    const { pulse, requests } = make(() => 200)
    for (let index = 0; index < 10; index++) expect(pulse.beat()).toBe(true)
    expect(requests).toHaveLength(2)
    await quiet()
    expect(requests.map(({ method }) => method)).toEqual(['PATCH', 'PATCH', 'PATCH'])
  })

  test('makes its object, and rests where it may not', async () => {
    const { pulse, requests } = make(({ method }) => (method === 'PATCH' ? 404 : 201))
    pulse.beat()
    await quiet()
    expect(requests.map(({ method }) => method)).toEqual(['PATCH', 'POST'])
    // It goes with the pod that made it, so nothing is left where the release is taken away.
    expect(requests[1]?.body).toMatchObject({
      metadata: { ownerReferences: [{ kind: 'Pod', name: 'pod-1', uid: 'u-1' }] },
    })
    const refused = make(() => 403)
    refused.pulse.beat()
    await quiet()
    expect(refused.pulse.beat()).toBe(false)
    await quiet()
    expect(refused.requests).toHaveLength(1)
  })

  test('is for the leader alone', async () => {
    let leads = false
    const { pulse, requests } = make(
      () => 200,
      () => leads,
    )
    expect(pulse.beat()).toBe(false)
    leads = true
    expect(pulse.beat()).toBe(true)
    await quiet()
    expect(requests).toHaveLength(1)
    expect(pulse.isObject('here', 'pulse')).toBe(true)
    expect(pulse.isObject('here', 'other')).toBe(false)
  })
})

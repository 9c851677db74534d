// The status writer against an API server in memory: what is written, what is not, in which order, and how much.
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { failure, ObjectServer } from '../../test/support/object-server.ts'
import { decodeStatusOf } from '../../test/support/status-schema.ts'
import { WriteQueue } from '../write-queue.ts'
import type { Condition, ObjectStatus } from './conditions.ts'
import { happenings } from './events.ts'
import { createKubernetesWriter, type KubernetesWriter } from './kubernetes-writer.ts'
import { readStoredStatus, type StatusFigures, type StoredStatus, sameStatus, statusBody } from './status-body.ts'

const FIGURES: StatusFigures = { podsServing: 3, podsDesired: 3, programmedAfterMs: 42, hosts: 1, namespaces: 2 }
const ROUTES = '/apis/atrium.dev/v1alpha1/namespaces/acme/routes'

type Say = Pick<Condition, 'status' | 'reason' | 'message'>
const GOOD: Say = { status: 'True', reason: 'Serving', message: '' }
const ON_PODS: Say = { status: 'True', reason: 'Programmed', message: 'On 3 pods.' }
const PENDING: Say = { status: 'Unknown', reason: 'PodsPending', message: 'Not yet on pod-2.' }
const REJECTED: Say = { status: 'False', reason: 'HostNotOwned', message: 'Not yours.' }

function route(name: string, generation: number, programmed: Say, ready: Say): ObjectStatus {
  const accepted: Say = ready.reason === 'HostNotOwned' ? ready : { status: 'True', reason: 'Accepted', message: '' }
  const say = (type: Condition['type'], what: Say): Condition => ({ type, ...what, observedGeneration: generation })
  const serving = accepted.status === 'True'
  return {
    object: { kind: 'Route', namespace: 'acme', name },
    generation,
    tenant: 'acme',
    conditions: [say('Accepted', accepted), say('Programmed', programmed), say('Ready', ready)],
    ready: say('Ready', ready),
    cause: undefined,
    servingGeneration: serving ? generation : null,
    count: 1,
    summary: { hosts: 'a.test' },
  }
}

function tenant(programmed: Say, ready: Say): ObjectStatus {
  return {
    ...route('acme', 1, programmed, ready),
    object: { kind: 'Tenant', namespace: '', name: 'acme' },
    summary: {},
  }
}

describe('the body', () => {
  const time = '2026-01-02T03:04:05Z'
  const now = Date.parse(time)

  test('says what the CRD knows, and only that', () => {
    for (const status of [route('a', 1, ON_PODS, GOOD), tenant(ON_PODS, GOOD)]) {
      const body = statusBody(status, undefined, FIGURES, now)
      expect(decodeStatusOf(status.object.kind, body)).toEqual([])
      expect(JSON.stringify(body).length).toBeLessThan(8_192)
    }
    expect(statusBody(route('a', 1, ON_PODS, GOOD), undefined, FIGURES, now)).toEqual({
      observedGeneration: 1,
      conditions: [
        {
          type: 'Accepted',
          status: 'True',
          reason: 'Accepted',
          message: '',
          observedGeneration: 1,
          lastTransitionTime: time,
        },
        { type: 'Programmed', ...ON_PODS, observedGeneration: 1, lastTransitionTime: time },
        { type: 'Ready', ...GOOD, observedGeneration: 1, lastTransitionTime: time },
      ],
      summary: { hosts: 'a.test' },
      serving: { generation: 1, pods: 3, programmedAfter: '42ms' },
    })
    expect(statusBody(tenant(ON_PODS, GOOD), undefined, FIGURES, now)).toMatchObject({
      summary: { namespaces: '2', pods: '3/3' },
      routes: 1,
      hostnames: 1,
    })
  })

  test('a time stays where the status does', () => {
    const first = statusBody(route('a', 1, ON_PODS, GOOD), undefined, FIGURES, now)
    const second = statusBody(route('a', 2, ON_PODS, REJECTED), first, FIGURES, now + 60_000)
    const times = second.conditions.map((each) => each.lastTransitionTime)
    expect(times).toEqual(['2026-01-02T03:05:05Z', time, '2026-01-02T03:05:05Z'])
  })

  test('pods that come and go change Tenants, never what a Route says of its generation', () => {
    const before = statusBody(route('a', 1, ON_PODS, GOOD), undefined, FIGURES, now)
    const fewer = { ...FIGURES, podsServing: 2, programmedAfterMs: 7 }
    const on2: Say = { ...ON_PODS, message: 'On 2 pods.' }
    for (const [programmed, ready] of [
      [PENDING, PENDING],
      [on2, GOOD],
      [
        { ...PENDING, reason: 'NoResources' },
        { ...PENDING, reason: 'NoResources' },
      ],
    ] as const) {
      const after = statusBody(route('a', 1, programmed, ready), before, fewer, now + 1_000)
      expect(sameStatus(before, after)).toBe(true)
      const owner = statusBody(tenant(ON_PODS, GOOD), undefined, FIGURES, now)
      expect(sameStatus(owner, statusBody(tenant(programmed, ready), owner, fewer, now))).toBe(false)
    }
    const pending = statusBody(route('a', 2, PENDING, PENDING), before, FIGURES, now)
    expect(pending.conditions[1]).toMatchObject(PENDING)
    expect(pending.serving).toEqual({ generation: 2, pods: 3 })
    const others = { ...PENDING, message: 'Not yet on pod-7.' }
    expect(sameStatus(pending, statusBody(route('a', 2, others, others), pending, fewer, now))).toBe(true)
    const done = statusBody(route('a', 2, ON_PODS, GOOD), pending, FIGURES, now)
    expect(done.serving?.programmedAfter).toBe('42ms')
  })

  test('a pod that refuses is told, and that it refuses no longer', () => {
    const before = statusBody(route('a', 1, ON_PODS, GOOD), undefined, FIGURES, now)
    const refused: Say = { status: 'False', reason: 'PodsRefused', message: 'Pod p keeps the former version: no.' }
    const after = statusBody(route('a', 1, refused, refused), before, { ...FIGURES, podsServing: 2 }, now)
    expect(after.conditions[2]).toMatchObject(refused)
    expect(after.serving).toEqual({ generation: 1, pods: 2, programmedAfter: '42ms' })
    expect(statusBody(route('a', 1, ON_PODS, GOOD), after, FIGURES, now).conditions[2]).toMatchObject(GOOD)
  })

  test('a warning in Ready outlives pods, not its cause', () => {
    const warning: Say = { status: 'True', reason: 'CertificateExpiring', message: 'In 9 days.' }
    const warned = (programmed: Say, ready: Say, refs: Say): ObjectStatus => {
      const status = route('a', 1, programmed, ready)
      return { ...status, conditions: [...status.conditions, { type: 'ResolvedRefs', ...refs, observedGeneration: 1 }] }
    }
    const before = statusBody(warned(ON_PODS, warning, warning), undefined, FIGURES, now)
    expect(sameStatus(before, statusBody(warned(PENDING, PENDING, warning), before, FIGURES, now))).toBe(true)
    const resolved: Say = { status: 'True', reason: 'ResolvedRefs', message: '' }
    expect(statusBody(warned(ON_PODS, GOOD, resolved), before, FIGURES, now).conditions[2]).toMatchObject(GOOD)
  })

  test('reading takes any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const read = readStoredStatus(value)
        expect(sameStatus(read, readStoredStatus(JSON.parse(JSON.stringify(read))))).toBe(true)
      }),
    )
  })
})

describe('Events', () => {
  const body = (status: ObjectStatus, before?: StoredStatus) => statusBody(status, before, FIGURES, 0)
  const reasons = (before: StoredStatus | undefined, after: StoredStatus) =>
    happenings(before, after).map((each) => each.reason)

  test('tell what began', () => {
    const serving = body(route('a', 1, ON_PODS, GOOD))
    const rejected = body(route('a', 2, ON_PODS, REJECTED), serving)
    expect(reasons(undefined, serving)).toEqual(['Serving'])
    expect(reasons(undefined, body(route('a', 1, PENDING, PENDING)))).toEqual(['Accepted'])
    expect(reasons(serving, serving)).toEqual([])
    expect(happenings(serving, rejected)).toEqual([{ reason: 'Rejected', note: 'HostNotOwned: Not yours.' }])
    expect(reasons(rejected, serving)).toEqual(['Serving'])
    const suspended = body(tenant(ON_PODS, { status: 'False', reason: 'Suspended', message: '' }))
    expect(reasons(body(tenant(ON_PODS, GOOD)), suspended)).toEqual(['Suspended'])
    expect(reasons(suspended, body(tenant(ON_PODS, GOOD)))).toEqual(['Resumed'])
  })
})

describe('the queue', () => {
  const LIMITS = { perSecond: 10, burst: 2, objectMs: 1_000, backoffMs: 1_000, backoffMostMs: 8_000 }

  test('rejections first, then the rest in their order; the budget holds', () => {
    const queue = new WriteQueue(LIMITS)
    for (const key of ['a', 'b']) queue.add(key, 2)
    queue.add('t', 1)
    queue.add('r', 0)
    queue.add('b', 0)
    expect([queue.take(0), queue.take(0), queue.take(0)]).toEqual([{ key: 'r' }, { key: 'b' }, { waitMs: 100 }])
    expect([queue.take(100), queue.take(200), queue.take(300)]).toEqual([{ key: 't' }, { key: 'a' }, undefined])
  })

  test('tenants in turn: who has much to say does not keep others waiting', () => {
    const queue = new WriteQueue({ ...LIMITS, burst: 10 })
    for (let index = 0; index < 100; index++) queue.add(`noisy-${index}`, 2, 'noisy')
    queue.add('calm-1', 2, 'calm')
    queue.add('calm-2', 2, 'calm')
    queue.add('third', 2, 'third')
    const taken = Array.from({ length: 7 }, () => queue.take(0)).map((next) => (next && 'key' in next ? next.key : ''))
    expect(taken).toEqual(['noisy-0', 'calm-1', 'third', 'noisy-1', 'calm-2', 'noisy-2', 'noisy-3'])
    queue.delete('noisy-5')
    expect(queue.length).toBe(103 - 7 - 1)
    // Another tenant's from now on.
    queue.add('noisy-6', 2, 'calm')
    expect(queue.length).toBe(103 - 7 - 1)
  })

  test('an object that changes all the time is written ever less often; a rejection does not wait for that', () => {
    const queue = new WriteQueue(LIMITS)
    const times: number[] = []
    for (let now = 0; now < 40_000; now += 10) {
      queue.add('a', 2, 't')
      const next = queue.take(now)
      if (next === undefined || !('key' in next)) continue
      times.push(now)
      queue.done('a', now)
    }
    expect(times).toEqual([0, 1_000, 3_000, 7_000, 15_000, 23_000, 31_000, 39_000])
    queue.add('a', 0, 't')
    expect(queue.take(40_000)).toEqual({ key: 'a' })
    queue.done('a', 40_000)
    // After a quiet time it begins anew.
    queue.add('a', 2, 't')
    expect(queue.take(60_000)).toEqual({ key: 'a' })
    queue.done('a', 60_000)
    queue.add('a', 2, 't')
    expect(queue.take(60_000)).toEqual({ waitMs: 1_000 })
  })

  test('what is little news is written less often, and takes nothing from the rest', () => {
    const queue = new WriteQueue({ ...LIMITS, burst: 10, calm: { perSecond: 2, burst: 3 } })
    for (let index = 0; index < 8; index++) queue.add(`calm-${index}`, 3)
    const keys: string[] = []
    for (let next = queue.take(0); next !== undefined && 'key' in next; next = queue.take(0)) keys.push(next.key)
    expect(keys).toEqual(['calm-0', 'calm-1', 'calm-2'])
    expect(queue.take(0)).toEqual({ waitMs: 500 })
    queue.add('new', 2)
    expect(queue.take(0)).toEqual({ key: 'new' })
    queue.skipped('calm-0')
    expect(queue.take(0)).toEqual({ key: 'calm-3' })
    expect(queue.take(500)).toEqual({ key: 'calm-4' })
  })

  test('one object once a second; a failure waits longer each time', () => {
    const queue = new WriteQueue(LIMITS)
    queue.add('a', 2)
    expect(queue.take(0)).toEqual({ key: 'a' })
    queue.add('a', 2)
    expect(queue.take(10)).toBeUndefined()
    queue.done('a', 20)
    expect(queue.take(20)).toEqual({ waitMs: 1_000 })
    let now = 1_020
    const waits: number[] = []
    for (let round = 0; round < 6; round++) {
      expect(queue.take(now)).toEqual({ key: 'a' })
      queue.failed('a', now, 1)
      const wait = queue.take(now)
      if (wait === undefined || !('waitMs' in wait)) throw new Error('taken at once')
      waits.push(wait.waitMs)
      now += wait.waitMs
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 8_000, 8_000])
    queue.delete('a')
    expect(queue.length).toBe(0)
  })
})

describe('the writer', () => {
  let server: ObjectServer
  let writer: KubernetesWriter
  let fence: number | undefined
  let warnings: string[]

  const patches = () => server.calls.filter((call) => call.method === 'PATCH')
  const statusOf = (name: string) => readStoredStatus(server.objects.get(`${ROUTES}/${name}`)?.['status'])

  beforeEach(() => {
    server = new ObjectServer()
    fence = 1
    warnings = []
    writer = createKubernetesWriter({
      api: server,
      fence: () => fence,
      limits: { perSecond: 1_000, burst: 10, objectMs: 20, backoffMs: 20, backoffMostMs: 40 },
      warn: (message) => warnings.push(message),
    })
    for (const name of ['a-1', 'b-1', 'c-1']) server.put(`${ROUTES}/${name}`, { spec: {} })
  })
  afterEach(() => writer.stop(0))

  const report = (...statuses: ObjectStatus[]) => writer.report({ statuses, figures: () => FIGURES })

  test('writes nothing before it leads, and then what differs', async () => {
    report(route('a-1', 1, ON_PODS, GOOD))
    await sleep(10)
    expect(server.calls).toEqual([])
    writer.lead(true)
    await vi.waitFor(() => expect(statusOf('a-1').conditions[2]).toMatchObject(GOOD))
    expect(patches()).toHaveLength(1)
    report(route('a-1', 1, { ...ON_PODS, message: 'On 4 pods.' }, GOOD))
    await sleep(30)
    expect(patches()).toHaveLength(1)
  })

  test('a new leader writes nothing that its predecessor wrote', async () => {
    writer.lead(true)
    report(route('a-1', 1, ON_PODS, GOOD), route('b-1', 1, ON_PODS, REJECTED))
    await vi.waitFor(() => expect(patches()).toHaveLength(2))
    // The list of the server has no page for each namespace: hand it what it holds.
    const items = [...server.objects.values()].map((object) => ({
      ...object,
      metadata: { ...object.metadata, namespace: 'acme' },
    }))
    server.interfere = (call) =>
      call.path.endsWith('v1alpha1/routes') ? { status: 200, body: { items }, retryAfterMs: undefined } : undefined
    const next = createKubernetesWriter({ api: server, fence: () => 2, warn: (message) => warnings.push(message) })
    next.report({
      statuses: [route('a-1', 1, ON_PODS, GOOD), route('b-1', 1, ON_PODS, REJECTED)],
      figures: () => FIGURES,
    })
    next.lead(true)
    await sleep(30)
    expect(patches()).toHaveLength(2)
    expect(next.waiting()).toBe(0)
    next.report({ statuses: [route('a-1', 2, ON_PODS, GOOD)], figures: () => FIGURES })
    await vi.waitFor(() => expect(patches()).toHaveLength(3))
    await next.stop(0)
  })

  test('refusals and conflicts are tried again, what is gone is not', async () => {
    let refusals = 0
    server.interfere = (call) => {
      if (call.method !== 'PATCH' || refusals === 3) return undefined
      refusals++
      return refusals === 1 ? failure(409, 'Conflict') : failure(429, 'TooManyRequests', 10)
    }
    writer.lead(true)
    report(route('a-1', 1, ON_PODS, GOOD), route('gone-1', 1, ON_PODS, GOOD))
    await vi.waitFor(() => expect(statusOf('a-1').conditions).toHaveLength(3))
    await vi.waitFor(() => expect(writer.waiting()).toBe(0))
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('429')
  })

  test('a server that does not answer holds nobody up, and the last word is written when it is back', async () => {
    server.interfere = (call) => (call.method === 'PATCH' ? Promise.reject(new Error('cut')) : undefined)
    writer.lead(true)
    for (let generation = 1; generation <= 50; generation++) report(route('a-1', generation, ON_PODS, GOOD))
    await sleep(60)
    expect(writer.waiting()).toBe(1)
    server.interfere = () => undefined
    await vi.waitFor(() => expect(statusOf('a-1').observedGeneration).toBe(50))
    expect(warnings).toHaveLength(1)
  })

  test('a push that is under way is not told of, one that hangs is', async () => {
    writer.lead(true)
    report(route('a-1', 1, PENDING, PENDING), route('b-1', 1, PENDING, PENDING))
    await sleep(30)
    report(route('a-1', 1, ON_PODS, GOOD), route('b-1', 1, PENDING, PENDING))
    await vi.waitFor(() => expect(statusOf('a-1').conditions[2]).toMatchObject(GOOD))
    report(route('a-1', 2, PENDING, PENDING), route('b-1', 1, PENDING, PENDING))
    await sleep(50)
    report(route('a-1', 2, ON_PODS, GOOD), route('b-1', 1, PENDING, PENDING))
    await vi.waitFor(() => expect(statusOf('a-1').observedGeneration).toBe(2))
    expect(patches()).toHaveLength(2)
    await vi.waitFor(() => expect(statusOf('b-1').conditions[2]).toMatchObject(PENDING), 2_000)
    expect(patches()).toHaveLength(3)
  })

  test('one that hung before this leader led is told of too, though nothing else happens', async () => {
    report(route('a-1', 1, PENDING, PENDING))
    writer.lead(true)
    await vi.waitFor(() => expect(statusOf('a-1').conditions[2]).toMatchObject(PENDING), 3_000)
  })

  test('without the fence nothing is written, even when nobody has told the writer yet', async () => {
    writer.lead(true)
    await sleep(5)
    fence = undefined
    report(route('a-1', 1, ON_PODS, GOOD))
    await sleep(30)
    expect(patches()).toEqual([])
  })
})

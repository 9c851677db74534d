// Route before Policy, seen from outside: what the source shows while the watch of Policies or Tenants is held back, for
// the Route concerned and for everybody else; and the barrier alone, turn by turn.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SourceObject } from '../../../model/resources.ts'
import { find, type InputObject, routeInput, routeRef, sleep, WatchedSource } from '../../../test/contracts/source.ts'
import { FakeApi, type FakeRequest } from '../../../test/support/fake-api/api-server.ts'
import { fakeSource, put, remove } from '../../../test/support/fake-api/fake-source.ts'
import type { SourceState } from '../source.ts'
import { type BarrierOptions, RouteBarrier } from './barrier.ts'
import type { ApiClient } from './client.ts'
import type { Edit } from './kind-cache.ts'
import type { KubernetesSource } from './source.ts'
import { Turns } from './turns.ts'

const HELD_MS = 60_000

function policy(namespace: string, name: string, rate: string): InputObject {
  return {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Policy',
    metadata: { namespace, name },
    spec: { rateLimits: [{ name: 'a', rate }] },
  }
}

function tenant(name: string, namespaces: readonly string[], more: object = {}): InputObject {
  return { apiVersion: 'atrium.dev/v1alpha1', kind: 'Tenant', metadata: { name }, spec: { namespaces, ...more } }
}

describe('with a watch that is held back', () => {
  let api: FakeApi
  let client: ApiClient
  let source: KubernetesSource
  let watched: WatchedSource
  /** What the Policies and Tenants were whenever a Route was seen for the first time. */
  let held: Set<string>

  beforeEach(async () => {
    api = await FakeApi.start()
    held = new Set()
    api.faults = { delay: ({ plural }) => (held.has(plural) ? HELD_MS : 0) }
    put(api, tenant('acme', ['a']))
    put(api, tenant('other', ['b']))
    const made = await fakeSource(api, { barrierTiming: { tellAfterMs: 100 } })
    client = made.client
    source = made.source
    watched = new WatchedSource(source)
    await watched.start()
    await until(() => api.watches().length >= 7)
  })
  afterEach(async () => {
    await source.stop()
    client.close()
    await api.stop()
  })

  async function hold(...plurals: readonly string[]): Promise<void> {
    for (const plural of plurals) {
      held.add(plural)
      api.endWatches(plural)
    }
    await until(() => plurals.every((plural) => api.watches(plural).length === 0))
    await until(() => plurals.every((plural) => api.watches(plural).length === 1))
  }

  test('a Route comes with the Policy that was there before it', async () => {
    await hold('policies')
    put(api, policy('a', 'limit', '5/s'))
    put(api, routeInput('a', 'one', 'one.test'))
    const state = await watched.until((now) => find(now, routeRef('a', 'one')) !== undefined)
    expect(find(state, { kind: 'Policy', namespace: 'a', name: 'limit' })).toBeDefined()
    const lists = api.requests.filter(({ verb, plural }) => verb === 'list' && plural === 'policies')
    expect(lists.filter(({ namespace }) => namespace === 'a')).toHaveLength(1)
    expect(api.requests.filter(({ verb, plural }) => verb === 'get' && plural === 'tenants')).toHaveLength(1)
  })

  test('an edited Route keeps its former form until the changed Policy is there', async () => {
    put(api, policy('a', 'limit', '5/s'))
    put(api, routeInput('a', 'one', 'one.test'))
    await watched.until((now) => find(now, routeRef('a', 'one')) !== undefined)
    await hold('policies')
    put(api, policy('a', 'limit', '1/s'))
    put(api, routeInput('a', 'one', 'two.test'))
    const rates: string[] = []
    const state = await watched.until((now) => {
      const rate = JSON.stringify(find(now, { kind: 'Policy', namespace: 'a', name: 'limit' })?.body)
      const isNew = JSON.stringify(find(now, routeRef('a', 'one'))?.body).includes('two.test')
      rates.push(`${isNew} ${rate.includes('1/s')}`)
      return isNew
    })
    expect(rates).not.toContain('true false')
    expect(JSON.stringify(find(state, { kind: 'Policy', namespace: 'a', name: 'limit' })?.body)).toContain('1/s')
  })

  test('a Policy that was deleted before is gone with the Route, and what comes late brings it back no more', async () => {
    put(api, policy('a', 'limit', '5/s'))
    await watched.until((now) => find(now, { kind: 'Policy', namespace: 'a', name: 'limit' }) !== undefined)
    await hold('policies')
    put(api, policy('a', 'limit', '6/s'))
    remove(api, { kind: 'Policy', namespace: 'a', name: 'limit' })
    put(api, routeInput('a', 'one', 'one.test'))
    const state = await watched.until((now) => find(now, routeRef('a', 'one')) !== undefined)
    const ref = { kind: 'Policy', namespace: 'a', name: 'limit' } as const
    expect(find(state, ref)).toBeUndefined()
    // The watch tells now what the list had told already.
    held.clear()
    api.endWatches('policies')
    put(api, policy('a', 'mark', '1/s'))
    await watched.until((now) => {
      expect(find(now, ref)).toBeUndefined()
      return find(now, { kind: 'Policy', namespace: 'a', name: 'mark' }) !== undefined
    })
  })

  test('the exact moment of the Route is read, and where that is compacted away the present', async () => {
    await hold('policies')
    put(api, policy('a', 'limit', '5/s'))
    const slow = ({ plural, verb }: FakeRequest) => (plural === 'policies' && verb === 'list' ? 30 : 0)
    api.faults = { ...api.faults, slow }
    put(api, routeInput('a', 'one', 'one.test'))
    await until(() => api.count('list', 'policies') > 1)
    api.store.compact()
    api.store.advance()
    api.store.compact()
    const state = await watched.until((now) => find(now, routeRef('a', 'one')) !== undefined)
    expect(find(state, { kind: 'Policy', namespace: 'a', name: 'limit' })).toBeDefined()
    const lists = api.requests.filter(
      ({ verb, plural, namespace }) => verb === 'list' && plural === 'policies' && namespace === 'a',
    )
    expect(lists.map(({ query }) => query.get('resourceVersionMatch'))).toEqual(['Exact', null])
  })

  test('a Policy that went after the Route is not brought back by what was read for it', async () => {
    put(api, policy('a', 'limit', '5/s'))
    await watched.until((now) => find(now, { kind: 'Policy', namespace: 'a', name: 'limit' }) !== undefined)
    const slow = ({ plural, verb }: FakeRequest) => (plural === 'policies' && verb === 'list' ? 100 : 0)
    api.faults = { ...api.faults, slow }
    // Tenants alone hold the Route back: the watch of Policies is ahead of what is read.
    held.add('tenants')
    api.endWatches('tenants')
    put(api, routeInput('a', 'one', 'one.test'))
    await until(() => api.count('list', 'policies') > 1)
    remove(api, { kind: 'Policy', namespace: 'a', name: 'limit' })
    const state = await watched.until((now) => find(now, routeRef('a', 'one')) !== undefined)
    expect(find(state, { kind: 'Policy', namespace: 'a', name: 'limit' })).toBeUndefined()
  })

  test('a Route comes with the Tenant as it was', async () => {
    await hold('tenants')
    put(api, tenant('acme', ['a'], { requires: ['access'] }))
    put(api, routeInput('a', 'one', 'one.test'))
    const state = await watched.until((now) => find(now, routeRef('a', 'one')) !== undefined)
    const spec = JSON.stringify(find(state, { kind: 'Tenant', namespace: '', name: 'acme' })?.body)
    expect(spec).toContain('requires')
  })

  test('a Tenant that is gone is gone with the Route', async () => {
    await hold('tenants')
    remove(api, { kind: 'Tenant', namespace: '', name: 'acme' })
    put(api, routeInput('a', 'one', 'one.test'))
    const state = await watched.until((now) => find(now, routeRef('a', 'one')) !== undefined)
    expect(find(state, { kind: 'Tenant', namespace: '', name: 'acme' })).toBeUndefined()
  })

  test('where the API server does not answer, the Route waits and says so, and nobody else does', async () => {
    put(api, routeInput('a', 'one', 'one.test'))
    await watched.until((now) => find(now, routeRef('a', 'one')) !== undefined)
    await hold('policies')
    const concerns = ({ plural, verb, namespace }: FakeRequest) =>
      plural === 'policies' && verb === 'list' && namespace === 'a'
    api.faults = { ...api.faults, answer: (request) => (concerns(request) ? { status: 500 } : undefined) }
    put(api, policy('a', 'limit', '1/s'))
    put(api, routeInput('a', 'one', 'two.test'))
    put(api, routeInput('b', 'free', 'free.test'))
    await watched.until((now) => find(now, routeRef('b', 'free')) !== undefined)
    const state = await watched.until((now) => now.problems.length > 0)
    expect(state.problems[0]?.object).toEqual(routeRef('a', 'one'))
    expect(state.problems[0]?.message).toContain('waits')
    expect(hostOf(state)).toContain('one.test')
    // Labels and the end of a Route wait for nobody.
    put(api, routeInput('a', 'gone', 'gone.test'))
    remove(api, routeRef('a', 'gone'))
    api.faults = { delay: api.faults.delay ?? (() => 0) }
    const last = await watched.until((now) => hostOf(now).includes('two.test'))
    expect(find(last, { kind: 'Policy', namespace: 'a', name: 'limit' })).toBeDefined()
    await watched.until((now) => now.problems.length === 0)
    expect(find(source.read(), routeRef('a', 'gone'))).toBeUndefined()
  })

  test('where the lists fail but the watch has seen enough, the Route goes', async () => {
    api.faults = {
      ...api.faults,
      answer: ({ plural, verb, namespace }) =>
        (plural === 'policies' && verb === 'list' && namespace === 'a') || (plural === 'tenants' && verb === 'get')
          ? { status: 503 }
          : undefined,
    }
    put(api, routeInput('a', 'one', 'one.test'))
    await watched.until((now) => find(now, routeRef('a', 'one')) !== undefined)
  })

  test('many edits of one namespace are read for together', async () => {
    await hold('policies')
    api.faults = { ...api.faults, slow: ({ plural, verb }) => (plural === 'policies' && verb === 'list' ? 50 : 0) }
    const before = api.count('list', 'policies')
    for (let index = 0; index < 30; index++) put(api, routeInput('a', `r${index}`, 'one.test'))
    await watched.until((now) => now.resources.partitions.get('a')?.objects.get('Route')?.size === 30)
    expect(api.count('list', 'policies') - before).toBeLessThanOrEqual(3)
  })

  test('a Route whose labels change waits for nobody', async () => {
    put(api, routeInput('a', 'one', 'one.test'))
    await watched.until((now) => find(now, routeRef('a', 'one')) !== undefined)
    await hold('policies', 'tenants')
    const lists = api.count('list', 'policies')
    put(api, routeInput('a', 'one', 'one.test', { colour: 'red' }))
    await watched.until((now) => find(now, routeRef('a', 'one'))?.metadata.labels['colour'] === 'red')
    expect(api.count('list', 'policies')).toBe(lists)
  })

  function hostOf(state: SourceState): string {
    return JSON.stringify(find(state, routeRef('a', 'one'))?.body ?? {})
  }
})

describe('a standby', () => {
  let api: FakeApi
  let eager: boolean
  let close: () => Promise<void>
  let watched: WatchedSource
  let held = false

  beforeEach(async () => {
    api = await FakeApi.start()
    eager = false
    held = false
    api.faults = { delay: ({ plural }) => (held && plural === 'policies' ? HELD_MS : 0) }
    put(api, tenant('acme', ['a']))
    const { source, client } = await fakeSource(api, { eager: () => eager })
    watched = new WatchedSource(source)
    await watched.start()
    await until(() => api.watches().length >= 7)
    close = async () => {
      await source.stop()
      client.close()
      await api.stop()
    }
  })
  afterEach(() => close())

  const present = (now: SourceState) => find(now, routeRef('a', 'one')) !== undefined
  const lists = () => api.count('list', 'policies')

  test('waits until the watch of Policies is as far as the Route, and lists nothing', async () => {
    const before = lists()
    put(api, policy('a', 'limit', '5/s'))
    put(api, routeInput('a', 'one', 'one.test'))
    await sleep(50)
    put(api, policy('b', 'somebody', '1/s'))
    const state = await watched.until(present)
    expect(find(state, { kind: 'Policy', namespace: 'a', name: 'limit' })).toBeDefined()
    expect(lists()).toBe(before)
  })

  test('lists them where the watch does not get there, sooner where it comes to lead meanwhile', async () => {
    held = true
    api.endWatches('policies')
    await until(() => api.watches('policies').length === 1)
    put(api, policy('a', 'limit', '5/s'))
    const began = performance.now()
    put(api, routeInput('a', 'one', 'one.test'))
    await sleep(200)
    expect(present(watched.source.read())).toBe(false)
    eager = true
    const state = await watched.until(present)
    expect(performance.now() - began).toBeLessThan(800)
    expect(find(state, { kind: 'Policy', namespace: 'a', name: 'limit' })).toBeDefined()
  })
})

describe('the barrier alone', () => {
  const route = (name: string, version: number, generation = version): Edit => {
    const object: SourceObject = {
      kind: 'Route',
      metadata: { namespace: 'a', name, generation, uid: 'u', labels: {}, annotations: {} },
      body: {},
    }
    return { kind: 'Route', namespace: 'a', name, object, version: String(version) }
  }
  let barrier: RouteBarrier | undefined
  afterEach(() => barrier?.stop())

  function make(options: Partial<BarrierOptions>) {
    const released: string[] = []
    barrier = new RouteBarrier({
      seen: () => ({ policies: '0', tenants: '0' }),
      tenantsOf: () => [],
      refresh: async () => '1000',
      release: ({ name, object, version }) => released.push(`${name}@${object === undefined ? 'gone' : version}`),
      onProblem: () => undefined,
      ...options,
    })
    return { barrier, released }
  }

  test('holds the first lists until it is opened, then lets pass what is seen', async () => {
    let reads = 0
    const { barrier: first, released } = make({
      seen: () => ({ policies: '10', tenants: '10' }),
      refresh: async () => {
        reads++
        return '20'
      },
    })
    first.take(route('one', 5))
    first.take(route('two', 15))
    expect(released).toEqual([])
    first.open()
    expect(released).toEqual(['one@5'])
    await until(() => released.length === 2)
    expect(released).toEqual(['one@5', 'two@15'])
    expect(reads).toBe(1)
  })

  test('releases what it read for, even where a newer edit came meanwhile', async () => {
    const answers: ((version: string) => void)[] = []
    const { barrier: first, released } = make({ refresh: () => new Promise((resolve) => answers.push(resolve)) })
    first.open()
    first.take(route('one', 1))
    await until(() => answers.length === 1)
    first.take(route('one', 2))
    answers[0]?.('1')
    await until(() => answers.length === 2)
    expect(released).toEqual(['one@1'])
    answers[1]?.('2')
    await until(() => released.length === 2)
    expect(released).toEqual(['one@1', 'one@2'])
    expect(first.waiting).toBe(0)
  })

  test('does not believe an answer that is older than the Route', async () => {
    let version = 3
    const { barrier: first, released } = make({
      refresh: async () => String(version++),
      timing: { backoff: { baseMs: 1, maxMs: 1 } },
    })
    first.open()
    first.take(route('one', 5))
    await until(() => released.length === 1)
    expect(version).toBe(6)
  })

  test('is patient where nobody waits, and with whoever has used up its turns', async () => {
    for (const [eager, expected] of [
      [false, [true]],
      [true, [false, true]],
    ] as const) {
      const rounds: boolean[] = []
      const { barrier: first } = make({
        eager: () => eager,
        refresh: async ({ patient, version }) => {
          rounds.push(patient)
          return version
        },
        timing: { turns: { everyMs: 30, burst: 1, perKey: 1, overall: 1, heaviest: 1 } },
      })
      first.open()
      for (let index = 1; index <= expected.length; index++) {
        first.take(route('one', index))
        await until(() => rounds.length === index)
      }
      expect(rounds).toEqual(expected)
      first.stop()
    }
  })

  test('a Route that goes while it waits is never seen', async () => {
    const answers: ((version: string) => void)[] = []
    const { barrier: first, released } = make({ refresh: () => new Promise((resolve) => answers.push(resolve)) })
    first.open()
    first.take(route('one', 1))
    await until(() => answers.length === 1)
    first.take({ ...route('one', 2), object: undefined })
    answers[0]?.('5')
    await sleep(10)
    expect(released).toEqual(['one@gone'])
  })
})

describe('turns', () => {
  test('each key has its rate and its number, and takes nothing from another', async () => {
    const turns = new Turns(() => ({ everyMs: 30, burst: 2, perKey: 1, overall: 10, heaviest: 1 }))
    const order: string[] = []
    const use = async (key: string, name: string) => {
      const giveBack = await turns.take(key)
      order.push(name)
      giveBack()
    }
    await Promise.all([use('a', 'a1'), use('a', 'a2'), use('a', 'a3'), use('b', 'b1')])
    expect(order.slice(0, 3).sort()).toEqual(['a1', 'a2', 'b1'])
    expect(order[3]).toBe('a3')
  })

  test('a turn that did much is charged for it, up to a bound', async () => {
    const turns = new Turns(() => ({ everyMs: 20, burst: 4, perKey: 1, overall: 10, heaviest: 5 }))
    const began = performance.now()
    ;(await turns.take('busy'))(100)
    ;(await turns.take('busy'))(1)
    const waited = performance.now() - began
    // Five of four turns are used: the sixth comes when two have come back.
    expect(waited).toBeGreaterThanOrEqual(39)
    expect(waited).toBeLessThan(1_000)
    ;(await turns.take('calm'))()
  })

  test('the limits are those of the moment', async () => {
    let everyMs = 60_000
    const turns = new Turns(() => ({ everyMs, burst: 1, perKey: 2, overall: 10, heaviest: 1 }))
    ;(await turns.take('a'))()
    everyMs = 0
    ;(await turns.take('b'))()
    ;(await turns.take('b'))()
  })

  test('what is held by one key is not waited for by another', async () => {
    const turns = new Turns(() => ({ everyMs: 0, burst: 1, perKey: 1, overall: 10, heaviest: 1 }))
    await turns.take('slow')
    let got = false
    const second = turns.take('slow').then(() => {
      got = true
    })
    const giveBack = await turns.take('quick')
    giveBack()
    expect(got).toBe(false)
    expect(second).toBeInstanceOf(Promise)
  })

  test('the overall number is given on', async () => {
    const turns = new Turns(() => ({ everyMs: 0, burst: 1, perKey: 5, overall: 1, heaviest: 1 }))
    const giveBack = await turns.take('a')
    const next = turns.take('b')
    giveBack()
    ;(await next)()
    ;(await turns.take('c'))()
  })
})

async function until(wanted: () => boolean): Promise<void> {
  const deadline = performance.now() + 8_000
  while (!wanted()) {
    if (performance.now() > deadline) throw new Error('not reached')
    await sleep(2)
  }
}

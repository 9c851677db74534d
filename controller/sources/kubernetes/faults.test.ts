// What an API server and the way to it can do to the source: each fault alone, and what must come of it. The clocks are
// short, the server is a fake in this process; nothing here depends on how fast the machine is.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { find, type InputObject, routeInput, routeRef, sleep, WatchedSource } from '../../../test/contracts/source.ts'
import { FakeApi, type FakeRequest } from '../../../test/support/fake-api/api-server.ts'
import { fakeSource, put, remove } from '../../../test/support/fake-api/fake-source.ts'
import type { SourceState } from '../source.ts'
import type { ApiClient } from './client.ts'
import type { KubernetesSource, KubernetesSourceOptions } from './source.ts'

let api: FakeApi
let client: ApiClient | undefined
let source: KubernetesSource
let watched: WatchedSource

beforeEach(async () => {
  api = await FakeApi.start()
})
afterEach(async () => {
  await source.stop()
  client?.close()
  await api.stop()
})

async function prepare(options: Partial<KubernetesSourceOptions> = {}): Promise<void> {
  const made = await fakeSource(api, options)
  client = made.client
  source = made.source
  watched = new WatchedSource(source)
}

async function start(options: Partial<KubernetesSourceOptions> = {}): Promise<void> {
  await prepare(options)
  await watched.start()
  // The watches are open, so that what a test does next is seen by them.
  await until(() => api.watches().length >= 7)
}

async function until(wanted: () => boolean, what = 'not reached'): Promise<void> {
  const deadline = performance.now() + 8_000
  while (!wanted()) {
    if (performance.now() > deadline) throw new Error(what)
    await sleep(5)
  }
}

function service(namespace: string, name: string, port: number): InputObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name }, spec: { ports: [{ port }] } }
}

function policy(namespace: string, name: string, rate: string): InputObject {
  return {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Policy',
    metadata: { namespace, name },
    spec: { rateLimits: [{ name: 'a', rate }] },
  }
}

const serviceRef = (name: string) => ({ kind: 'Service', namespace: 'a', name }) as const
const has = (name: string) => (state: SourceState) => find(state, serviceRef(name)) !== undefined
const lacks = (name: string) => (state: SourceState) => find(state, serviceRef(name)) === undefined
const isPlural =
  (verb: FakeRequest['verb'], plural: string) =>
  (request: FakeRequest): boolean =>
    request.verb === verb && request.plural === plural
const status = (resource: string) => source.watches().find((each) => each.resource === resource)
const problems = () => source.read().problems.map(({ message }) => message)

describe('the first state', () => {
  test('is never there before every kind has been listed', async () => {
    api.faults = { answer: (request) => (isPlural('list', 'policies')(request) ? { status: 500 } : undefined) }
    put(api, service('a', 'web', 80))
    await prepare()
    let started = false
    const starting = watched.start().then(() => {
      started = true
    })
    await until(() => api.count('list', 'policies') > 3)
    expect(started).toBe(false)
    expect(source.read().resources.partitions.size).toBe(0)
    api.faults = {}
    await starting
    expect(has('web')(source.read())).toBe(true)
  })

  test('comes in pages, and the pages of one list are one moment', async () => {
    for (let index = 0; index < 10; index++) put(api, service('a', `s${index}`, 80))
    let pages = 0
    api.faults = {
      answer: (request) => {
        // Written while the pages are read: seen by the watch.
        if (isPlural('list', 'services')(request) && ++pages === 2) put(api, service('a', 's00', 80))
        return undefined
      },
    }
    await start()
    await watched.until(has('s00'))
    expect(pages).toBe(4)
    expect(source.read().resources.partitions.get('a')?.objects.get('Service')?.size).toBe(11)
  })

  test('begins again where the rest of a list is gone', async () => {
    for (let index = 0; index < 10; index++) put(api, service('a', `s${index}`, 80))
    let pages = 0
    api.faults = {
      answer: (request) => {
        if (isPlural('list', 'services')(request) && ++pages === 2) {
          api.store.advance()
          api.store.compact()
        }
        return undefined
      },
    }
    await start()
    expect(source.read().resources.partitions.get('a')?.objects.get('Service')?.size).toBe(10)
  })

  test('takes fewer objects at a time where they are large', async () => {
    for (let index = 0; index < 6; index++) {
      put(api, { ...service('a', `s${index}`, 80), padding: 'x'.repeat(4_000) })
    }
    await start({ timing: { pageBytes: 10_000 } })
    expect(source.read().resources.partitions.get('a')?.objects.get('Service')?.size).toBe(6)
  })

  test('has only the namespaces that are to be watched', async () => {
    for (const namespace of ['a', 'b', 'c']) {
      put(api, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
      put(api, service(namespace, 'web', 80))
    }
    await prepare({ watchNamespaces: ['a', 'b'] })
    await watched.start()
    const { partitions } = source.read().resources
    expect([...partitions.keys()].sort()).toEqual(['', 'a', 'b'])
    expect([...(partitions.get('')?.objects.get('Namespace')?.keys() ?? [])].sort()).toEqual(['a', 'b'])
    expect(api.requests.filter(({ plural, namespace }) => plural === 'services' && namespace === undefined)).toEqual([])
    put(api, service('b', 'later', 80))
    await watched.until((state) => find(state, { kind: 'Service', namespace: 'b', name: 'later' }) !== undefined)
  })
})

describe('a watch', () => {
  test('asks for bookmarks and for an end, and goes on from the bookmark', async () => {
    await start()
    const [request] = api.watches('services')
    expect(request?.query.get('allowWatchBookmarks')).toBe('true')
    expect(Number(request?.query.get('timeoutSeconds'))).toBeGreaterThan(0)
    const before = Number(request?.query.get('resourceVersion'))
    api.store.advance(50)
    await until(() => Number(api.watches('services')[0]?.query.get('resourceVersion')) >= before + 50)
    expect(api.count('list', 'services')).toBe(1)
    expect(status('services')?.failures).toBe(0)
  })

  test('that says nothing is found, and what it kept quiet about is there', async () => {
    await start()
    let silent = true
    api.faults = { silent: () => silent }
    api.endWatches('services')
    await until(() => api.watches('services').length === 1)
    await sleep(20)
    put(api, service('a', 'web', 80))
    silent = false
    await watched.until(has('web'))
    expect(api.count('list', 'services')).toBeLessThanOrEqual(2)
  })

  test('over a half-open connection is found', async () => {
    await start()
    // The server goes away without a word: no end, no reset, no answer to anything.
    api.faults = { answer: () => 'hang', silent: () => true }
    api.endWatches('services')
    await sleep(50)
    put(api, service('a', 'web', 80))
    await until(() => problems().some((message) => message.includes('services')), 'no problem was told')
    expect(source.read().resources.partitions.size).toBe(0)
    api.faults = {}
    await watched.until(has('web'))
    await until(() => problems().length === 0, 'a problem stayed')
  })

  test('that is cut goes on from where it was, without a list', async () => {
    await start()
    put(api, service('a', 'one', 80))
    await watched.until(has('one'))
    const lists = api.count('list', 'services')
    api.endWatches('services', true)
    put(api, service('a', 'two', 80))
    await watched.until(has('two'))
    const more = api.requests.filter(isPlural('list', 'services')).slice(lists)
    expect(more.every(({ query }) => query.get('limit') === '1')).toBe(true)
  })

  test('survives the loss of every connection at once', async () => {
    put(api, service('a', 'one', 80))
    await start()
    api.cutConnections()
    put(api, service('a', 'two', 80))
    remove(api, serviceRef('one'))
    await watched.until((state) => has('two')(state) && lacks('one')(state))
  })

  test('that expired is listed anew by difference: nothing is lost or deleted that is there', async () => {
    for (const name of ['one', 'two', 'three']) put(api, service('a', name, 80))
    await start()
    const before = source.read()
    api.endWatches('services', true)
    remove(api, serviceRef('two'))
    put(api, service('a', 'four', 80))
    api.store.advance(10)
    api.store.compact()
    const after = await watched.until((state) => has('four')(state) && lacks('two')(state))
    expect(find(after, serviceRef('one'))).toBe(find(before, serviceRef('one')))
    expect(find(after, serviceRef('three'))).toBe(find(before, serviceRef('three')))
    expect(status('services')?.relists).toBeGreaterThan(0)
  })

  test('that expired while nothing changed wakes nobody', async () => {
    put(api, service('a', 'one', 80))
    await start()
    const { events } = watched
    const { revision } = source.read().resources
    api.endWatches('services', true)
    api.store.advance(10)
    api.store.compact()
    await until(() => (status('services')?.relists ?? 0) > 0)
    await sleep(50)
    expect(watched.events).toBe(events)
    expect(source.read().resources.revision).toBe(revision)
  })

  test('that ends with an error in the stream is opened anew', async () => {
    await start()
    api.inject('services', '{"type":"ERROR","object":{"kind":"Status","code":500,"reason":"InternalError"}}\n')
    await until(() => (status('services')?.failures ?? 0) > 0)
    put(api, service('a', 'one', 80))
    await watched.until(has('one'))
  })

  test('with cut or broken JSON costs nothing but itself', async () => {
    await start()
    let cut = true
    api.faults = {
      mangle: (line, { plural }) => {
        if (plural !== 'services' || !cut || !line.includes('"ADDED"')) return [line]
        cut = false
        return [`${line.slice(0, 40)}\n`, '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"999999"}}}\n']
      },
    }
    put(api, service('a', 'one', 80))
    await watched.until(has('one'))
    expect(cut).toBe(false)
  })

  test('with the same broken event for ever is listed anew', async () => {
    await start()
    api.faults = {
      mangle: (line, { plural }) => (plural === 'services' && line.includes('"ADDED"') ? ['{"type":\n'] : [line]),
    }
    put(api, service('a', 'one', 80))
    await watched.until(has('one'))
    expect(status('services')?.relists).toBeGreaterThan(0)
  })

  test('with duplicates and events out of order ends where the world is', async () => {
    await start()
    const held: string[] = []
    api.faults = {
      mangle: (line, { plural }) => {
        if (plural !== 'services' || line.includes('BOOKMARK')) return [line]
        held.push(line)
        if (held.length < 6) return []
        const lines = held.splice(0)
        return [...lines].reverse().flatMap((each) => [each, each])
      },
    }
    put(api, service('a', 'one', 1))
    put(api, service('a', 'one', 2))
    put(api, service('a', 'two', 1))
    remove(api, serviceRef('two'))
    put(api, service('a', 'one', 3))
    put(api, service('a', 'three', 1))
    const state = await watched.until(has('three'))
    expect(find(state, serviceRef('one'))?.body).toEqual({ spec: { ports: [{ port: 3 }] } })
    expect(has('two')(state)).toBe(false)
  })

  test('with rubbish in an event, an unknown type, an object without a name: the others come through', async () => {
    await start()
    api.inject('services', '{"type":"RENAMED","object":{"metadata":{"name":"x"}}}\n')
    api.inject('services', '{"type":"ADDED","object":{"metadata":{"namespace":"a","resourceVersion":"101"}}}\n')
    api.inject('services', '{"type":"MODIFIED","object":null}\n')
    api.inject(
      'services',
      `${JSON.stringify({
        type: 'ADDED',
        object: { metadata: { namespace: 'a', name: 'odd', labels: 5, annotations: [1] }, spec: 'no' },
      })}\n`,
    )
    put(api, service('a', 'good', 80))
    await watched.until(has('good'))
    expect(status('services')?.unreadable).toBe(2)
  })

  test('wakes nobody for what is not read', async () => {
    put(api, service('a', 'web', 80))
    put(api, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'a', name: 'p' },
      status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }] },
    })
    put(api, routeInput('a', 'one', 'one.test'))
    await start()
    const { events } = watched
    put(api, { ...service('a', 'web', 80), status: { loadBalancer: { ingress: [{ ip: '1.2.3.4' }] } } })
    put(api, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'a', name: 'p', labels: { hash: 'x' } },
      spec: { containers: [{ name: 'c' }] },
      status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }], conditions: [{ type: 'Ready', status: 'False' }] },
    })
    put(api, { ...routeInput('a', 'one', 'one.test'), status: { conditions: [{ type: 'Ready' }] } })
    const annotated = routeInput('a', 'one', 'one.test')
    put(api, { ...annotated, metadata: { ...annotated.metadata, ...{ annotations: { 'other.dev/note': 'x' } } } })
    const last = api.store.revision
    await until(() => api.watches('routes').length === 1 && (status('routes')?.lastEventAt ?? 0) > 0)
    put(api, service('b', 'mark', 80))
    await watched.until((state) => find(state, { kind: 'Service', namespace: 'b', name: 'mark' }) !== undefined)
    await sleep(50)
    expect(api.store.revision).toBe(last + 1)
    expect(watched.events).toBe(events + 1)
    const pod = find(source.read(), { kind: 'Pod', namespace: 'a', name: 'p' })
    expect(pod?.body).toEqual({ status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }] } })
    expect(JSON.stringify(find(source.read(), routeRef('a', 'one')))).not.toContain('managedFields')
  })
})

describe('an older world', () => {
  test('of a restored backup is believed after a while, and all kinds follow', async () => {
    put(api, service('a', 'kept', 80))
    put(api, routeInput('a', 'kept', 'kept.test'))
    const backup = api.store.snapshot()
    await start()
    put(api, service('a', 'lost', 80))
    remove(api, serviceRef('kept'))
    put(api, routeInput('a', 'kept', 'changed.test'))
    api.store.advance(1_000)
    await watched.until((state) => has('lost')(state) && lacks('kept')(state))
    await until(() => Number(api.watches('services')[0]?.query.get('resourceVersion') ?? 0) > 1_000)
    api.store.restore(backup)
    api.cutConnections()
    const state = await watched.until((now) => has('kept')(now) && lacks('lost')(now))
    expect(find(state, serviceRef('kept'))).toBeDefined()
    await watched.until((now) => JSON.stringify(find(now, routeRef('a', 'kept'))?.body).includes('kept.test'))
    put(api, service('a', 'new', 80))
    await watched.until(has('new'))
  })

  test('is found although the connections stay and the watches are merely quiet', async () => {
    put(api, service('a', 'kept', 80))
    const backup = api.store.snapshot()
    await start()
    put(api, service('a', 'lost', 80))
    api.store.advance(1_000)
    await until(() => Number(api.watches('services')[0]?.query.get('resourceVersion') ?? 0) > 1_000)
    api.store.restore(backup)
    await watched.until((now) => has('kept')(now) && lacks('lost')(now))
  })

  test('of a replica that lags is refused, and another is asked', async () => {
    put(api, service('a', 'old', 80))
    await start({ timing: { disbeliefMs: 60_000 } })
    const view = api.store.snapshot()
    put(api, service('a', 'new', 80))
    remove(api, serviceRef('old'))
    await watched.until((state) => has('new')(state) && lacks('old')(state))
    let seen = ''
    const stop = setInterval(() => {
      if (has('old')(source.read()) || lacks('new')(source.read())) seen = 'the old world was shown'
    }, 1)
    let asked = 0
    api.faults = { lagging: { view, is: ({ verb }) => verb === 'list' && ++asked <= 4 } }
    api.endWatches('services', true)
    api.store.compact()
    put(api, service('a', 'later', 80))
    await watched.until(has('later'))
    clearInterval(stop)
    expect(seen).toBe('')
    expect(asked).toBeGreaterThan(1)
  })
})

describe('refusals', () => {
  test('401: the token is read again, at once', async () => {
    await start()
    await api.writeToken('second-token')
    api.token = 'second-token'
    api.cutConnections()
    put(api, service('a', 'web', 80))
    await watched.until(has('web'))
    expect(problems()).toEqual([])
  })

  test('403: what was read stays in use, and the state says so', async () => {
    put(api, service('a', 'web', 80))
    await start()
    const { revision } = source.read().resources
    api.faults = { answer: ({ plural }) => (plural === 'services' ? { status: 403 } : undefined) }
    api.endWatches('services')
    await until(() => problems().some((message) => message.includes('403')))
    expect(problems().join()).toMatch(/services .*rights are missing.*stays in use/)
    expect(source.read().resources.revision).toBe(revision)
    expect(watched.events).toBeGreaterThan(0)
    api.faults = {}
    await until(() => problems().length === 0)
  })

  test('404 of a kind that must be there: what was read stays in use', async () => {
    put(api, routeInput('a', 'one', 'one.test'))
    await start()
    api.absent.add('routes')
    api.endWatches('routes')
    await until(() => problems().some((message) => message.includes('not installed')))
    expect(find(source.read(), routeRef('a', 'one'))).toBeDefined()
    api.absent.delete('routes')
    await until(() => problems().length === 0)
  })

  test('an absent CRD of grants means no grants, until it is there', async () => {
    await start()
    expect(problems()).toEqual([])
    put(api, {
      apiVersion: 'gateway.networking.k8s.io/v1beta1',
      kind: 'ReferenceGrant',
      metadata: { namespace: 'a', name: 'g' },
      spec: { from: [], to: [] },
    })
    api.absent.delete('referencegrants')
    const grant = { kind: 'ReferenceGrant', namespace: 'a', name: 'g' } as const
    await watched.until((state) => find(state, grant) !== undefined)
    // Gone for good: the permission is gone too.
    api.absent.add('referencegrants')
    api.endWatches('referencegrants')
    await watched.until((state) => find(state, grant) === undefined)
  })

  test('429 and 503: Retry-After is obeyed, other failures are spread out', async () => {
    await start()
    const times: number[] = []
    api.faults = {
      answer: (request) => {
        if (request.plural !== 'services') return undefined
        times.push(request.at)
        return times.length > 2 ? undefined : { status: times.length === 1 ? 429 : 503, retryAfter: '1' }
      },
    }
    api.endWatches('services')
    put(api, service('a', 'web', 80))
    await watched.until(has('web'))
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(990)
    expect((times[2] ?? 0) - (times[1] ?? 0)).toBeGreaterThan(990)
  })

  test('a burst of 500: one request at a time for each kind, and few', async () => {
    await start()
    api.faults = { answer: () => ({ status: 500 }), slow: () => 5 }
    api.cutConnections()
    const from = api.requests.length
    await sleep(1_000)
    const more = api.requests.slice(from)
    for (const plural of ['services', 'pods', 'routes']) {
      // Waits are drawn below 10, 20, 40, 80, then 100 ms: about twenty in a second, never a storm.
      expect(more.filter((each) => each.plural === plural).length).toBeLessThan(60)
    }
    api.faults = {}
    put(api, service('a', 'web', 80))
    await watched.until(has('web'))
  })

  test('a slow server delays, and breaks nothing', async () => {
    api.faults = { slow: () => 300 }
    put(api, service('a', 'web', 80))
    await prepare()
    await watched.start()
    expect(has('web')(source.read())).toBe(true)
    expect(source.watches().every(({ problem }) => problem === undefined)).toBe(true)
  })
})

describe('a server that goes away', () => {
  test('leaves the world as it was, and is caught up with when it is back', async () => {
    for (let index = 0; index < 5; index++) put(api, routeInput('a', `r${index}`, 'one.test'))
    put(api, service('a', 'web', 80))
    await start()
    const { revision } = source.read().resources
    api.faults = { answer: () => 'hang' }
    api.cutConnections()
    await until(() => problems().length > 0)
    expect(source.read().resources.revision).toBe(revision)
    remove(api, serviceRef('web'))
    for (let index = 0; index < 5; index++) put(api, routeInput('a', `r${index}`, 'two.test'))
    api.store.advance(5)
    api.store.compact()
    api.faults = {}
    await watched.until(
      (state) =>
        lacks('web')(state) &&
        [0, 1, 2, 3, 4].every((index) =>
          JSON.stringify(find(state, routeRef('a', `r${index}`))?.body).includes('two.test'),
        ),
    )
    await until(() => problems().length === 0)
  })

  test('may be stopped at any moment', async () => {
    api.faults = { answer: () => 'hang' }
    await prepare()
    const starting = watched.start()
    await sleep(50)
    await source.stop()
    await Promise.race([starting, sleep(100)])
    expect(source.read().resources.partitions.size).toBe(0)
  })
})

describe('watches in figures', () => {
  test('say when they heard last, and how often they failed', async () => {
    await start()
    const before = status('services')?.lastEventAt ?? 0
    expect(before).toBeGreaterThan(Date.now() - 60_000)
    put(api, policy('a', 'p', '5/s'))
    await watched.until((state) => find(state, { kind: 'Policy', namespace: 'a', name: 'p' }) !== undefined)
    expect(source.watches().map(({ resource }) => resource)).toEqual([
      'tenants',
      'routes',
      'policies',
      'services',
      'endpointslices',
      'pods',
      'namespaces',
      'referencegrants',
    ])
    expect(source.watches().every(({ synced }) => synced)).toBe(true)
  })
})

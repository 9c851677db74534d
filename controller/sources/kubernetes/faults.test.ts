// What an API server and the way to it can do to lists and watches: each fault alone, and what must come of it. The clocks
// are short, the server is a fake in this process; nothing here depends on how fast the machine is.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { find, routeInput, routeRef, sleep, type InputObject } from '../../../test/contracts/source.ts'
import * as fake from '../../../test/support/fake-api/fake-source.ts'
import {
  FaultTrial,
  has,
  isPlural,
  lacks,
  service,
  serviceRef,
  until,
} from '../../../test/support/fake-api/fault-trial.ts'
import type { ObjectRef } from '../../../model/resources.ts'

let trial: FaultTrial

beforeEach(async () => {
  trial = await FaultTrial.create()
})
afterEach(() => trial.stop())

const put = (object: InputObject) => fake.put(trial.api, object)
const remove = (ref: ObjectRef) => fake.remove(trial.api, ref)

describe('the first state', () => {
  test('is never there before every kind has been listed', async () => {
    trial.api.faults = { answer: (request) => (isPlural('list', 'policies')(request) ? { status: 500 } : undefined) }
    put(service('a', 'web', 80))
    await trial.prepare()
    let started = false
    const starting = trial.watched.start().then(() => {
      started = true
    })
    await until(() => trial.api.count('list', 'policies') > 3)
    expect(started).toBe(false)
    expect(trial.source.read().resources.partitions.size).toBe(0)
    trial.api.faults = {}
    await starting
    expect(has('web')(trial.source.read())).toBe(true)
  })

  test('comes in pages, and the pages of one list are one moment', async () => {
    for (let index = 0; index < 10; index++) put(service('a', `s${index}`, 80))
    let pages = 0
    trial.api.faults = {
      answer: (request) => {
        // Written while the pages are read: seen by the watch.
        if (isPlural('list', 'services')(request) && ++pages === 2) put(service('a', 's00', 80))
        return undefined
      },
    }
    await trial.start()
    await trial.watched.until(has('s00'))
    expect(pages).toBe(4)
    expect(trial.source.read().resources.partitions.get('a')?.objects.get('Service')?.size).toBe(11)
  })

  test('begins again where the rest of a list is gone', async () => {
    for (let index = 0; index < 10; index++) put(service('a', `s${index}`, 80))
    let pages = 0
    trial.api.faults = {
      answer: (request) => {
        if (isPlural('list', 'services')(request) && ++pages === 2) {
          trial.api.store.advance()
          trial.api.store.compact()
        }
        return undefined
      },
    }
    await trial.start()
    expect(trial.source.read().resources.partitions.get('a')?.objects.get('Service')?.size).toBe(10)
  })

  test('takes fewer objects at a time where they are large', async () => {
    for (let index = 0; index < 6; index++) {
      put({ ...service('a', `s${index}`, 80), padding: 'x'.repeat(4_000) })
    }
    await trial.start({ timing: { pageBytes: 10_000 } })
    expect(trial.source.read().resources.partitions.get('a')?.objects.get('Service')?.size).toBe(6)
  })

  test('lists Policies and Tenants after the Routes, so that no Route has to be read for', async () => {
    trial.api.faults = {
      slow: (request) => (isPlural('list', 'routes')(request) ? 100 : 0),
      answer: (request) => {
        if (isPlural('list', 'routes')(request)) put(routeInput('a', 'late', 'late.test'))
        return undefined
      },
    }
    await trial.start()
    await trial.watched.until((state) => find(state, routeRef('a', 'late')) !== undefined)
    expect(trial.api.requests.filter(({ plural, namespace }) => plural === 'policies' && namespace === 'a')).toEqual([])
  })

  test('has only the namespaces that are to be watched', async () => {
    for (const namespace of ['a', 'b', 'c']) {
      put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
      put(service(namespace, 'web', 80))
    }
    await trial.prepare({ watchNamespaces: ['a', 'b'] })
    await trial.watched.start()
    const { partitions } = trial.source.read().resources
    expect([...partitions.keys()].sort()).toEqual(['', 'a', 'b'])
    expect([...(partitions.get('')?.objects.get('Namespace')?.keys() ?? [])].sort()).toEqual(['a', 'b'])
    expect(
      trial.api.requests.filter(({ plural, namespace }) => plural === 'services' && namespace === undefined),
    ).toEqual([])
    put(service('b', 'later', 80))
    await trial.watched.until((state) => find(state, { kind: 'Service', namespace: 'b', name: 'later' }) !== undefined)
  })
})

describe('a watch', () => {
  test('asks for bookmarks and for an end, and goes on from the bookmark', async () => {
    await trial.start()
    const [request] = trial.api.watches('services')
    expect(request?.query.get('allowWatchBookmarks')).toBe('true')
    expect(Number(request?.query.get('timeoutSeconds'))).toBeGreaterThan(0)
    const before = Number(request?.query.get('resourceVersion'))
    trial.api.store.advance(50)
    await until(() => Number(trial.api.watches('services')[0]?.query.get('resourceVersion')) >= before + 50)
    expect(trial.api.count('list', 'services')).toBe(1)
    expect(trial.status('services')?.failures).toBe(0)
  })

  test('that says nothing is found, and what it kept quiet about is there', async () => {
    await trial.start()
    const opened = trial.api.count('watch', 'services')
    trial.api.faults = { silent: () => true }
    trial.api.endWatches('services')
    await until(() => trial.api.count('watch', 'services') > opened && trial.api.watches('services').length === 1)
    trial.api.faults = {}
    put(service('a', 'web', 80))
    await trial.watched.until(has('web'))
    // Opened anew from where it was: the only new list is a look at the version.
    const lists = trial.api.requests.filter(isPlural('list', 'services')).slice(1)
    expect(lists.every(({ query }) => query.get('limit') === '1')).toBe(true)
  })

  test('over a half-open connection is found', async () => {
    await trial.start()
    // The server goes away without a word: no end, no reset, no answer to anything.
    trial.api.faults = { answer: () => 'hang', silent: () => true }
    trial.api.endWatches('services')
    await sleep(50)
    put(service('a', 'web', 80))
    await until(() => trial.problems().some((message) => message.includes('services')), 'no problem was told')
    expect(trial.source.read().resources.partitions.size).toBe(0)
    trial.api.faults = {}
    await trial.watched.until(has('web'))
    await until(() => trial.problems().length === 0, 'a problem stayed')
  })

  test('that is cut goes on from where it was, without a list', async () => {
    await trial.start()
    put(service('a', 'one', 80))
    await trial.watched.until(has('one'))
    const lists = trial.api.count('list', 'services')
    trial.api.endWatches('services', true)
    put(service('a', 'two', 80))
    await trial.watched.until(has('two'))
    const more = trial.api.requests.filter(isPlural('list', 'services')).slice(lists)
    expect(more.every(({ query }) => query.get('limit') === '1')).toBe(true)
  })

  test('survives the loss of every connection at once', async () => {
    put(service('a', 'one', 80))
    await trial.start()
    trial.api.cutConnections()
    put(service('a', 'two', 80))
    remove(serviceRef('one'))
    await trial.watched.until((state) => has('two')(state) && lacks('one')(state))
  })

  test('that expired is listed anew by difference: nothing is lost or deleted that is there', async () => {
    for (const name of ['one', 'two', 'three']) put(service('a', name, 80))
    await trial.start()
    const before = trial.source.read()
    trial.api.endWatches('services', true)
    remove(serviceRef('two'))
    put(service('a', 'four', 80))
    trial.api.store.advance(10)
    trial.api.store.compact()
    const after = await trial.watched.until((state) => has('four')(state) && lacks('two')(state))
    expect(find(after, serviceRef('one'))).toBe(find(before, serviceRef('one')))
    expect(find(after, serviceRef('three'))).toBe(find(before, serviceRef('three')))
    expect(trial.status('services')?.relists).toBe(1)
    // The cut, and the watch that was told to be expired; not one more.
    expect(trial.status('services')?.failures).toBeLessThanOrEqual(2)
  })

  test('that expired while nothing changed wakes nobody', async () => {
    put(service('a', 'one', 80))
    await trial.start()
    const { events } = trial.watched
    const { revision } = trial.source.read().resources
    trial.api.endWatches('services', true)
    trial.api.store.advance(10)
    trial.api.store.compact()
    await until(() => (trial.status('services')?.relists ?? 0) > 0)
    await sleep(50)
    expect(trial.watched.events).toBe(events)
    expect(trial.source.read().resources.revision).toBe(revision)
  })

  test('that ends with an error in the stream is opened anew', async () => {
    await trial.start()
    trial.api.inject('services', '{"type":"ERROR","object":{"kind":"Status","code":500,"reason":"InternalError"}}\n')
    await until(() => (trial.status('services')?.failures ?? 0) > 0)
    put(service('a', 'one', 80))
    await trial.watched.until(has('one'))
  })

  test('with cut or broken JSON costs nothing but itself', async () => {
    await trial.start()
    let cut = true
    trial.api.faults = {
      mangle: (line, { plural }) => {
        if (plural !== 'services' || !cut || !line.includes('"ADDED"')) return [line]
        cut = false
        return [`${line.slice(0, 40)}\n`, '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"999999"}}}\n']
      },
    }
    put(service('a', 'one', 80))
    await trial.watched.until(has('one'))
    expect(cut).toBe(false)
  })

  test('with the same broken event for ever is listed anew', async () => {
    await trial.start()
    trial.api.faults = {
      mangle: (line, { plural }) => (plural === 'services' && line.includes('"ADDED"') ? ['{"type":\n'] : [line]),
    }
    put(service('a', 'one', 80))
    await trial.watched.until(has('one'))
    expect(trial.status('services')?.relists).toBeGreaterThan(0)
  })

  test('with duplicates and events out of order ends where the world is', async () => {
    await trial.start()
    const held: string[] = []
    trial.api.faults = {
      mangle: (line, { plural }) => {
        if (plural !== 'services' || line.includes('BOOKMARK')) return [line]
        held.push(line)
        if (held.length < 6) return []
        const lines = held.splice(0)
        return [...lines].reverse().flatMap((each) => [each, each])
      },
    }
    put(service('a', 'one', 1))
    put(service('a', 'one', 2))
    put(service('a', 'two', 1))
    remove(serviceRef('two'))
    put(service('a', 'one', 3))
    put(service('a', 'three', 1))
    const state = await trial.watched.until(has('three'))
    expect(find(state, serviceRef('one'))?.body).toEqual({ spec: { ports: [{ port: 3 }] } })
    expect(has('two')(state)).toBe(false)
  })

  test('with rubbish in an event, an unknown type, an object without a name: the others come through', async () => {
    await trial.start()
    trial.api.inject('services', '{"type":"RENAMED","object":{"metadata":{"name":"x"}}}\n')
    trial.api.inject('services', '{"type":"ADDED","object":{"metadata":{"namespace":"a","resourceVersion":"101"}}}\n')
    trial.api.inject('services', '{"type":"MODIFIED","object":null}\n')
    trial.api.inject(
      'services',
      `${JSON.stringify({
        type: 'ADDED',
        object: { metadata: { namespace: 'a', name: 'odd', labels: 5, annotations: [1] }, spec: 'no' },
      })}\n`,
    )
    put(service('a', 'good', 80))
    await trial.watched.until(has('good'))
    expect(trial.status('services')?.unreadable).toBe(2)
  })

  test('wakes nobody for what is not read', async () => {
    put(service('a', 'web', 80))
    put({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'a', name: 'p' },
      status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }] },
    })
    put(routeInput('a', 'one', 'one.test'))
    await trial.start()
    const { events } = trial.watched
    put({ ...service('a', 'web', 80), status: { loadBalancer: { ingress: [{ ip: '1.2.3.4' }] } } })
    put({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'a', name: 'p', labels: { hash: 'x' } },
      spec: { containers: [{ name: 'c' }] },
      status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }], conditions: [{ type: 'Ready', status: 'False' }] },
    })
    put({ ...routeInput('a', 'one', 'one.test'), status: { conditions: [{ type: 'Ready' }] } })
    const annotated = routeInput('a', 'one', 'one.test')
    put({ ...annotated, metadata: { ...annotated.metadata, ...{ annotations: { 'other.dev/note': 'x' } } } })
    const last = trial.api.store.revision
    await until(() => trial.api.watches('routes').length === 1 && (trial.status('routes')?.lastEventAt ?? 0) > 0)
    put(service('b', 'mark', 80))
    await trial.watched.until((state) => find(state, { kind: 'Service', namespace: 'b', name: 'mark' }) !== undefined)
    await sleep(50)
    expect(trial.api.store.revision).toBe(last + 1)
    expect(trial.watched.events).toBe(events + 1)
    const pod = find(trial.source.read(), { kind: 'Pod', namespace: 'a', name: 'p' })
    expect(pod?.body).toEqual({ status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }] } })
    expect(JSON.stringify(find(trial.source.read(), routeRef('a', 'one')))).not.toContain('managedFields')
  })
})

describe('an older world', () => {
  test('of a restored backup is believed after a while, and all kinds follow', async () => {
    put(service('a', 'kept', 80))
    put(routeInput('a', 'kept', 'kept.test'))
    const backup = trial.api.store.snapshot()
    await trial.start()
    put(service('a', 'lost', 80))
    remove(serviceRef('kept'))
    put(routeInput('a', 'kept', 'changed.test'))
    trial.api.store.advance(1_000)
    await trial.watched.until((state) => has('lost')(state) && lacks('kept')(state))
    await until(() => Number(trial.api.watches('services')[0]?.query.get('resourceVersion') ?? 0) > 1_000)
    trial.api.store.restore(backup)
    trial.api.cutConnections()
    const state = await trial.watched.until((now) => has('kept')(now) && lacks('lost')(now))
    expect(find(state, serviceRef('kept'))).toBeDefined()
    await trial.watched.until((now) => JSON.stringify(find(now, routeRef('a', 'kept'))?.body).includes('kept.test'))
    put(service('a', 'new', 80))
    await trial.watched.until(has('new'))
  })

  test('is found although the connections stay and the watches are merely quiet', async () => {
    put(service('a', 'kept', 80))
    const backup = trial.api.store.snapshot()
    await trial.start()
    put(service('a', 'lost', 80))
    trial.api.store.advance(1_000)
    await until(() => Number(trial.api.watches('services')[0]?.query.get('resourceVersion') ?? 0) > 1_000)
    trial.api.store.restore(backup)
    await trial.watched.until((now) => has('kept')(now) && lacks('lost')(now))
  })

  test('of a replica that lags is refused, and another is asked', async () => {
    put(service('a', 'old', 80))
    await trial.start({ timing: { disbeliefMs: 60_000 } })
    const view = trial.api.store.snapshot()
    put(service('a', 'new', 80))
    remove(serviceRef('old'))
    await trial.watched.until((state) => has('new')(state) && lacks('old')(state))
    let seen = ''
    const stop = setInterval(() => {
      if (has('old')(trial.source.read()) || lacks('new')(trial.source.read())) seen = 'the old world was shown'
    }, 1)
    let asked = 0
    trial.api.faults = { lagging: { view, is: ({ verb }) => verb === 'list' && ++asked <= 4 } }
    trial.api.endWatches('services', true)
    trial.api.store.compact()
    put(service('a', 'later', 80))
    await trial.watched.until(has('later'))
    clearInterval(stop)
    expect(seen).toBe('')
    expect(asked).toBeGreaterThan(1)
  })
})

// An API server that refuses, is slow, or goes away: what was read stays in use, the state says so, and the way back is
// found without a storm. The clocks are short, the server is a fake in this process.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { find, routeInput, routeRef, sleep, type InputObject } from '../../../test/contracts/source.ts'
import * as fake from '../../../test/support/fake-api/fake-source.ts'
import {
  FaultTrial,
  has,
  lacks,
  policy,
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

describe('refusals', () => {
  test('401: the token is read again, at once', async () => {
    await trial.start()
    await trial.api.writeToken('second-token')
    trial.api.token = 'second-token'
    trial.api.cutConnections()
    put(service('a', 'web', 80))
    await trial.watched.until(has('web'))
    expect(trial.problems()).toEqual([])
  })

  test('403: what was read stays in use, and the state says so', async () => {
    put(service('a', 'web', 80))
    await trial.start()
    const { revision } = trial.source.read().resources
    trial.api.faults = { answer: ({ plural }) => (plural === 'services' ? { status: 403 } : undefined) }
    trial.api.endWatches('services')
    await until(() => trial.problems().some((message) => message.includes('403')))
    expect(trial.problems().join()).toMatch(/services .*rights are missing.*stays in use/)
    expect(trial.source.read().resources.revision).toBe(revision)
    expect(trial.watched.events).toBeGreaterThan(0)
    trial.api.faults = {}
    await until(() => trial.problems().length === 0)
  })

  test('404 of a kind that must be there: what was read stays in use', async () => {
    put(routeInput('a', 'one', 'one.test'))
    await trial.start()
    trial.api.absent.add('routes')
    trial.api.endWatches('routes')
    await until(() => trial.problems().some((message) => message.includes('not installed')))
    expect(find(trial.source.read(), routeRef('a', 'one'))).toBeDefined()
    trial.api.absent.delete('routes')
    await until(() => trial.problems().length === 0)
  })

  test('an absent CRD of grants means no grants, until it is there', async () => {
    await trial.start()
    expect(trial.problems()).toEqual([])
    put({
      apiVersion: 'gateway.networking.k8s.io/v1beta1',
      kind: 'ReferenceGrant',
      metadata: { namespace: 'a', name: 'g' },
      spec: { from: [], to: [] },
    })
    trial.api.absent.delete('referencegrants')
    const grant = { kind: 'ReferenceGrant', namespace: 'a', name: 'g' } as const
    await trial.watched.until((state) => find(state, grant) !== undefined)
    // Gone for good: the permission is gone too.
    trial.api.absent.add('referencegrants')
    trial.api.endWatches('referencegrants')
    await trial.watched.until((state) => find(state, grant) === undefined)
  })

  test('429 and 503: Retry-After is obeyed, other failures are spread out', async () => {
    await trial.start()
    const times: number[] = []
    trial.api.faults = {
      answer: (request) => {
        if (request.plural !== 'services') return undefined
        times.push(request.at)
        return times.length > 2 ? undefined : { status: times.length === 1 ? 429 : 503, retryAfter: '1' }
      },
    }
    trial.api.endWatches('services')
    put(service('a', 'web', 80))
    await trial.watched.until(has('web'))
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(990)
    expect((times[2] ?? 0) - (times[1] ?? 0)).toBeGreaterThan(990)
  })

  test('a burst of 500: one request at a time for each kind, and few', async () => {
    await trial.start()
    trial.api.faults = { answer: () => ({ status: 500 }), slow: () => 5 }
    trial.api.cutConnections()
    const from = trial.api.requests.length
    await sleep(1_000)
    const more = trial.api.requests.slice(from)
    for (const plural of ['services', 'pods', 'routes']) {
      // Waits are drawn below 10, 20, 40, 80, then 100 ms: about twenty in a second, never a storm.
      expect(more.filter((each) => each.plural === plural).length).toBeLessThan(60)
    }
    trial.api.faults = {}
    put(service('a', 'web', 80))
    await trial.watched.until(has('web'))
  })

  test('a slow server delays, and breaks nothing', async () => {
    trial.api.faults = { slow: () => 300 }
    put(service('a', 'web', 80))
    await trial.prepare()
    await trial.watched.start()
    expect(has('web')(trial.source.read())).toBe(true)
    expect(trial.source.watches().every(({ problem }) => problem === undefined)).toBe(true)
  })
})

describe('a server that goes away', () => {
  test('leaves the world as it was, and is caught up with when it is back', async () => {
    for (let index = 0; index < 5; index++) put(routeInput('a', `r${index}`, 'one.test'))
    put(service('a', 'web', 80))
    await trial.start()
    const { revision } = trial.source.read().resources
    trial.api.faults = { answer: () => 'hang' }
    trial.api.cutConnections()
    await until(() => trial.problems().length > 0)
    expect(trial.source.read().resources.revision).toBe(revision)
    remove(serviceRef('web'))
    for (let index = 0; index < 5; index++) put(routeInput('a', `r${index}`, 'two.test'))
    trial.api.store.advance(5)
    trial.api.store.compact()
    trial.api.faults = {}
    await trial.watched.until(
      (state) =>
        lacks('web')(state) &&
        [0, 1, 2, 3, 4].every((index) =>
          JSON.stringify(find(state, routeRef('a', `r${index}`))?.body).includes('two.test'),
        ),
    )
    await until(() => trial.problems().length === 0)
  })

  test('may be stopped at any moment', async () => {
    trial.api.faults = { answer: () => 'hang' }
    await trial.prepare()
    const starting = trial.watched.start()
    await sleep(50)
    await trial.source.stop()
    await Promise.race([starting, sleep(100)])
    expect(trial.source.read().resources.partitions.size).toBe(0)
  })
})

describe('watches in figures', () => {
  test('say when they heard last, and how often they failed', async () => {
    await trial.start()
    const before = trial.status('services')?.lastEventAt ?? 0
    expect(before).toBeGreaterThan(Date.now() - 60_000)
    put(policy('a', 'p', '5/s'))
    await trial.watched.until((state) => find(state, { kind: 'Policy', namespace: 'a', name: 'p' }) !== undefined)
    expect(trial.source.watches().map(({ resource }) => resource)).toEqual([
      'tenants',
      'routes',
      'policies',
      'services',
      'endpointslices',
      'pods',
      'namespaces',
      'referencegrants',
    ])
    expect(trial.source.watches().every(({ synced }) => synced)).toBe(true)
  })
})

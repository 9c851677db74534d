// The store of a cluster: the suite of all stores, in memory and on a real API server, and what only replicas can do to
// each other.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { stateStoreSuite, type StateStoreDriver } from '../../test/contracts/state-store.ts'
import { failure, ObjectServer } from '../../test/support/object-server.ts'
import { missingRealApi, must, type RealApi, startRealApi } from '../../test/support/real-api.ts'
import type { ApiCalls } from '../api-calls.ts'
import { NotLeaderError, type StoredState } from '../state/state-store.ts'
import { createClusterStore } from './cluster-store.ts'
import { payload, textOf } from './shards.ts'

const LABELS = { 'app.kubernetes.io/name': 'atrium' }
const EMPTY: StoredState = { claims: [], lastGood: [] }

function storeOn(api: ApiCalls, warnings: string[] = [], namespace = 'default') {
  return createClusterStore({
    api,
    namespace,
    release: 'atrium',
    labels: LABELS,
    warn: (message) => warnings.push(message),
    retryMs: 1,
  })
}

function driverOn(api: ApiCalls, cleanUp: () => Promise<void>, namespace = 'default'): StateStoreDriver {
  let fence = 0
  return {
    async open() {
      const store = storeOn(api, [], namespace)
      await store.lead(++fence)
      return store
    },
    cleanUp,
  }
}

stateStoreSuite(
  'ConfigMaps and Secrets in memory',
  async () => await Promise.resolve(driverOn(new ObjectServer(), () => Promise.resolve())),
  30,
)

const missing = await missingRealApi()
describe.skipIf(missing !== undefined)(
  `on a real API server${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  () => {
    let real: RealApi
    let count = 0
    beforeAll(async () => {
      real = await startRealApi()
    })
    afterAll(() => real.stop())
    stateStoreSuite(
      'ConfigMaps and Secrets',
      async () => {
        const namespace = `place-${++count}`
        await must(real.client, 'POST', '/api/v1/namespaces', { metadata: { name: namespace } })
        return driverOn(real.client, () => Promise.resolve(), namespace)
      },
      5,
    )
  },
)

describe('replicas', () => {
  let server: ObjectServer
  const claim = (name: string, tenant: string) => ({ what: 'host' as const, name, tenant, since: 1 })
  const SAVED: StoredState = { claims: [claim('a.test', 'acme'), claim('b.test', 'acme')], lastGood: [] }

  beforeEach(() => {
    server = new ObjectServer()
  })

  test('a standby may not save', async () => {
    await expect(storeOn(server).save(SAVED)).rejects.toThrow(NotLeaderError)
  })

  test('a predecessor that was paused changes nothing, not even what its successor never touched', async () => {
    const old = storeOn(server)
    await old.lead(1)
    await old.save(SAVED)
    const next = storeOn(server)
    expect((await next.lead(2)).claims).toEqual(SAVED.claims)
    await expect(old.save({ claims: [claim('a.test', 'globex')], lastGood: [] })).rejects.toThrow(NotLeaderError)
    expect((await storeOn(server).load()).claims).toEqual(SAVED.claims)
    await next.save({ claims: [claim('a.test', 'globex')], lastGood: [] })
    expect((await storeOn(server).load()).claims).toEqual([claim('a.test', 'globex')])
  })

  test('leading under a fence below the stored one is refused', async () => {
    const next = storeOn(server)
    await next.lead(7)
    await next.save(SAVED)
    await expect(storeOn(server).lead(6)).rejects.toThrow(NotLeaderError)
  })

  test('what somebody edits by hand is written over', async () => {
    const store = storeOn(server)
    await store.lead(1)
    await store.save(SAVED)
    const [path = '', object = { metadata: {} }] =
      [...server.objects].find(([, each]) => JSON.stringify(each).includes('a.test')) ?? []
    server.put(path, { ...object, data: { 'claims.json': '{"format":1,"claims":[]}' } })
    const version = String(server.objects.get(path)?.metadata['resourceVersion'])
    expect(store.seen('ConfigMap', path.split('/').at(-1) ?? '', version)).toBe(true)
    expect(store.seen('ConfigMap', 'other-1', '5')).toBe(false)
    await store.save(SAVED)
    expect((await storeOn(server).load()).claims).toEqual(SAVED.claims)
  })

  test('what cannot be read is put aside with a warning, and the rest is used', async () => {
    const store = storeOn(server)
    await store.lead(1)
    await store.save(SAVED)
    const [path = '', object = { metadata: {} }] =
      [...server.objects].find(([, each]) => JSON.stringify(each).includes('a.test')) ?? []
    server.put(path, { ...object, data: { 'claims.json': 'no' } })
    const loaded = await storeOn(server).lead(2)
    expect(loaded.claims).toHaveLength(1)
    expect(loaded.warnings).toHaveLength(1)
    expect(loaded.warnings[0]).toContain(`${path.split('/').at(-1)} cannot be used: it is no JSON`)
    expect(server.objects.get(`${path}-unreadable`)).toMatchObject({ data: { 'claims.json': 'no' } })
    expect(server.objects.get(`${path}-unreadable`)?.metadata['labels']).toEqual(LABELS)
  })

  test('loading waits for the API server and tells so once', async () => {
    let refusals = 3
    server.interfere = () => (refusals-- > 0 ? failure(403, 'Forbidden') : undefined)
    const warnings: string[] = []
    expect(await storeOn(server, warnings).load()).toEqual({ ...EMPTY, warnings: [] })
    expect(warnings).toHaveLength(1)
  })

  test('a save that fails is a rejection, and the next one writes what is lacking only', async () => {
    const store = storeOn(server)
    await store.lead(1)
    server.interfere = (call) => (call.method === 'PUT' ? failure(500, 'InternalError') : undefined)
    await expect(store.save(SAVED)).rejects.toThrow('500')
    server.interfere = () => undefined
    await store.save(SAVED)
    const calls = server.calls.length
    await store.save(SAVED)
    expect(server.calls).toHaveLength(calls)
  })
})

describe('an object', () => {
  test.each([
    ['claims', 10],
    ['material', 10],
    ['claims', 1_000_000],
    ['material', 1_000_000],
  ] as const)('of %s holds %d characters', (part, length) => {
    const text = 'ä'.repeat(length)
    const object = payload(part, text)
    expect(textOf(part, object)).toBe(text)
    expect(JSON.stringify(object).length).toBeLessThan(700_000)
  })

  test('never holds more than the API server takes', () => {
    const noise = Array.from({ length: 200_000 }, (_, index) => Math.sin(index)).join()
    expect(() => payload('claims', noise)).toThrow(RangeError)
  })
})

// Secrets and ConfigMaps in the source: only what is referred to, one watch for a namespace, over HTTP/2, after rights
// were asked for; and the pure half that finds the references.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { find, type InputObject, sleep, WatchedSource } from '../../../test/contracts/source.ts'
import { makeCa, makeLeaf } from '../../../test/support/certificates.ts'
import { FakeApi } from '../../../test/support/fake-api/api-server.ts'
import { fakeSource, put, remove } from '../../../test/support/fake-api/fake-source.ts'
import type { Kind, Partition, SourceObject } from '../../../model/resources.ts'
import type { ApiClient } from './client.ts'
import { findReferences, materialRefs, refersElsewhere } from './references.ts'
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

async function start(options: Partial<KubernetesSourceOptions> = {}): Promise<void> {
  const made = await fakeSource(api, options)
  client = made.client
  source = made.source
  watched = new WatchedSource(source)
  await watched.start()
}

async function until(wanted: () => boolean): Promise<void> {
  const deadline = performance.now() + 8_000
  while (!wanted()) {
    if (performance.now() > deadline) throw new Error('not reached')
    await sleep(5)
  }
}

const namespace = (name: string): InputObject => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
const encode = (text: string) => Buffer.from(text).toString('base64')

function secret(ns: string, name: string, data: Record<string, string>): InputObject {
  const encoded = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, encode(value)]))
  return { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: ns, name }, type: 'Opaque', data: encoded }
}

function route(ns: string, name: string, tls: object): InputObject {
  return { apiVersion: 'atrium.dev/v1alpha1', kind: 'Route', metadata: { namespace: ns, name }, spec: { tls } }
}

const secretRef = (ns: string, name: string) => ({ kind: 'Secret', namespace: ns, name }) as const
const secretRequests = () => api.requests.filter(({ plural }) => plural === 'secrets')

describe('material', () => {
  test('is in the first state, read by name over HTTP/2, as facts', async () => {
    const ca = await makeCa()
    const leaf = await makeLeaf(ca, { names: ['a.test'] })
    put(api, namespace('a'))
    put(api, secret('a', 'tls', { 'tls.crt': leaf.certPem, 'tls.key': leaf.keyPem }))
    put(api, secret('a', 'other', { password: 'hunter2' }))
    put(api, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace: 'a', name: 'ca' },
      data: { 'ca.crt': ca.pem },
    })
    put(
      api,
      route('a', 'one', {
        certificateRefs: [{ name: 'tls' }],
        clientValidation: { caCertificateRefs: [{ name: 'ca' }] },
      }),
    )
    await start()
    const state = source.read()
    expect(find(state, secretRef('a', 'tls'))?.material?.certificate).toMatchObject({ names: ['a.test'] })
    expect(find(state, { kind: 'ConfigMap', namespace: 'a', name: 'ca' })?.material?.authorities?.count).toBe(1)
    expect(find(state, secretRef('a', 'other'))).toBeUndefined()
    expect(secretRequests().every(({ query }) => query.get('fieldSelector') === 'metadata.name=tls')).toBe(true)
    await until(() => api.watches('secrets').length === 1)
    expect(api.watches('secrets')[0]?.httpVersion).toBe('2.0')
    expect(api.watches('configmaps')[0]?.connection).toBe(api.watches('secrets')[0]?.connection)
  })

  test('a rotated certificate is seen, a change beside it wakes nobody', async () => {
    put(api, namespace('a'))
    put(api, secret('a', 'tls', { 'tls.crt': 'one', 'tls.key': 'key' }))
    put(api, route('a', 'one', { certificateRefs: [{ name: 'tls' }] }))
    await start()
    await until(() => api.watches('secrets').length === 1)
    const before = find(source.read(), secretRef('a', 'tls'))
    const { events } = watched
    put(api, { ...secret('a', 'tls', { 'tls.crt': 'one', 'tls.key': 'key' }), immutable: false })
    await until(() => (source.watches().find(({ resource }) => resource === 'secrets')?.lastEventAt ?? 0) > 0)
    await sleep(50)
    expect(watched.events).toBe(events)
    put(api, secret('a', 'tls', { 'tls.crt': 'one', 'tls.key': 'another key' }))
    const after = await watched.until((state) => find(state, secretRef('a', 'tls')) !== before)
    expect(find(after, secretRef('a', 'tls'))?.material?.certificate?.keyPem.reveal()).toBe('another key')
    expect([...after.changed]).toContain('a')
  })

  test('comes and goes with what refers to it', async () => {
    put(api, namespace('a'))
    for (const name of ['one', 'two', 'three']) put(api, secret('a', name, { 'tls.crt': name }))
    await start()
    expect(secretRequests()).toEqual([])
    put(api, route('a', 'r', { certificateRefs: [{ name: 'one' }] }))
    await watched.until((state) => find(state, secretRef('a', 'one')) !== undefined)
    put(api, route('a', 'r', { certificateRefs: [{ name: 'one' }, { name: 'two' }] }))
    const both = await watched.until((state) => find(state, secretRef('a', 'two')) !== undefined)
    expect(find(both, secretRef('a', 'one'))).toBeDefined()
    expect(find(both, secretRef('a', 'three'))).toBeUndefined()
    put(api, route('a', 'r', { certificateRefs: [{ name: 'one' }, { name: 'two' }, { name: 'three' }] }))
    await watched.until((state) => find(state, secretRef('a', 'three')) !== undefined)
    put(api, route('a', 'r', { certificateRefs: [{ name: 'three' }] }))
    await watched.until((state) => find(state, secretRef('a', 'one')) === undefined)
    expect(find(source.read(), secretRef('a', 'three'))).toBeDefined()
    remove(api, { kind: 'Route', namespace: 'a', name: 'r' })
    await watched.until((state) => find(state, secretRef('a', 'three')) === undefined)
    await until(() => api.watches('secrets').length === 0)
  })

  test('a revoked Secret is gone', async () => {
    put(api, namespace('a'))
    put(api, secret('a', 'tls', { 'tls.crt': 'one' }))
    put(api, route('a', 'one', { certificateRefs: [{ name: 'tls' }] }))
    await start()
    await until(() => api.watches('secrets').length === 1)
    remove(api, secretRef('a', 'tls'))
    await watched.until((state) => find(state, secretRef('a', 'tls')) === undefined)
  })

  test('rights are asked for, and until they are there nothing else waits', async () => {
    put(api, namespace('a'))
    put(api, secret('a', 'tls', { 'tls.crt': 'one' }))
    put(api, route('a', 'one', { certificateRefs: [{ name: 'tls' }] }))
    let granted = false
    const asked: string[] = []
    api.faults = { answer: ({ plural }) => (plural === 'secrets' && !granted ? { status: 403 } : undefined) }
    await start({
      firstMaterialMs: 100,
      grant: async (name) => {
        asked.push(name)
        if (asked.length === 1) throw new Error('not now')
      },
    })
    expect(find(source.read(), secretRef('a', 'tls'))).toBeUndefined()
    expect(find(source.read(), { kind: 'Route', namespace: 'a', name: 'one' })).toBeDefined()
    await until(() => source.read().problems.some(({ message }) => message.includes('secrets in namespace a')))
    granted = true
    await watched.until((state) => find(state, secretRef('a', 'tls')) !== undefined)
    expect(asked).toEqual(['a', 'a'])
    // Rights that are taken away leave what was read.
    granted = false
    api.endWatches('secrets')
    await watched.until((state) => state.problems.length > 0)
    expect(find(source.read(), secretRef('a', 'tls'))).toBeDefined()
  })

  test('many namespaces share few connections', async () => {
    const count = 150
    for (let index = 0; index < count; index++) {
      put(api, namespace(`n${index}`))
      put(api, secret(`n${index}`, 'tls', { 'tls.crt': String(index) }))
      put(api, route(`n${index}`, 'one', { certificateRefs: [{ name: 'tls' }] }))
    }
    await start({ firstMaterialMs: 8_000, timing: { quietWatchSeconds: [30, 30], silenceMs: 40_000 } })
    await until(() => api.watches('secrets').length === count)
    const connections = new Set(api.watches('secrets').map(({ connection }) => connection))
    // The fake allows 100 streams on each.
    expect(connections.size).toBe(2)
    expect(find(source.read(), secretRef('n149', 'tls'))).toBeDefined()
    api.cutConnections()
    put(api, secret('n7', 'tls', { 'tls.crt': 'rotated' }))
    remove(api, secretRef('n8', 'tls'))
    await watched.until((state) => find(state, secretRef('n8', 'tls')) === undefined)
    await until(() => api.watches('secrets').length === count)
  })

  test('many namespaces without rights are no storm, and are read at once when the rights come', async () => {
    const count = 100
    for (let index = 0; index < count; index++) {
      put(api, namespace(`n${index}`))
      put(api, secret(`n${index}`, 'tls', { 'tls.crt': String(index) }))
      put(api, route(`n${index}`, 'one', { certificateRefs: [{ name: 'tls' }] }))
    }
    let granted = false
    const grants: (() => void)[] = []
    api.faults = { answer: ({ plural }) => (plural === 'secrets' && !granted ? { status: 403 } : undefined) }
    await start({
      firstMaterialMs: 500,
      timing: { materialBackoff: { baseMs: 30_000, maxMs: 30_000 }, eagerMs: 5_000, quietWatchSeconds: [30, 30] },
      grant: () => new Promise((resolve) => grants.push(resolve)),
    })
    await until(() => secretRequests().length >= count)
    await sleep(300)
    expect(secretRequests().length).toBeLessThan(count * 1.5)
    granted = true
    for (const grant of grants) grant()
    await until(() => api.watches('secrets').length === count)
  })

  test('goes back with the world, told by those who found out', async () => {
    put(api, namespace('a'))
    put(api, secret('a', 'tls', { 'tls.key': 'old key' }))
    put(api, route('a', 'one', { certificateRefs: [{ name: 'tls' }] }))
    const backup = api.store.snapshot()
    await start()
    const key = () => find(source.read(), secretRef('a', 'tls'))?.material?.certificate?.keyPem.reveal()
    await until(() => api.watches('secrets').length === 1)
    put(api, secret('a', 'tls', { 'tls.key': 'new key' }))
    await until(() => key() === 'new key')
    api.store.advance(1_000)
    await until(() => Number(api.watches('secrets')[0]?.query.get('resourceVersion') ?? 0) > 1_000)
    api.store.restore(backup)
    await until(() => key() === 'old key')
  })

  test('a server without HTTP/2 serves too', async () => {
    await api.stop()
    api = await FakeApi.start({ http2: false })
    put(api, namespace('a'))
    put(api, secret('a', 'tls', { 'tls.crt': 'one' }))
    put(api, route('a', 'one', { certificateRefs: [{ name: 'tls' }] }))
    await start()
    expect(find(source.read(), secretRef('a', 'tls'))).toBeDefined()
    await until(() => api.watches('secrets')[0]?.httpVersion === '1.1')
  })

  test('a Secret that cannot be read costs itself, and keeps its former form', async () => {
    put(api, namespace('a'))
    put(api, secret('a', 'tls', { 'tls.crt': 'one' }))
    put(api, route('a', 'one', { certificateRefs: [{ name: 'tls' }] }))
    await start()
    await until(() => api.watches('secrets').length === 1)
    const before = find(source.read(), secretRef('a', 'tls'))
    put(api, { ...secret('a', 'tls', {}), data: { 'tls.crt': 7 } })
    await until(() => source.watches().some(({ resource, unreadable }) => resource === 'secrets' && unreadable > 0))
    expect(find(source.read(), secretRef('a', 'tls'))).toBe(before)
  })
})

describe('references', () => {
  const object = (kind: Kind, ns: string, name: string, spec: unknown): SourceObject => ({
    kind,
    metadata: { namespace: ns, name, generation: 1, labels: {}, annotations: {} },
    body: { spec },
  })
  const world = (...objects: readonly SourceObject[]): ReadonlyMap<string, Partition> => {
    const partitions = new Map<string, { namespace: string; objects: Map<Kind, Map<string, SourceObject>> }>()
    for (const each of objects) {
      const { namespace: ns, name } = each.metadata
      const partition = partitions.get(ns) ?? { namespace: ns, objects: new Map() }
      partitions.set(ns, partition)
      const names = partition.objects.get(each.kind) ?? new Map()
      partition.objects.set(each.kind, names.set(name, each))
    }
    return partitions
  }
  const names = (found: ReturnType<typeof findReferences>) =>
    Object.fromEntries([...found].map(([ns, { secrets, configMaps }]) => [ns, [[...secrets], [...configMaps]]]))
  const spaces = ['a', 'b'].map((name) => object('Namespace', '', name, undefined))

  test('change with what a Tenant or Route says, with Namespaces that come or go, with any grant; not with labels', () => {
    const tls = { tls: { certificateRefs: [{ name: 'one' }] } }
    const before = object('Route', 'a', 'r', tls)
    const same = object('Route', 'a', 'r', { ...tls, rules: [] })
    const other = object('Route', 'a', 'r', { tls: { certificateRefs: [{ name: 'two' }] } })
    expect(refersElsewhere('Route', before, same)).toBe(false)
    expect(refersElsewhere('Route', before, other)).toBe(true)
    expect(refersElsewhere('Route', before, undefined)).toBe(true)
    expect(refersElsewhere('Tenant', undefined, object('Tenant', '', 't', {}))).toBe(false)
    const space = object('Namespace', '', 'a', {})
    expect(refersElsewhere('Namespace', space, object('Namespace', '', 'a', {}))).toBe(false)
    expect(refersElsewhere('Namespace', undefined, space)).toBe(true)
    expect(refersElsewhere('ReferenceGrant', space, space)).toBe(true)
  })

  test('are found whatever else a spec says', () => {
    for (const spec of [undefined, null, 5, 'x', [], { tls: 7 }, { tls: { certificateRefs: {} } }]) {
      expect(materialRefs(object('Route', 'a', 'r', spec))).toEqual([])
    }
    const odd = { tls: { certificateRefs: [null, 'x', { name: 5 }, { name: '' }, { kind: 'Pod', name: 'p' }] } }
    expect(materialRefs(object('Route', 'a', 'r', odd))).toEqual([])
    expect(materialRefs(object('Policy', 'a', 'r', { tls: { certificateRefs: [{ name: 'x' }] } }))).toEqual([])
    expect(materialRefs(object('Tenant', '', 't', { tls: { certificateRefs: [{ name: 'x' }] } }))).toEqual([])
  })

  test('count in namespaces that exist', () => {
    const spec = { tls: { certificateRefs: [{ name: 'x' }, { name: 'y', namespace: 'nowhere' }] } }
    expect(names(findReferences(world(...spaces, object('Route', 'a', 'r', spec))))).toEqual({ a: [['x'], []] })
    expect(names(findReferences(world(object('Route', 'a', 'r', spec))))).toEqual({})
  })

  test('into another namespace count where a grant there says so', () => {
    const spec = { tls: { certificateRefs: [{ name: 'x', namespace: 'b' }] } }
    const grant = (from: object, to: object) => object('ReferenceGrant', 'b', 'g', { from: [from], to: [to] })
    const from = { group: 'atrium.dev', kind: 'Route', namespace: 'a' }
    const to = { group: '', kind: 'Secret' }
    const found = (...more: readonly SourceObject[]) =>
      names(findReferences(world(...spaces, object('Route', 'a', 'r', spec), ...more)))
    expect(found()).toEqual({})
    expect(found(grant(from, to))).toEqual({ b: [['x'], []] })
    expect(found(grant(from, { ...to, name: 'x' }))).toEqual({ b: [['x'], []] })
    expect(found(grant(from, { ...to, name: 'z' }))).toEqual({})
    expect(found(grant(from, { ...to, kind: 'ConfigMap' }))).toEqual({})
    expect(found(grant({ ...from, namespace: 'c' }, to))).toEqual({})
    expect(found(grant({ ...from, kind: 'Tenant' }, to))).toEqual({})
  })

  test('of a Tenant count as they are', () => {
    const spec = { tls: { certificateRefs: [{ name: 'x', namespace: 'b' }] } }
    expect(names(findReferences(world(...spaces, object('Tenant', '', 't', spec))))).toEqual({ b: [['x'], []] })
  })
})

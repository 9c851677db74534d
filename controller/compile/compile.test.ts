// What the golden cases and the random histories cannot show: what an edit leaves untouched, by identity, and how the loop
// carries last good forms and claims from one compile to the next.
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Kind, Partition, ResourceSet, SourceObject } from '../../model/resources.ts'
import { POLICIES } from '../../policies/index.ts'
import { compile } from './compile.ts'
import type { CompileResult, CompileSettings } from './compile-types.ts'
import { lastGoodFor } from './last-good.ts'

const SETTINGS: CompileSettings = {
  digest: (text) => createHash('sha256').update(text).digest('hex'),
  policies: POLICIES,
  allowEndpoints: [],
  ownAddresses: [],
}

function object(kind: Kind, namespace: string, name: string, body: object, generation = 1, labels = {}): SourceObject {
  return { kind, metadata: { namespace, name, generation, labels, annotations: {} }, body: { ...body } }
}

function tenant(name: string, spec: object = {}): SourceObject {
  return object('Tenant', '', name, { spec: { namespaces: [name], hostnames: [`${name}.test`], ...spec } })
}

function route(namespace: string, name: string, hostname: string, generation = 1): SourceObject {
  const rules = [{ backendRefs: [{ name: 'web', port: 80 }] }]
  return object('Route', namespace, name, { spec: { hostnames: [hostname], rules } }, generation)
}

function slice(namespace: string, ready: boolean): SourceObject {
  const endpoints = [{ addresses: ['10.0.0.1'], conditions: { ready } }, { addresses: ['10.0.0.2'] }]
  const body = { addressType: 'IPv4', endpoints, ports: [{ port: 8080 }] }
  return object('EndpointSlice', namespace, 'web-1', body, 1, { 'kubernetes.io/service-name': 'web' })
}

function resourcesOf(objects: readonly SourceObject[], before?: ResourceSet): ResourceSet {
  const partitions = new Map<string, Partition>(before?.partitions)
  for (const each of objects) {
    const { namespace, name } = each.metadata
    const kinds = new Map(partitions.get(namespace)?.objects)
    kinds.set(each.kind, new Map(kinds.get(each.kind)).set(name, each))
    partitions.set(namespace, { namespace, objects: kinds })
  }
  return { revision: '', partitions, claims: before?.claims ?? [], lastGood: [] }
}

const BASE = ['acme', 'globex'].flatMap((name) => [
  tenant(name),
  route(name, 'site', `${name}.test`),
  object('Service', name, 'web', { spec: { ports: [{ port: 80 }] } }),
  slice(name, true),
])

describe('an edit', () => {
  const resources = resourcesOf(BASE)
  const first = compile(resources, SETTINGS)

  test('of one Route hands on every other rule and host, whatever the order of their names', () => {
    const names = ['z', 'a10', 'a.b', 'a2', 'a-b', 'a', 'a1']
    const world = resourcesOf([
      ...BASE,
      tenant('many', { hostnames: ['many.test', '*.many.test'] }),
      ...names.map((name, index) => route('many', name, `h${index}.many.test`)),
    ])
    const before = compile(world, SETTINGS)
    const after = compile(resourcesOf([route('many', 'a2', 'new.many.test', 2)], world), SETTINGS, before)
    const [old, now] = [before, after].map(({ snapshot }) => snapshot.shards.get('many'))
    expect(now?.routes).toHaveLength(names.length)
    expect(now?.routes.filter((plan) => old?.routes.includes(plan) !== true)).toEqual([])
    const fresh = now?.hosts.filter((host) => old?.hosts.includes(host) !== true)
    expect(fresh?.map(({ host }) => host)).toEqual(['new.many.test'])
    expect(now?.hosts).toHaveLength(names.length)
  })

  test('of an endpoint changes its pool and no shard', () => {
    const next = compile(resourcesOf([slice('acme', false)], resources), SETTINGS, first)
    expect(next.snapshot.shards).toBe(first.snapshot.shards)
    expect(next.snapshot.version).toBe(first.snapshot.version)
    expect(next.snapshot.endpointsRevision).not.toBe(first.snapshot.endpointsRevision)
    expect(changedKeys(first.snapshot.pools, next.snapshot.pools)).toHaveLength(1)
    expect([...next.snapshot.pools.keys()]).toEqual([...first.snapshot.pools.keys()])
  })

  test('of a Route changes the shard of its tenant alone', () => {
    const next = compile(resourcesOf([route('acme', 'more', 'acme.test')], resources), SETTINGS, first)
    expect(changedKeys(first.snapshot.shards, next.snapshot.shards)).toEqual(['acme'])
    expect(next.snapshot.pools).toBe(first.snapshot.pools)
  })

  test('that changes nothing publishes nothing', () => {
    expect(compile(resourcesOf([slice('acme', true)], resources), SETTINGS, first).snapshot).toBe(first.snapshot)
  })

  test('of the claims that compile asked for changes no shard', () => {
    const claims = first.claims.map((claim) => ({ ...claim, since: 1 }))
    const next = compile({ ...resources, claims }, SETTINGS, first)
    expect(next.snapshot.shards).toBe(first.snapshot.shards)
    expect(next.claims).toEqual(first.claims)
  })

  test('leaves the earlier result as it was, for any number of compiles from it', () => {
    const edited = resourcesOf([route('acme', 'more', 'acme.test')], resources)
    const one = compile(edited, SETTINGS, first)
    const two = compile(edited, SETTINGS, first)
    expect(two.snapshot.version).toBe(one.snapshot.version)
    expect(compile(resources, SETTINGS, one).snapshot.version).toBe(first.snapshot.version)
  })
})

describe('last good forms', () => {
  test('are carried by the loop and survive a restart', () => {
    const good = resourcesOf([...BASE, route('acme', 'shop', 'acme.test', 1)])
    const first = compile(good, SETTINGS)
    const bad = resourcesOf([route('acme', 'shop', 'globex.test', 2)], good)
    const second = compileNext(bad, good, first)
    expect(second.lastGood.map(({ object: { name }, generation }) => [name, generation])).toEqual([['shop', 1]])
    expect(second.snapshot.version).toBe(first.snapshot.version)
    const restarted = compile({ ...bad, lastGood: lastGoodFor(bad.partitions, undefined, second.lastGood) }, SETTINGS)
    expect(restarted.snapshot.version).toBe(first.snapshot.version)
    const worse = resourcesOf([object('Route', 'acme', 'shop', { spec: 'broken' }, 3)], bad)
    const third = compileNext(worse, bad, second)
    expect(third.lastGood.map(({ generation }) => generation)).toEqual([1])
    const mended = resourcesOf([route('acme', 'shop', 'acme.test', 4)], worse)
    expect(compileNext(mended, worse, third).lastGood).toEqual([])
  })

  test('never bring back what was refused', () => {
    const refused = resourcesOf([...BASE, route('acme', 'shop', 'globex.test', 1)])
    const first = compile(refused, SETTINGS)
    const worse = resourcesOf([object('Route', 'acme', 'shop', { spec: 'broken' }, 2)], refused)
    expect(compileNext(worse, refused, first).lastGood).toEqual([])
  })

  test('are judged by the rules of today', () => {
    const wide = resourcesOf([
      ...BASE,
      tenant('acme', { hostnames: ['acme.test', 'old.test'] }),
      route('acme', 'old', 'old.test'),
    ])
    const first = compile(wide, SETTINGS)
    expect(hostsOf(first, 'acme')).toEqual(['acme.test', 'old.test'])
    const narrow = resourcesOf([tenant('acme'), route('acme', 'old', 'foreign.test', 2)], wide)
    const second = compileNext(narrow, wide, first)
    expect(hostsOf(second, 'acme')).toEqual(['acme.test'])
    expect(second.lastGood).toHaveLength(1)
  })
})

function compileNext(resources: ResourceSet, before: ResourceSet, result: CompileResult): CompileResult {
  const lastGood = lastGoodFor(resources.partitions, { resources: before, result }, [])
  return compile({ ...resources, lastGood }, SETTINGS, result)
}

function hostsOf(result: CompileResult, name: string): readonly string[] {
  return result.snapshot.shards.get(name)?.hosts.map(({ host }) => host) ?? []
}

function changedKeys(before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): readonly string[] {
  return [...after].filter(([key, value]) => before.get(key) !== value).map(([key]) => key)
}

// The suite that every Source passes, whatever it reads from: files here, an API server in a cluster. A driver puts
// objects where the source finds them; the suite looks only at what the contract promises.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { canonicalText } from '../../model/canonical.ts'
import type { Kind, ObjectRef, ResourceSet, SourceObject } from '../../model/resources.ts'
import type { Source, SourceState } from '../../controller/sources/source.ts'

/** An object as users write it. */
export interface InputObject {
  readonly apiVersion: string
  readonly kind: Kind
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
  }
  readonly [field: string]: unknown
}

/** Puts objects where a source finds them. */
export interface SourceDriver {
  /** A source over what has been written so far. */
  create(): Source
  /** The input is held to the schemas before a source sees it. */
  readonly validates?: boolean
  /** Creates or replaces an object. */
  write(object: InputObject): Promise<void>
  remove(object: ObjectRef): Promise<void>
  /**
   * Puts text that is no object under a name, and replaces it by an object or by other text under the same name. Absent
   * where the input cannot hold such a thing.
   */
  writeRaw?(name: string, text: string): Promise<void>
  cleanUp(): Promise<void>
}

const DEADLINE_MS = 5_000
const POLL_MS = 5

/** A source that is watched by a test. */
export class WatchedSource {
  readonly source: Source
  events = 0

  constructor(source: Source) {
    this.source = source
  }

  async start(): Promise<void> {
    await this.source.start(() => {
      this.events++
    })
  }

  /** Waits until the state is as wanted; fails with the last state otherwise. All hints met on the way are united. */
  async until(wanted: (state: SourceState) => boolean): Promise<SourceState> {
    const deadline = performance.now() + DEADLINE_MS
    const changed = new Set<string>()
    for (;;) {
      const state = this.source.read()
      for (const namespace of state.changed) changed.add(namespace)
      if (wanted(state)) return { ...state, changed }
      if (performance.now() > deadline) throw new Error(`not reached; problems: ${JSON.stringify(state.problems)}`)
      await sleep(POLL_MS)
    }
  }
}

/** Waits, in milliseconds. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** One object of a state. */
export function find(state: SourceState, ref: ObjectRef): SourceObject | undefined {
  return state.resources.partitions.get(ref.namespace)?.objects.get(ref.kind)?.get(ref.name)
}

/** A Route with one host. */
export function routeInput(
  namespace: string,
  name: string,
  host: string,
  labels: Record<string, string> = {},
): InputObject {
  return {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Route',
    metadata: { namespace, name, labels },
    spec: { hostnames: [host], rules: [{ backendRefs: [{ name: 'web', port: 80 }] }] },
  }
}

/** Its reference. */
export function routeRef(namespace: string, name: string): ObjectRef {
  return { kind: 'Route', namespace, name }
}

function tenantInput(name: string, namespaces: readonly string[]): InputObject {
  return { apiVersion: 'atrium.dev/v1alpha1', kind: 'Tenant', metadata: { name }, spec: { namespaces } }
}

function hostOf(state: SourceState, namespace: string, name: string): unknown {
  const spec = find(state, routeRef(namespace, name))?.body['spec']
  return typeof spec === 'object' && spec !== null && 'hostnames' in spec ? String(spec.hostnames) : undefined
}

/** Everything in a set but its revision, generations and identities, as text. */
function contentOf(resources: Pick<ResourceSet, 'partitions'>): string {
  const objects = [...resources.partitions.values()].flatMap((partition) =>
    [...partition.objects.values()].flatMap((byName) =>
      [...byName.values()].map(({ kind, metadata, body, material }) => [
        kind,
        { ...metadata, generation: 0, uid: '' },
        body,
        material,
      ]),
    ),
  )
  return objects.map(canonicalText).sort().join('\n')
}

/** Declares the suite for one kind of source. */
export function describeSource(name: string, createDriver: () => Promise<SourceDriver>): void {
  describe(`${name} as a source`, () => {
    let driver: SourceDriver
    let watched: WatchedSource | undefined

    beforeEach(async () => {
      driver = await createDriver()
    })
    afterEach(async () => {
      await watched?.source.stop()
      watched = undefined
      await driver.cleanUp()
    })
    const start = async () => {
      watched = new WatchedSource(driver.create())
      await watched.start()
      return watched
    }

    test('the first state is complete: kinds, namespaces and cluster-scoped objects', async () => {
      await driver.write(tenantInput('acme', ['a']))
      await driver.write(routeInput('a', 'one', 'one.test', { team: 'x' }))
      await driver.write({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a', labels: { team: 'x' } } })
      await driver.write({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace: 'b', name: 'web' },
        spec: { ports: [{ port: 80 }] },
      })
      const { source } = await start()
      const state = source.read()
      expect([...state.resources.partitions.keys()].sort()).toEqual(['', 'a', 'b'])
      expect(find(state, { kind: 'Tenant', namespace: '', name: 'acme' })?.body).toEqual({
        spec: { namespaces: ['a'] },
      })
      expect(find(state, routeRef('a', 'one'))?.metadata).toMatchObject({
        name: 'one',
        namespace: 'a',
        labels: { team: 'x' },
      })
      expect(find(state, { kind: 'Namespace', namespace: '', name: 'a' })?.metadata.labels).toEqual({ team: 'x' })
      expect(find(state, { kind: 'Service', namespace: 'b', name: 'web' })?.body).toMatchObject({
        spec: { ports: [{ port: 80 }] },
      })
      expect(state.problems).toEqual([])
      expect([...state.changed].sort()).toEqual(['', 'a', 'b'])
    })

    test('nothing at all is a complete state too', async () => {
      const { source } = await start()
      expect(source.read().resources.partitions.size).toBe(0)
      expect(source.read().problems).toEqual([])
    })

    test('reading again gives the same set and no hints', async () => {
      await driver.write(routeInput('a', 'one', 'one.test'))
      const { source } = await start()
      const first = source.read()
      const second = source.read()
      expect(second.resources).toBe(first.resources)
      expect(second.changed.size).toBe(0)
    })

    test('an edit replaces its object and its partition, and nothing else', async () => {
      await driver.write(routeInput('a', 'one', 'one.test'))
      await driver.write(routeInput('a', 'two', 'two.test'))
      await driver.write(routeInput('b', 'three', 'three.test'))
      const watching = await start()
      const before = watching.source.read()
      await driver.write(routeInput('a', 'one', 'other.test'))
      const after = await watching.until((state) => hostOf(state, 'a', 'one') === 'other.test')
      expect(watching.events).toBeGreaterThan(0)
      expect(after.resources.revision).not.toBe(before.resources.revision)
      expect(after.resources.partitions.get('b')).toBe(before.resources.partitions.get('b'))
      expect(after.resources.partitions.get('a')).not.toBe(before.resources.partitions.get('a'))
      expect(find(after, routeRef('a', 'two'))).toBe(find(before, routeRef('a', 'two')))
      expect(hostOf(before, 'a', 'one')).toBe('one.test')
      expect([...after.changed]).toEqual(['a'])
    })

    test('the generation rises with the spec and with nothing else', async () => {
      await driver.write(routeInput('a', 'one', 'one.test'))
      const watching = await start()
      const first = find(watching.source.read(), routeRef('a', 'one'))?.metadata.generation ?? 0
      await driver.write(routeInput('a', 'one', 'one.test', { colour: 'red' }))
      const relabelled = await watching.until(
        (state) => find(state, routeRef('a', 'one'))?.metadata.labels['colour'] === 'red',
      )
      expect(find(relabelled, routeRef('a', 'one'))?.metadata.generation).toBe(first)
      await driver.write(routeInput('a', 'one', 'two.test', { colour: 'red' }))
      const edited = await watching.until((state) => hostOf(state, 'a', 'one') === 'two.test')
      expect(find(edited, routeRef('a', 'one'))?.metadata.generation).toBe(first + 1)
    })

    test('a removed object is gone, and an empty partition with it', async () => {
      await driver.write(routeInput('a', 'one', 'one.test'))
      await driver.write(routeInput('b', 'two', 'two.test'))
      const watching = await start()
      const before = watching.source.read()
      await driver.remove(routeRef('a', 'one'))
      const after = await watching.until((state) => find(state, routeRef('a', 'one')) === undefined)
      expect([...after.resources.partitions.keys()]).toEqual(['b'])
      expect([...after.changed]).toEqual(['a'])
      expect(after.resources.partitions.get('b')).toBe(before.resources.partitions.get('b'))
    })

    test('the same content written again changes nothing', async () => {
      await driver.write(routeInput('a', 'one', 'one.test'))
      const watching = await start()
      const before = watching.source.read()
      await driver.write(routeInput('a', 'one', 'one.test'))
      await driver.write(routeInput('a', 'mark', 'mark.test'))
      const after = await watching.until((state) => find(state, routeRef('a', 'mark')) !== undefined)
      expect(find(after, routeRef('a', 'one'))).toBe(find(before, routeRef('a', 'one')))
      const { revision } = watching.source.read().resources
      await driver.write(routeInput('a', 'mark', 'mark.test'))
      await driver.write(routeInput('b', 'later', 'later.test'))
      const last = await watching.until((state) => find(state, routeRef('b', 'later')) !== undefined)
      expect(last.resources.revision).not.toBe(revision)
      expect(last.resources.partitions.get('a')).toBe(after.resources.partitions.get('a'))
    })

    test('a spec is not judged: whatever was written comes through', async ({ skip }) => {
      if (driver.validates === true) return skip()
      await driver.write({ ...routeInput('a', 'odd', 'x.test'), spec: { hostnames: 5, nonsense: [{ deep: true }] } })
      await driver.write(routeInput('a', 'good', 'good.test'))
      const { source } = await start()
      const state = source.read()
      expect(find(state, routeRef('a', 'odd'))?.body).toEqual({ spec: { hostnames: 5, nonsense: [{ deep: true }] } })
      expect(find(state, routeRef('a', 'good'))).toBeDefined()
      expect(state.problems).toEqual([])
    })

    test('the order in which objects come does not matter', async () => {
      const objects = [
        tenantInput('acme', ['a']),
        routeInput('a', 'one', 'one.test'),
        routeInput('a', 'two', 'two.test'),
        routeInput('b', 'three', 'three.test'),
      ]
      for (const object of objects) await driver.write(object)
      const { source } = await start()
      const forwards = contentOf(source.read().resources)
      const other = await createDriver()
      try {
        const live = new WatchedSource(other.create())
        await live.start()
        for (const object of [...objects].reverse()) await other.write(object)
        const state = await live.until(({ resources }) => contentOf(resources) === forwards)
        expect(state.problems).toEqual([])
        await live.source.stop()
      } finally {
        await other.cleanUp()
      }
    })

    test('secrets arrive as facts, their bytes hidden', async () => {
      const marker = 'c2VjcmV0LW1hcmtlcg=='
      await driver.write({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { namespace: 'a', name: 'tls' },
        type: 'kubernetes.io/tls',
        data: { 'tls.crt': marker, 'tls.key': marker },
      })
      const { source } = await start()
      const object = find(source.read(), { kind: 'Secret', namespace: 'a', name: 'tls' })
      expect(object?.material?.certificate?.problem).toBeDefined()
      expect(object?.material?.certificate?.keyPem.reveal()).toBe('secret-marker')
      const shown = JSON.stringify(
        [...source.read().resources.partitions].map(([, { objects }]) => [...objects].map(([, names]) => [...names])),
      )
      expect(shown).not.toContain('secret-marker')
      expect(shown).not.toContain(marker)
    })

    test('a burst of edits is seen whole, in fewer events than edits', async () => {
      const count = 200
      for (let index = 0; index < count; index++) await driver.write(routeInput('a', `r${index}`, 'before.test'))
      const watching = await start()
      await Promise.all(
        Array.from({ length: count }, (_, index) => driver.write(routeInput('a', `r${index}`, 'after.test'))),
      )
      const state = await watching.until((now) =>
        Array.from({ length: count }, (_, index) => index).every(
          (index) => hostOf(now, 'a', `r${index}`) === 'after.test',
        ),
      )
      expect(watching.events).toBeLessThan(count)
      expect([...state.changed]).toEqual(['a'])
    })

    test('a large object comes through whole', async () => {
      const endpoints = Array.from({ length: 1000 }, (_, index) => ({
        addresses: [`10.1.${index >> 8}.${index & 255}`],
        conditions: { ready: true, serving: true, terminating: false },
        zone: 'zone-a',
      }))
      await driver.write({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { namespace: 'a', name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
        addressType: 'IPv4',
        ports: [{ name: 'http', port: 8080 }],
        endpoints,
      })
      const { source } = await start()
      const slice = find(source.read(), { kind: 'EndpointSlice', namespace: 'a', name: 'web-1' })
      expect(slice?.body['endpoints']).toEqual(endpoints)
    })

    test('random edits end where a plain map ends, with every hint given', async () => {
      const model = new Map<string, string>()
      const watching = await start()
      watching.source.read()
      let seed = 7
      const random = (below: number) => {
        seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
        return seed % below
      }
      let before = watching.source.read()
      for (let round = 0; round < 12; round++) {
        const touched = new Set<string>()
        for (let edit = 0; edit < 8; edit++) {
          const namespace = `n${random(4)}`
          const name = `r${random(4)}`
          touched.add(namespace)
          if (random(3) === 0 && model.has(`${namespace}/${name}`)) {
            model.delete(`${namespace}/${name}`)
            await driver.remove(routeRef(namespace, name))
          } else {
            const host = `h${random(1000)}.test`
            model.set(`${namespace}/${name}`, host)
            await driver.write(routeInput(namespace, name, host))
          }
        }
        const wanted = [...model]
          .map(([key, host]) => `${key}=${host}`)
          .sort()
          .join()
        const state = await watching.until((now) => routesOf(now) === wanted)
        for (const [namespace, partition] of state.resources.partitions) {
          if (!touched.has(namespace)) expect(partition).toBe(before.resources.partitions.get(namespace))
          if (partition !== before.resources.partitions.get(namespace)) expect(state.changed).toContain(namespace)
        }
        before = state
      }
    })

    test('nothing is told after stop', async () => {
      await driver.write(routeInput('a', 'one', 'one.test'))
      const watching = await start()
      await watching.source.stop()
      const { events } = watching
      await driver.write(routeInput('a', 'one', 'two.test'))
      await sleep(100)
      expect(watching.events).toBe(events)
      expect(hostOf(watching.source.read(), 'a', 'one')).toBe('one.test')
      await watching.source.stop()
    })

    test('locate never throws, whatever it is asked', async () => {
      await driver.write(routeInput('a', 'one', 'one.test'))
      const { source } = await start()
      expect(source.locate(routeRef('a', 'absent'), ['spec'])).toBeUndefined()
      expect(() => source.locate(routeRef('a', 'one'), ['spec', 'rules', 99, 'nothing', '__proto__'])).not.toThrow()
    })

    test('what cannot be read is a problem of its own, and goes when it is mended', async ({ skip }) => {
      const { writeRaw } = driver
      if (writeRaw === undefined) return skip()
      await driver.write(routeInput('a', 'good', 'good.test'))
      await writeRaw.call(driver, 'broken', 'kind: Route\nmetadata: [')
      const watching = await start()
      const first = watching.source.read()
      expect(first.problems).toHaveLength(1)
      expect(first.problems[0]?.position).toMatchObject({ line: expect.any(Number), column: expect.any(Number) })
      expect(find(first, routeRef('a', 'good'))).toBeDefined()
      await writeRaw.call(driver, 'broken', JSON.stringify(routeInput('a', 'mended', 'mended.test')))
      const mended = await watching.until((state) => find(state, routeRef('a', 'mended')) !== undefined)
      expect(mended.problems).toEqual([])
      await writeRaw.call(driver, 'broken', 'kind: Route\nmetadata: [')
      const broken = await watching.until((state) => state.problems.length === 1)
      expect(find(broken, routeRef('a', 'mended'))).toBe(find(mended, routeRef('a', 'mended')))
      expect(broken.resources.revision).toBe(mended.resources.revision)
    })
  })
}

function routesOf(state: SourceState): string {
  const routes = [...state.resources.partitions.values()].flatMap((partition) =>
    [...(partition.objects.get('Route')?.values() ?? [])].map(
      ({ metadata }) =>
        `${metadata.namespace}/${metadata.name}=${String(hostOf(state, metadata.namespace, metadata.name))}`,
    ),
  )
  return routes.sort().join()
}

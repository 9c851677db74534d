// The loop as one of several replicas: who follows takes what is stored, who leads stamps, stores and publishes.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ObjectServer } from '../test/support/object-server.ts'
import type { Claim, ResourceSet } from '../model/resources.ts'
import { SNAPSHOT_FORMAT } from '../model/snapshot.ts'
import type { CompileResult } from './compile/compile-types.ts'
import { createLoop, type Loop } from './loop.ts'
import { type ClusterStateStore, createClusterStore } from './stores/cluster-store.ts'

/** A replica whose compile wants the hosts of a list, and whose version says which claims it saw. */
class Replica {
  readonly events: string[] = []
  readonly store: ClusterStateStore
  readonly loop: Loop
  fence: number | undefined
  hosts: readonly string[]
  #onChange: () => void = () => undefined

  constructor(server: ObjectServer, hosts: readonly string[]) {
    this.hosts = hosts
    this.store = createClusterStore({
      api: server,
      namespace: 'atrium',
      release: 'atrium',
      labels: {},
      warn: () => undefined,
      retryMs: 5,
    })
    this.loop = createLoop({
      source: {
        start: (onChange) => {
          this.#onChange = onChange
          return Promise.resolve()
        },
        read: () => ({ resources: { revision: '0', partitions: new Map() }, problems: [], changed: new Set() }),
        locate: () => undefined,
        stop: () => Promise.resolve(),
      },
      publisher: {
        publish: (snapshot, sequence) => {
          this.events.push(`publish ${snapshot.version} ${sequence} by ${this.loop.fence() ?? 'none'}`)
          return Promise.resolve([])
        },
      },
      store: this.store,
      replica: { store: this.store, fence: () => this.fence },
      settings: { digest: (text) => text, policies: [], allowEndpoints: [], ownAddresses: [] },
      hostTransferDelay: 0,
      clock: { now: () => 1_000, monotonic: () => performance.now() },
      report: () => undefined,
      warn: () => undefined,
      compile: (resources) => this.#compile(resources),
    })
  }

  change(hosts: readonly string[]): void {
    this.hosts = hosts
    this.#onChange()
  }

  lead(fence: number | undefined): void {
    this.fence = fence
    this.loop.wake()
  }

  #compile({ claims }: ResourceSet): CompileResult {
    const version = claims.map(({ name }) => name).join('+') || 'none'
    return {
      snapshot: { format: SNAPSHOT_FORMAT, version, endpointsRevision: 'e', shards: new Map(), pools: new Map() },
      issues: [],
      objects: [],
      claims: this.hosts.map((name) => ({ what: 'host' as const, name, tenant: 'acme' })),
      lastGood: [],
      crossEffects: [],
      memo: undefined,
    }
  }
}

describe('replicas', () => {
  let server: ObjectServer
  let replicas: Replica[]

  beforeEach(() => {
    server = new ObjectServer()
    replicas = []
  })
  afterEach(async () => {
    server.interfere = () => undefined
    await Promise.all(replicas.map(({ loop }) => loop.stop()))
  })

  async function replica(hosts: readonly string[]): Promise<Replica> {
    const made = new Replica(server, hosts)
    replicas.push(made)
    await made.loop.start()
    return made
  }
  const claims = async (): Promise<readonly Claim[]> => (await new Replica(server, []).store.load()).claims
  const stateOf = (each: Replica) => each.loop.state()?.resources.claims.map(({ name }) => name)

  test('a standby compiles with what is stored, and writes nothing', async () => {
    const standby = await replica(['a.test'])
    expect(standby.events).toEqual(['publish none 1 by none'])
    expect(await claims()).toEqual([])
    expect(server.calls.every(({ method }) => method === undefined)).toBe(true)
    expect(standby.loop.fence()).toBeUndefined()
  })

  test('a standby is in no hurry, until it leads', async () => {
    const standby = await replica(['a.test'])
    const began = performance.now()
    for (let change = 0; performance.now() - began < 500; change++) {
      standby.change([`${change}.test`])
      await sleep(2)
    }
    expect(standby.loop.state()?.cycles).toBe(1)
    standby.change(['asked.test'])
    expect(await standby.loop.refresh()).toBe(true)
    expect(standby.loop.state()?.cycles).toBe(2)
    expect(standby.loop.state()?.result.claims.map(({ name }) => name)).toEqual(['asked.test'])
    expect(await standby.loop.refresh()).toBe(false)
    expect(standby.loop.state()?.cycles).toBe(2)
    standby.change(['last.test'])
    standby.lead(1)
    await vi.waitFor(() => expect(standby.loop.fence()).toBe(1), { timeout: 150 })
  })

  test('the leader stores before it publishes under its fence; standbys follow what it stored', async () => {
    const leader = await replica(['a.test'])
    const standby = await replica(['a.test'])
    leader.lead(3)
    await vi.waitFor(() => expect(leader.loop.fence()).toBe(3))
    await vi.waitFor(() => expect(leader.events.at(-1)).toBe('publish none 2 by 3'))
    expect((await claims()).map(({ name }) => name)).toEqual(['a.test'])
    standby.loop.reload()
    await vi.waitFor(() => expect(stateOf(standby)).toEqual(['a.test']))
  })

  test('a new leader begins with what the former stored, and the former then stores and publishes nothing', async () => {
    const first = await replica(['a.test'])
    first.lead(1)
    await vi.waitFor(() => expect(first.loop.fence()).toBe(1))
    await sleep(20)
    const second = await replica(['a.test', 'b.test'])
    second.lead(2)
    await vi.waitFor(() => expect(second.loop.fence()).toBe(2))
    await vi.waitFor(async () => expect(await claims()).toHaveLength(2))
    // The first was paused and does not know yet.
    first.events.length = 0
    first.change(['c.test'])
    await sleep(30)
    expect(first.loop.fence()).toBeUndefined()
    expect((await claims()).map(({ name }) => name)).toEqual(['a.test', 'b.test'])
    expect(first.events.filter((event) => !event.endsWith('by none'))).toEqual([])
  })

  test('nothing is published while it cannot be read what the former leader stored', async () => {
    const leader = await replica(['a.test'])
    leader.events.length = 0
    server.interfere = () => ({ status: 503, body: undefined, retryAfterMs: undefined })
    leader.lead(5)
    await sleep(30)
    expect(leader.loop.fence()).toBeUndefined()
    expect(leader.events.filter((event) => !event.endsWith('by none'))).toEqual([])
    server.interfere = () => undefined
    await vi.waitFor(() => expect(leader.loop.fence()).toBe(5), { timeout: 3_000 })
  })

  test('what was left out while the lease had run out is published when the term goes on', async () => {
    const a = await replica(['a.test'])
    a.lead(1)
    await vi.waitFor(() => expect(a.events.at(-1)).toContain('by 1'))
    const before = a.events.length
    // The lease has run out and was renewed before the loop looked: it sees a term that never ended.
    a.loop.wake()
    await vi.waitFor(() => expect(a.events.slice(before)).toHaveLength(1))
    expect(a.events.at(-1)).toContain('by 1')
  })

  test('what somebody changed by hand is written over by the leader', async () => {
    const leader = await replica(['a.test'])
    leader.lead(1)
    await vi.waitFor(async () => expect(await claims()).toHaveLength(1))
    const [path = '', object = { metadata: {} }] =
      [...server.objects].find(([, each]) => JSON.stringify(each).includes('a.test')) ?? []
    const changed = server.put(path, { ...object, data: { 'claims.json': '{"format":1,"claims":[]}' } })
    expect(
      leader.store.seen('ConfigMap', path.split('/').at(-1) ?? '', String(changed.metadata['resourceVersion'])),
    ).toBe(true)
    leader.loop.reload()
    await vi.waitFor(async () => expect(await claims()).toHaveLength(1))
  })
})

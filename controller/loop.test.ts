// The loop with a source, a publisher and a compile of its own making: order, coalescing, fences, clocks.
import { describe, expect, test, vi } from 'vitest'
import type { Claim, LastGood } from '../model/resources.ts'
import { SNAPSHOT_FORMAT } from '../model/snapshot.ts'
import { sleep } from '../test/contracts/source.ts'
import type { CompileResult, WantedClaim } from './compile/compile-types.ts'
import { createLoop, type LoopOptions, type LoopState } from './loop.ts'
import type { Publisher } from './publish/publisher.ts'
import type { Source, SourceState } from './sources/source.ts'
import type { StateStore, StoredState } from './state/state-store.ts'

const EMPTY: SourceState = { resources: { revision: '0', partitions: new Map() }, problems: [], changed: new Set() }

class FakeSource implements Source {
  revision = 0
  #onChange: (() => void) | undefined
  stopped = false

  start(onChange: () => void): Promise<void> {
    this.#onChange = onChange
    return Promise.resolve()
  }
  change(): void {
    this.revision++
    this.#onChange?.()
  }
  read(): SourceState {
    return { ...EMPTY, resources: { revision: String(this.revision), partitions: new Map() } }
  }
  locate(): undefined {
    return undefined
  }
  stop(): Promise<void> {
    this.stopped = true
    return Promise.resolve()
  }
}

function resultOf(version: string, more: Partial<CompileResult> = {}): CompileResult {
  return {
    snapshot: { format: SNAPSHOT_FORMAT, version, endpointsRevision: 'e', shards: new Map(), pools: new Map() },
    issues: [],
    objects: [],
    claims: [],
    lastGood: [],
    crossEffects: [],
    memo: undefined,
    ...more,
  }
}

/** A loop with everything recorded in one list, in order. */
function rig(overrides: Partial<LoopOptions> = {}) {
  const source = new FakeSource()
  const events: string[] = []
  const states: LoopState[] = []
  const warnings: string[] = []
  let now = 1_000
  const stored: StoredState[] = []
  const store: StateStore = {
    load: () => Promise.resolve({ claims: [], lastGood: [], warnings: [] }),
    save(state) {
      events.push('save')
      stored.push(state)
      return Promise.resolve()
    },
  }
  const publisher: Publisher = {
    publish(snapshot, sequence) {
      events.push(`publish ${snapshot.version} ${sequence}`)
      return Promise.resolve([
        { pod: 'p', sequence, version: snapshot.version, endpointsRevision: snapshot.endpointsRevision, refused: [] },
      ])
    },
  }
  const loop = createLoop({
    source,
    publisher,
    store,
    settings: { digest: (text) => text, policies: [], allowEndpoints: [], ownAddresses: [] },
    hostTransferDelay: 0,
    clock: { now: () => now, monotonic: () => performance.now() },
    report(state) {
      events.push(`report ${state.sequence}`)
      states.push(state)
    },
    warn: (message) => warnings.push(message),
    compile: (resources) => {
      events.push(`compile ${resources.revision}`)
      return resultOf(`v${resources.revision}`)
    },
    ...overrides,
  })
  return { loop, source, events, states, warnings, stored, advance: (by: number) => (now += by) }
}

describe('the loop', () => {
  test('compiles, publishes and reports once at the start, in that order, and nothing before', async () => {
    const { loop, events, states } = rig()
    expect(loop.state()).toBeUndefined()
    await loop.start()
    expect(events).toEqual(['compile 0', 'publish v0 1', 'report 1'])
    expect(states[0]).toMatchObject({
      sequence: 1,
      cycles: 1,
      compileMs: expect.any(Number),
      activationMs: expect.any(Number),
    })
    expect(loop.state()).toBe(states[0])
    await loop.stop()
  })

  test('a change while idle is compiled before the call returns', async () => {
    const { loop, source, events } = rig()
    await loop.start()
    source.change()
    expect(events.at(-1)).toBe('compile 1')
    await vi.waitFor(() => expect(events.at(-1)).toBe('report 2'))
    await loop.stop()
  })

  test('changes while it is busy become one', async () => {
    const { loop, source, events } = rig({
      publisher: {
        async publish(snapshot, sequence) {
          await sleep(20)
          return [{ pod: 'p', sequence, version: snapshot.version, endpointsRevision: 'e', refused: [] }]
        },
      },
    })
    const started = loop.start()
    await sleep(5)
    for (let index = 0; index < 50; index++) source.change()
    await started
    await vi.waitFor(() => expect(loop.state()?.resources.revision).toBe('50'))
    expect(events.filter((event) => event.startsWith('compile'))).toEqual(['compile 0', 'compile 50'])
    await loop.stop()
  })

  test('the same version is not published again, a new endpointsRevision is', async () => {
    let endpointsRevision = 'e1'
    const { loop, source, states } = rig({
      compile: () => ({ ...resultOf('same'), snapshot: { ...resultOf('same').snapshot, endpointsRevision } }),
    })
    await loop.start()
    source.change()
    await vi.waitFor(() => expect(states).toHaveLength(2))
    expect(states[1]?.sequence).toBe(1)
    expect(states[1]?.acknowledgements).toHaveLength(1)
    endpointsRevision = 'e2'
    source.change()
    await vi.waitFor(() => expect(states).toHaveLength(3))
    expect(states[2]?.sequence).toBe(2)
    await loop.stop()
  })

  test('a compile that throws is fenced: without the memo first, then the last state stays', async () => {
    let broken: 'no' | 'memo' | 'always' = 'no'
    const { loop, source, warnings, states } = rig({
      compile: (resources, _settings, previous) => {
        if (broken === 'always' || (broken === 'memo' && previous !== undefined)) throw new Error('defect')
        return resultOf(`v${resources.revision}`)
      },
    })
    await loop.start()
    broken = 'memo'
    source.change()
    await vi.waitFor(() => expect(states).toHaveLength(2))
    expect(warnings).toHaveLength(1)
    broken = 'always'
    source.change()
    await vi.waitFor(() => expect(warnings.length).toBeGreaterThan(2))
    expect(loop.state()?.result.snapshot.version).toBe('v1')
    broken = 'no'
    source.change()
    await vi.waitFor(() => expect(loop.state()?.result.snapshot.version).toBe('v3'))
    await loop.stop()
  })

  test('a report or a store that fails does not stop publishing', async () => {
    const { loop, events, warnings } = rig({
      report() {
        throw new Error('terminal gone')
      },
      store: {
        load: () => Promise.resolve({ claims: [], lastGood: [], warnings: ['old'] }),
        save: () => Promise.reject(new Error('ENOSPC')),
      },
      compile: () => resultOf('v', { claims: [{ what: 'host', name: 'a', tenant: 't' }] }),
    })
    await loop.start()
    expect(events).toContain('publish v 1')
    expect(warnings).toEqual(['old', expect.stringContaining('could not be stored'), expect.stringContaining('report')])
    await loop.stop()
  })

  test('claims are stamped and stored before the snapshot is published', async () => {
    const { loop, events, stored } = rig({
      compile: () => resultOf('v', { claims: [{ what: 'host', name: 'a', tenant: 't' }] }),
    })
    await loop.start()
    expect(events).toEqual(['save', 'publish v 1', 'report 1'])
    expect(stored[0]?.claims).toEqual([{ what: 'host', name: 'a', tenant: 't', since: 1_000 }])
    await loop.stop()
  })

  test('a name that is let go is given on in the same cycle, where there is no delay', async () => {
    let asks: readonly string[] = ['first', 'second']
    const seen: (readonly Claim[])[] = []
    const { loop, source, states } = rig({
      compile: (resources) => {
        seen.push(resources.claims)
        return resultOf(`v${resources.revision}`, { claims: grant(asks, resources.claims) })
      },
    })
    await loop.start()
    expect(states[0]?.result.claims).toEqual([{ what: 'host', name: 'a', tenant: 'first' }])
    asks = ['second']
    source.change()
    await vi.waitFor(() => expect(states).toHaveLength(2))
    expect(states[1]?.result.claims).toEqual([{ what: 'host', name: 'a', tenant: 'second' }])
    expect(seen.at(-1)).toEqual([])
    await loop.stop()
  })

  test('with a delay the name waits, and is given on when the delay is over', async () => {
    let asks: readonly string[] = ['first', 'second']
    const { loop, source, states, advance } = rig({
      hostTransferDelay: 200,
      compile: (resources) => resultOf(`v${resources.revision}`, { claims: grant(asks, resources.claims) }),
    })
    await loop.start()
    asks = ['second']
    source.change()
    await vi.waitFor(() => expect(states).toHaveLength(2))
    expect(states[1]?.result.claims).toEqual([])
    advance(201)
    await vi.waitFor(() =>
      expect(states.at(-1)?.result.claims).toEqual([{ what: 'host', name: 'a', tenant: 'second' }]),
    )
    await loop.stop()
  })

  test('last good forms go out, are stored, and come in again', async () => {
    const entry: LastGood = { object: { kind: 'Route', namespace: 'a', name: 'r' }, generation: 1, body: { spec: {} } }
    const given: (readonly LastGood[])[] = []
    const { loop, source, stored, states } = rig({
      compile: (resources) => {
        given.push(resources.lastGood)
        return resultOf(`v${resources.revision}`, { lastGood: [entry] })
      },
    })
    await loop.start()
    source.change()
    await vi.waitFor(() => expect(states).toHaveLength(2))
    expect(stored).toHaveLength(1)
    expect(stored[0]?.lastGood).toEqual([entry])
    expect(given.at(-1)).toEqual([entry])
    await loop.stop()
  })

  test('an issue that begins by time alone is reported then', async () => {
    const { loop, states, advance } = rig({
      compile: () =>
        resultOf('v', {
          issues: [
            {
              object: { kind: 'Route', namespace: 'a', name: 'r' },
              generation: 1,
              tenant: 't',
              causes: [],
              condition: 'ResolvedRefs',
              reason: 'CertificateExpired',
              severity: 'degrades',
              message: 'ended',
              path: [],
              from: 1_030,
            },
          ],
        }),
    })
    await loop.start()
    expect(states).toHaveLength(1)
    advance(30)
    await vi.waitFor(() => expect(states).toHaveLength(2))
    await loop.stop()
  })

  test('a dataplane that does not answer is asked again, with a higher number', async () => {
    const sequences: number[] = []
    const { loop } = rig({
      publisher: {
        publish(_snapshot, sequence) {
          sequences.push(sequence)
          return sequences.length === 1 ? Promise.reject(new Error('defect')) : Promise.resolve([])
        },
      },
    })
    await loop.start()
    await vi.waitFor(() => expect(sequences.length).toBeGreaterThan(1), { timeout: 3_000 })
    expect(sequences).toEqual([1, 2])
    await loop.stop()
  })

  test('after stop nothing runs, and the source is stopped', async () => {
    const { loop, source, events } = rig()
    await loop.start()
    await loop.stop()
    const before = events.length
    source.change()
    await sleep(10)
    expect(events).toHaveLength(before)
    expect(source.stopped).toBe(true)
  })
})

/** Gives `a` to whoever holds it, else to the first who asks; a holder that asks no more keeps others out. */
function grant(asks: readonly string[], claims: readonly Claim[]): readonly WantedClaim[] {
  const holder = claims[0]?.tenant ?? asks[0]
  return holder !== undefined && asks.includes(holder) ? [{ what: 'host', name: 'a', tenant: holder }] : []
}

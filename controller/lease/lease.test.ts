// The lease against an API server in memory: taking over, stepping down, waking up, letting go.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ObjectServer } from '../../test/support/object-server.ts'
import { createLease, type Lease, type LeaseOptions } from './lease.ts'

const PATH = '/apis/coordination.k8s.io/v1/namespaces/atrium/leases/atrium-leader'
const TIMES = { durationMs: 15_000, renewMs: 10_000, retryMs: 2_000 }

describe('a lease', () => {
  let server: ObjectServer
  let leases: Lease[]
  let changes: (readonly [string, number | undefined])[]
  let warnings: string[]

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] })
    server = new ObjectServer()
    leases = []
    changes = []
    warnings = []
  })
  afterEach(async () => {
    vi.useRealTimers()
    server.interfere = () => undefined
    await Promise.all(leases.map((lease) => lease.stop()))
  })

  function candidate(name: string, more: Partial<LeaseOptions> = {}): Lease {
    const lease = createLease({
      api: server,
      namespace: 'atrium',
      name: 'atrium-leader',
      candidate: name,
      labels: {},
      times: TIMES,
      random: () => 0.5,
      onChange: (fence) => changes.push([name, fence]),
      warn: (message) => warnings.push(message),
      ...more,
    })
    leases.push(lease)
    lease.start()
    return lease
  }

  test('the first leads, the second waits, and takes over with a higher fence when the first is gone', async () => {
    const a = candidate('a')
    await vi.advanceTimersByTimeAsync(10)
    const b = candidate('b')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(changes).toEqual([['a', 1]])
    expect([a.fence(), b.fence(), b.holder()]).toEqual([1, undefined, 'a'])
    server.interfere = async (call) => {
      if (String(JSON.stringify(call.body)).includes('"a_')) throw new Error('cut off')
      return undefined
    }
    await vi.advanceTimersByTimeAsync(10_000)
    expect(a.fence()).toBeUndefined()
    await vi.advanceTimersByTimeAsync(12_000)
    expect(b.fence()).toBe(2)
    expect(changes).toEqual([
      ['a', 1],
      ['a', undefined],
      ['b', 2],
    ])
    expect(warnings).toEqual(['The leader lease cannot be written (Error: cut off); serving is not affected.'])
  })

  test('a process that was paused learns at its first question that its time is over', async () => {
    let offset = 0
    const a = candidate('a', { now: () => performance.now() + offset })
    await vi.advanceTimersByTimeAsync(10)
    expect(a.fence()).toBe(1)
    // No timer ran and no answer came: only the clock went on.
    offset = 60_000
    expect(a.fence()).toBeUndefined()
  })

  test('a renewal that is stored too late goes on with its term, and the gap is told', async () => {
    let offset = 0
    const a = candidate('a', { now: () => performance.now() + offset })
    await vi.advanceTimersByTimeAsync(10)
    server.interfere = ({ method }) => {
      // No timer runs meanwhile: the process was stopped.
      if (method === 'PUT') offset = 8_500
      return undefined
    }
    await vi.advanceTimersByTimeAsync(2_500)
    expect(a.fence()).toBe(1)
    expect(changes).toEqual([
      ['a', 1],
      ['a', undefined],
      ['a', 1],
    ])
  })

  test('a lease that ended long ago by the clock of the API server is free at once, one that ended just now is not', async () => {
    const a = candidate('a')
    await vi.advanceTimersByTimeAsync(10)
    const renewed = (ago: number) => {
      const there = server.objects.get(PATH)
      const spec = { ...Object(there?.['spec']), renewTime: new Date(Date.now() - ago).toISOString() }
      server.put(PATH, { ...there, spec, metadata: { ...there?.metadata } })
    }
    server.interfere = async (call) => {
      if (String(JSON.stringify(call.body)).includes('"a_')) throw new Error('cut off')
      return undefined
    }
    renewed(70_000)
    const b = candidate('b')
    await vi.advanceTimersByTimeAsync(8_000)
    // Fifteen seconds and a minute: clocks may differ.
    expect(b.fence()).toBeUndefined()
    renewed(80_000)
    await vi.advanceTimersByTimeAsync(3_000)
    expect(b.fence()).toBe(2)
    await vi.advanceTimersByTimeAsync(8_000)
    expect(a.fence()).toBeUndefined()
  })

  test('a lease that is let go is taken at the next try', async () => {
    const a = candidate('a')
    await vi.advanceTimersByTimeAsync(10)
    const b = candidate('b')
    await vi.advanceTimersByTimeAsync(5_000)
    const stopping = a.stop()
    expect(a.fence()).toBeUndefined()
    await vi.advanceTimersByTimeAsync(2_500)
    await stopping
    expect(b.fence()).toBe(2)
    expect(changes.slice(0, 2)).toEqual([
      ['a', 1],
      ['a', undefined],
    ])
  })

  test('stopping takes its time only, when the API server hangs', async () => {
    const a = candidate('a')
    await vi.advanceTimersByTimeAsync(10)
    server.interfere = () => new Promise(() => undefined)
    let stopped = false
    void a.stop().then(() => {
      stopped = true
    })
    await vi.advanceTimersByTimeAsync(4_100)
    expect(stopped).toBe(true)
  })

  test('a lease that was deleted goes on above the fence that was', async () => {
    const a = candidate('a')
    await vi.advanceTimersByTimeAsync(10)
    a.heardOf(7)
    await vi.advanceTimersByTimeAsync(2_500)
    expect(a.fence()).toBe(8)
    server.objects.delete(PATH)
    await vi.advanceTimersByTimeAsync(6_000)
    expect(a.fence()).toBe(9)
  })

  test('refusals do not end the candidacy', async () => {
    server.interfere = () => ({ status: 403, body: undefined, retryAfterMs: undefined })
    const a = candidate('a')
    await vi.advanceTimersByTimeAsync(30_000)
    expect(a.fence()).toBeUndefined()
    expect(warnings).toHaveLength(1)
    server.interfere = () => undefined
    await vi.advanceTimersByTimeAsync(3_000)
    expect(a.fence()).toBe(1)
  })

  test('times that make no sense are refused', () => {
    expect(() =>
      createLease({
        api: server,
        namespace: 'a',
        name: 'b',
        candidate: 'c',
        labels: {},
        onChange: () => undefined,
        warn: () => undefined,
        times: { durationMs: 1, renewMs: 2, retryMs: 1 },
      }),
    ).toThrow(RangeError)
  })
})

test('many candidates at once: one leads', async () => {
  const server = new ObjectServer()
  server.interfere = async () => {
    await sleep(Math.random() * 5)
    return undefined
  }
  const leases = Array.from({ length: 5 }, (_, index) =>
    createLease({
      api: server,
      namespace: 'atrium',
      name: 'atrium-leader',
      candidate: `c${index}`,
      labels: {},
      times: { durationMs: 15_000, renewMs: 10_000, retryMs: 20 },
      onChange: () => undefined,
      warn: () => undefined,
    }),
  )
  for (const lease of leases) lease.start()
  await sleep(150)
  expect(leases.filter((lease) => lease.fence() !== undefined)).toHaveLength(1)
  await Promise.all(leases.map((lease) => lease.stop()))
})

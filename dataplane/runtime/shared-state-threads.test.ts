// Shared state under real threads: exact whatever their number, and whole again after one was terminated.
import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, it } from 'vitest'
import { createAllocator, grantAll, poolOf, shardOf } from '../../test/support/shared-state.ts'
import type { Needs } from '../../test/contracts/pod-state.ts'
import type { Job, ThreadData, ThreadReport } from '../../test/support/state-thread.ts'
import { createPodClock, SharedState } from './shared-state.ts'
import { LIMITER_OVERFLOWS } from './shared-state-layout.ts'
import { giveBack, reconcile, takeSample } from './shared-state-repair.ts'

const NEEDS: Needs = {
  tenant: 'acme',
  limiters: [{ tenant: 'acme', origin: ['Policy', 'web', 'a'] }],
  routes: [],
  pool: { tenant: 'acme', namespace: 'web', service: 'shop', port: 80, tls: '' },
  endpoints: [{ address: '10.0.0.1', port: 80 }],
}

const threads: Worker[] = []
afterEach(async () => {
  await Promise.all(threads.splice(0).map((thread) => thread.terminate()))
})

async function setUp(jobs: readonly Job[], maxKeys = 65_536) {
  const epoch = process.hrtime.bigint()
  const now = createPodClock(epoch)
  const allocator = createAllocator({ workers: jobs.length + 1, now, maxKeys, epoch })
  const view = new SharedState(allocator.root, jobs.length)
  grantAll(allocator, [view], NEEDS)
  const start = new Int32Array(new SharedArrayBuffer(4))
  const reports: Promise<ThreadReport>[] = []
  const ready: Promise<void>[] = []
  const workers = jobs.map((job, column) => {
    const pool = poolOf(NEEDS)
    const thread = new Worker(new URL('../../test/support/state-thread.ts', import.meta.url), {
      workerData: {
        root: allocator.root,
        column,
        grant: allocator.tenantGrant(shardOf('acme', [])),
        routes: [],
        poolGrant: allocator.poolGrant(pool),
        pool,
        start,
        job,
      } satisfies ThreadData,
    })
    threads.push(thread)
    let tellReady: () => void = () => {}
    ready.push(new Promise((resolve) => (tellReady = resolve)))
    reports.push(
      new Promise((resolve, reject) => {
        thread.on('error', reject)
        thread.on('message', (message: 'ready' | ThreadReport) => {
          if (message === 'ready') tellReady()
          else resolve(message)
        })
      }),
    )
    return thread
  })
  await Promise.all(ready)
  const go = () => {
    Atomics.store(start, 0, 1)
    Atomics.notify(start, 0)
  }
  return { allocator, view, workers, reports, go }
}

function allowedBy(reports: readonly ThreadReport[]): number {
  return reports.reduce((sum, report) => sum + report.allowed, 0)
}

describe('limiters under threads', () => {
  for (const count of [1, 2, 8]) {
    it(`admits the rate and no more with ${count} threads`, async () => {
      const rate = { count: 5_000, seconds: 1, burst: 50 }
      const jobs = Array.from({ length: count }, (): Job => ({ type: 'rate', milliseconds: 700, keys: 0, rate }))
      const { reports, go } = await setUp(jobs)
      go()
      const done = await Promise.all(reports)
      const from = Math.min(...done.map((report) => report.from))
      const to = Math.max(...done.map((report) => report.to))
      // The clock bounds it from both sides: nothing here depends on how fast the machine is.
      expect(allowedBy(done)).toBeLessThanOrEqual(rate.burst + ((to - from) / 1000) * rate.count + 1)
      const common = Math.min(...done.map((report) => report.to)) - Math.max(...done.map((report) => report.from))
      expect(allowedBy(done)).toBeGreaterThanOrEqual(Math.min(rate.burst, (common / 1000) * rate.count))
    })
  }

  it('puts a key that 8 threads insert at once into one bucket, again and again', async () => {
    const keys = Array.from({ length: 3_000 }, (_, index) => `key ${index}`)
    const rate = { count: 1, seconds: 86_400, burst: 1 }
    const jobs = Array.from({ length: 8 }, (): Job => ({ type: 'keys', keys, rate }))
    const { reports, go, allocator } = await setUp(jobs)
    go()
    const allowed = allowedBy(await Promise.all(reports))
    const tenant = allocator.tenants.get('acme')
    const [limiter] = tenant?.limiters.values() ?? []
    expect(limiter && tenant?.memory.table(limiter.slot)?.live(0n)).toBe(keys.length)
    const overflows =
      limiter && tenant
        ? Atomics.load(tenant.memory.views(limiter.slot).words, limiter.slot.at * 2 + LIMITER_OVERFLOWS)
        : 0
    // A thread that the machine put to sleep in the middle of an insert sends the others to the shared bucket (of one).
    expect(allowed).toBe(keys.length + (overflows > 0 ? 1 : 0))
  })

  it('stays exact while expired entries of a full table are reused', async () => {
    // 64 places, 200 keys, each bucket full again after 2 ms: inserts and evictions all the time.
    const rate = { count: 500, seconds: 1, burst: 1 }
    const jobs = Array.from({ length: 4 }, (): Job => ({ type: 'rate', milliseconds: 600, keys: 200, rate }))
    const { reports, go } = await setUp(jobs, 64)
    go()
    const done = await Promise.all(reports)
    const from = Math.min(...done.map((report) => report.from))
    const to = Math.max(...done.map((report) => report.to))
    // 64 buckets and the overflow cell can admit no more than this between them, whoever holds them.
    expect(allowedBy(done)).toBeLessThanOrEqual((200 + 1) * (rate.burst + ((to - from) / 1000) * rate.count + 1))
    expect(allowedBy(done)).toBeGreaterThan(0)
  })
})

describe('places under threads', () => {
  it('never exceeds the bound with 8 threads, and ends at zero', async () => {
    const jobs = Array.from({ length: 8 }, (): Job => ({ type: 'places', rounds: 30_000, bound: 3 }))
    const { reports, go, view, allocator } = await setUp(jobs)
    go()
    const done = await Promise.all(reports)
    expect(Math.max(...done.map((report) => report.highest))).toBeLessThanOrEqual(3)
    expect(view.tenant('acme').concurrency.value()).toBe(0)
    expect(view.tenant('acme').endpoint(NEEDS.pool, '10.0.0.1', 80).inFlight()).toBe(0)
    expect(takeSample(allocator).counts.size).toBe(0)
  })

  it('gets back what terminated threads held, at any point, also between two instructions', async () => {
    for (let round = 0; round < 8; round++) {
      const jobs = Array.from({ length: 3 }, (): Job => ({ type: 'places', rounds: 1e9, bound: 2 }))
      const { workers, go, view, allocator } = await setUp(jobs)
      go()
      await new Promise((resolve) => setTimeout(resolve, 5 + round * 3))
      await Promise.all(workers.map((worker) => worker.terminate()))
      for (let column = 0; column < jobs.length; column++) giveBack(allocator, column)
      const { concurrency } = view.tenant('acme')
      // Never too low: that would let a bound be exceeded.
      expect(concurrency.value()).toBeGreaterThanOrEqual(0)
      reconcile(allocator, takeSample(allocator))
      expect(concurrency.value()).toBe(0)
      expect(view.tenant('acme').endpoint(NEEDS.pool, '10.0.0.1', 80).inFlight()).toBe(0)
    }
  })
})

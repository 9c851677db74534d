// test/long/limits.ts at a thousandth of its size: nothing is left behind, and no bound is passed.
import { afterEach, describe, expect, it } from 'vitest'
import {
  runConcurrency,
  runCuts,
  runRate,
  startCountingBackend,
  untilNothingIsLeft,
} from '../test/support/limit-runs.ts'
import { smallSnapshot } from '../test/support/snapshots.ts'
import { type Dataplane, startDataplane } from './main.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean()
})

async function setUp(
  workers: number,
): Promise<{ plane: Dataplane; backend: Awaited<ReturnType<typeof startCountingBackend>> }> {
  const backend = await startCountingBackend()
  cleanups.push(() => backend.close())
  const plane = await startDataplane({
    workers,
    host: '127.0.0.1',
    port: 0,
    tlsPort: null,
    adminPort: null,
    accessLog: 'off',
    workerHeap: 128,
    stallAfter: null,
  })
  cleanups.push(() => plane.stop())
  const ports = [backend.port]
  await plane.activate(
    smallSnapshot([
      { tenant: 'rate', host: 'rate.test', ports, limits: { requests: { count: 60, seconds: 1, burst: 20 } } },
      { tenant: 'bound', host: 'bound.test', ports, limits: { concurrency: 4 } },
      { tenant: 'cuts', host: 'cuts.test', ports, limits: { concurrency: 50, connections: 200 } },
    ]),
    1,
  )
  return { plane, backend }
}

describe('limits over real sockets', () => {
  for (const workers of [1, 2]) {
    it(`hold with ${workers} workers, and nothing is left of requests that were cut off`, async () => {
      const { plane, backend } = await setUp(workers)
      const { http } = plane.ports
      const statuses = await runConcurrency(http, 'bound.test', 0.4, 20)
      expect([...statuses.keys()].filter((status) => status !== 200 && status !== 429)).toEqual([])
      expect(backend.highest()).toBeLessThanOrEqual(4)
      const rate = await runRate(http, 'rate.test', { count: 60 }, 1, 8)
      // Bounded by the clock from above; from below only by what a busy machine managed to offer.
      expect(rate.admitted).toBeLessThanOrEqual(20 + 60 * rate.seconds + 1)
      expect(rate.admitted).toBeGreaterThanOrEqual(Math.min(20, rate.offered))
      await runCuts(http, 'cuts.test', 100, 20)
      expect(await untilNothingIsLeft(plane, 10_000)).toEqual([])
    })
  }
})

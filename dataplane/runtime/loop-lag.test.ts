// That a stall is measured whole, and once.
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { LoopLag } from './loop-lag.ts'

test('tells the longest turn since it was asked last', async () => {
  const lag = new LoopLag()
  lag.start()
  try {
    await sleep(5)
    lag.take()
    setTimeout(() => {
      const end = performance.now() + 60
      while (performance.now() < end);
    }, 1)
    await sleep(100)
    expect(lag.take()).toBeGreaterThanOrEqual(0.059)
    expect(lag.take()).toBe(0)
  } finally {
    lag.stop()
  }
})

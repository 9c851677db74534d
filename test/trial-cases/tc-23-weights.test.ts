// TC-23: a share is weight / sum; 0 means none; a share that leads nowhere is answered 503 and given to nobody.
import { expect, it } from 'vitest'
import { startBackend } from '../support/backend.ts'
import { RawClient } from '../support/raw-client.ts'
import { createTrial } from '../support/trial.ts'
import { route, service, tenant, world } from '../support/world.ts'

const trial = createTrial()

async function setUp() {
  const old = await trial.keep(startBackend('old'))
  const fresh = await trial.keep(startBackend('new'))
  const withWeights = (...refs: { name: string; weight: number }[]) =>
    world(
      tenant(['cn.test']),
      service('old', [old.port]),
      service('new', [fresh.port]),
      service('empty', []),
      route('r1', ['cn.test'], [{ backendRefs: refs.map((ref) => ({ ...ref, port: 80 })) }]),
    )
  const weights = (a: number, b: number) => withWeights({ name: 'old', weight: a }, { name: 'new', weight: b })
  return { old, fresh, weights, withWeights }
}

async function askMany(port: number, count: number): Promise<Record<number, number>> {
  const statuses: Record<number, number> = {}
  const client = await RawClient.connect(port)
  for (let at = 0; at < count; at += 1) {
    const { status } = await client.request('GET / HTTP/1.1\r\nHost: cn.test\r\n\r\n')
    statuses[status] = (statuses[status] ?? 0) + 1
  }
  client.destroy()
  return statuses
}

it('gives one in a hundred to the canary', async () => {
  const { fresh, weights } = await setUp()
  const gateway = await trial.gateway(weights(99, 1))
  expect(await askMany(gateway.port, 10_000)).toEqual({ 200: 10_000 })
  expect(fresh.seen.length).toBeGreaterThanOrEqual(60)
  expect(fresh.seen.length).toBeLessThanOrEqual(140)
})

it('gives nothing to a weight of 0', async () => {
  const { old, fresh, weights, withWeights } = await setUp()
  const gateway = await trial.gateway(weights(99, 0))
  expect(await askMany(gateway.port, 500)).toEqual({ 200: 500 })
  expect(fresh.seen.length).toBe(0)
  const before = old.seen.length
  for (const yaml of [weights(0, 0), withWeights({ name: 'old', weight: 0 })]) {
    await gateway.apply(yaml)
    expect(await askMany(gateway.port, 50)).toEqual({ 503: 50 })
  }
  expect([old.seen.length, fresh.seen.length]).toEqual([before, 0])
})

it('changes under load without an error', async () => {
  const { old, fresh, weights } = await setUp()
  const gateway = await trial.gateway(weights(99, 1))
  let asking = true
  const load = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (asking) expect(await askMany(gateway.port, 50)).toEqual({ 200: 50 })
    }),
  )
  for (const [a, b] of [
    [50, 50],
    [0, 100],
  ] as const) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    await gateway.apply(weights(a, b))
  }
  await new Promise((resolve) => setTimeout(resolve, 100))
  const [oldBefore, newBefore] = [old.seen.length, fresh.seen.length]
  await new Promise((resolve) => setTimeout(resolve, 100))
  asking = false
  await load
  expect(old.seen.length).toBe(oldBefore)
  expect(fresh.seen.length).toBeGreaterThan(newBefore)
})

it('answers 503 for the share of a backend without endpoints', async () => {
  const { old, withWeights } = await setUp()
  const gateway = await trial.gateway(withWeights({ name: 'old', weight: 1 }, { name: 'empty', weight: 1 }))
  const statuses = await askMany(gateway.port, 200)
  expect(statuses[503]).toBeGreaterThan(60)
  expect(statuses[200]).toBe(old.seen.length)
  expect((statuses[503] ?? 0) + (statuses[200] ?? 0)).toBe(200)
})

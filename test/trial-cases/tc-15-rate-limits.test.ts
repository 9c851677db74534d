// TC-15: N per minute per client lets N pass at once, then says how long to wait. The burst is one window's worth.
import { expect, it } from 'vitest'
import { startBackend } from '../support/backend.ts'
import { field } from '../support/client-call.ts'
import { ask, createTrial } from '../support/trial.ts'
import { policy, route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()
const HOP = ['127.0.0.0/8']

async function setUp(key: unknown, rate = '6/m') {
  const a = await trial.keep(startBackend('A'))
  const b = await trial.keep(startBackend('B'))
  const limit = { rateLimits: [{ name: 'per-client', rate, burst: 6, key: [key] }] }
  const gateway = await trial.gateway(
    world(
      tenant(['rl.test']),
      service('a', [a.port]),
      service('b', [b.port]),
      route('r1', ['rl.test'], [to('a', '/a')]),
      route('r2', ['rl.test'], [to('b', '/b')]),
      policy('p1', ['r1'], limit),
      policy('p2', ['r2'], limit),
    ),
    { trustForwarded: HOP },
  )
  const six = (target: string, ...fields: string[]) =>
    Promise.all(Array.from({ length: 6 }, () => ask(gateway.port, 'rl.test', target, { fields })))
  return { a, b, gateway, six }
}

it('lets six pass, refuses the seventh with a useful wait, and keeps budgets apart', async () => {
  const { a, gateway, six } = await setUp({ clientIP: {} })
  expect((await six('/a')).map(({ status }) => status)).toEqual(Array(6).fill(200))
  const refused = await ask(gateway.port, 'rl.test', '/a')
  expect([refused.status, field(refused.fields, 'x-atrium-error')]).toEqual([429, 'RequestRateExceeded'])
  expect(field(refused.fields, 'retry-after')).toMatch(/^[1-9][0-9]*$/)
  expect(a.seen.length).toBe(6)
  // Another rule has a budget of its own.
  expect((await six('/b')).map(({ status }) => status)).toEqual(Array(6).fill(200))
  // Another client behind the same trusted hop has its own six; the same client in another spelling has not.
  expect((await six('/a', 'X-Forwarded-For', '203.0.113.7')).map(({ status }) => status)).toEqual(Array(6).fill(200))
  for (const spelling of ['203.0.113.7', '::ffff:203.0.113.7', '6.6.6.6, 203.0.113.7']) {
    expect((await ask(gateway.port, 'rl.test', '/a', { fields: ['X-Forwarded-For', spelling] })).status).toBe(429)
  }
})

it('serves again after the wait that it named', async () => {
  const { gateway, six } = await setUp({ clientIP: {} }, '2/s')
  await six('/a')
  const refused = await ask(gateway.port, 'rl.test', '/a')
  expect(refused.status).toBe(429)
  await new Promise((resolve) => setTimeout(resolve, Number(field(refused.fields, 'retry-after')) * 1_000))
  expect((await ask(gateway.port, 'rl.test', '/a')).status).toBe(200)
})

it('counts by a header where the key is one', async () => {
  const { gateway, six } = await setUp({ header: 'x-key' })
  expect((await six('/a', 'X-Key', 'one')).map(({ status }) => status)).toEqual(Array(6).fill(200))
  expect((await six('/a', 'X-Key', 'two')).map(({ status }) => status)).toEqual(Array(6).fill(200))
  expect((await ask(gateway.port, 'rl.test', '/a', { fields: ['X-Key', 'one'] })).status).toBe(429)
})

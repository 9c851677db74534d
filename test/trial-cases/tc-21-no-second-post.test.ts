// TC-21: a payment-like POST reaches a backend at most once; a request that was never sent may go elsewhere.
import { expect, it } from 'vitest'
import { closedPort, startBackend } from '../support/backend.ts'
import { ask, createTrial, pause } from '../support/trial.ts'
import { route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()
const RULE = { balance: { algorithm: 'RoundRobin' }, healthCheck: { passive: { consecutiveFailures: 1000 } } }

async function setUp(ports: readonly number[], more: Record<string, unknown> = {}) {
  return trial.gateway(
    world(
      tenant(['pay.test']),
      service('pay', ports),
      route('r1', ['pay.test'], [to('pay', '/', { ...RULE, ...more })]),
    ),
  )
}

it('sends each POST once, whatever becomes of it', async () => {
  let turn = 0
  const e1 = await trial.keep(
    startBackend('e1', (req, res) => {
      req.resume()
      req.on('end', () => {
        turn += 1
        if (turn % 2 === 0) res.writeHead(503).end()
        else req.socket.destroy()
      })
    }),
  )
  const e2 = await trial.keep(startBackend('e2'))
  const gateway = await setUp([e1.port, e2.port])
  const statuses: number[] = []
  for (let at = 0; at < 50; at += 1) {
    statuses.push((await ask(gateway.port, 'pay.test', '/', { method: 'POST', body: 'pay 10' })).status)
  }
  expect(e1.seen.length + e2.seen.length).toBe(50)
  expect(statuses.filter((status) => status === 200).length).toBe(e2.seen.length)
  expect(statuses.filter((status) => status === 502 || status === 503).length).toBe(e1.seen.length)
  expect(e1.seen.length).toBeGreaterThan(0)

  const before = e1.seen.length + e2.seen.length
  for (let at = 0; at < 50; at += 1) {
    const hits = e1.seen.length + e2.seen.length
    await ask(gateway.port, 'pay.test', '/')
    expect(e1.seen.length + e2.seen.length - hits).toBeLessThanOrEqual(2)
  }
  expect(e1.seen.length + e2.seen.length - before).toBeLessThanOrEqual(100)
})

it('takes every POST elsewhere where the first refuses connections', async () => {
  const e2 = await trial.keep(startBackend('e2'))
  const gateway = await setUp([await closedPort(), e2.port])
  for (let at = 0; at < 50; at += 1) {
    const answer = await ask(gateway.port, 'pay.test', '/', { method: 'POST', body: 'pay 10' })
    expect([at, answer.status, answer.text]).toEqual([at, 200, 'e2'])
  }
  expect(e2.seen.length).toBe(50)
})

it('gives one 504 and one hit where the backend is too slow', async () => {
  const e1 = await trial.keep(startBackend('e1', (req) => void req.resume()))
  const gateway = await setUp([e1.port], { timeouts: { backendRequest: '200ms' } })
  for (const method of ['POST', 'GET']) {
    const answer = await ask(gateway.port, 'pay.test', '/', { method, ...(method === 'POST' ? { body: 'x' } : {}) })
    expect(answer.status).toBe(504)
  }
  await pause(300)
  expect(e1.seen.length).toBe(2)
})

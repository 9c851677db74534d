// Both algorithms against the suite, and what each promises beyond it.
import { expect, it } from 'vitest'
import { describeBalancer } from '../../test/contracts/balancer.ts'
import { createEndpoints } from '../../test/support/endpoints.ts'
import type { EndpointHandle } from '../build/program.ts'
import { createBalancer } from './balance.ts'

describeBalancer('LeastConnections', (start) => createBalancer('LeastConnections', start))
describeBalancer('RoundRobin', (start) => createBalancer('RoundRobin', start))

it('LeastConnections follows the live counts, whoever made them', () => {
  const ready = createEndpoints(3)
  const [first, second, third] = ready as [EndpointHandle, EndpointHandle, EndpointHandle]
  const balancer = createBalancer('LeastConnections', 0)
  first.state.begin()
  first.state.begin()
  second.state.begin()
  third.state.begin()
  third.state.begin()
  for (let turn = 0; turn < 5; turn += 1) expect(balancer.pick({ ready, draining: [] }, [], 0)).toBe(second)
  first.state.end()
  const picked = new Set([1, 2, 3, 4].map(() => balancer.pick({ ready, draining: [] }, [], 0)))
  expect(picked).toEqual(new Set([first, second]))
})

it('RoundRobin goes on after an endpoint that left', () => {
  const all = createEndpoints(5)
  const balancer = createBalancer('RoundRobin', 0)
  const pick = (ready: EndpointHandle[]) => balancer.pick({ ready, draining: [] }, [], 0)
  expect([pick(all), pick(all)]).toEqual([all[0], all[1]])
  const without = all.filter((endpoint) => endpoint !== all[1])
  expect([pick(without), pick(without), pick(all), pick(all), pick(all)]).toEqual([
    all[2],
    all[3],
    all[4],
    all[0],
    all[1],
  ])
})

// Passive ejection: thresholds, the bound on how many may be out, half-open return.
import { describe, expect, it } from 'vitest'
import { createEndpoints } from '../../test/support/endpoints.ts'
import type { EndpointHandle } from '../build/program.ts'
import { ejectionBound, isIn, recordFailure, recordSuccess } from './health.ts'

const SETTINGS = { consecutiveFailures: 3, ejectFor: 1000, maxEjectedPercent: 50 }

describe('passive health', () => {
  it('rounds the bound down, but keeps one out possible and one in certain', () => {
    expect([1, 2, 3, 4, 5, 10].map((total) => ejectionBound(total, 50))).toEqual([0, 1, 1, 2, 2, 5])
    expect([1, 2, 3].map((total) => ejectionBound(total, 10))).toEqual([0, 1, 1])
    expect([1, 2, 3].map((total) => ejectionBound(total, 100))).toEqual([0, 1, 2])
    expect([1, 2, 3].map((total) => ejectionBound(total, 0))).toEqual([0, 0, 0])
  })

  it('ejects after consecutive failures only', () => {
    const peers = createEndpoints(2)
    const { state } = peers[0] as EndpointHandle
    recordFailure(state, peers, SETTINGS, 10)
    recordFailure(state, peers, SETTINGS, 10)
    recordSuccess(state, 10)
    recordFailure(state, peers, SETTINGS, 10)
    recordFailure(state, peers, SETTINGS, 10)
    expect(isIn(state, 10)).toBe(true)
    recordFailure(state, peers, SETTINGS, 10)
    expect(isIn(state, 10)).toBe(false)
    expect(state.ejectedUntil()).toBe(1010)
  })

  it('never takes the last one, nor more than the share', () => {
    const peers = createEndpoints(4)
    for (const { state } of peers)
      for (let failure = 0; failure < 9; failure += 1) recordFailure(state, peers, SETTINGS, 10)
    expect(peers.filter(({ state }) => !isIn(state, 10))).toHaveLength(2)
    const [single] = createEndpoints(1) as [EndpointHandle]
    for (let failure = 0; failure < 9; failure += 1) recordFailure(single.state, [single], SETTINGS, 10)
    expect(isIn(single.state, 10)).toBe(true)
  })

  it('lets one request through when the time is over; the first failure closes again, a success opens', () => {
    const peers = createEndpoints(2)
    const { state } = peers[0] as EndpointHandle
    for (let failure = 0; failure < 3; failure += 1) recordFailure(state, peers, SETTINGS, 0)
    expect(isIn(state, 999)).toBe(false)
    expect(isIn(state, 1000)).toBe(true)
    state.begin()
    expect(isIn(state, 1000)).toBe(false)
    state.end()
    recordFailure(state, peers, SETTINGS, 1001)
    expect(isIn(state, 2000)).toBe(false)
    recordSuccess(state, 2001)
    state.begin()
    expect(isIn(state, 2001)).toBe(true)
    recordFailure(state, peers, SETTINGS, 2002)
    expect(isIn(state, 2002)).toBe(true)
  })

  it('does not come back early because an older request ended well', () => {
    const peers = createEndpoints(2)
    const { state } = peers[0] as EndpointHandle
    for (let failure = 0; failure < 3; failure += 1) recordFailure(state, peers, SETTINGS, 0)
    recordSuccess(state, 500)
    expect(isIn(state, 500)).toBe(false)
  })
})

// Explain says what the dataplane does: the same route, status, error, location, backends, target and host, for random
// requests against random route sets. test/long/explain-agrees.ts asks ten times as many.
import { expect, test } from 'vitest'
import { compareInWorld, type Tally } from './support/explain-agreement.ts'

test('explain and the exchange agree', async () => {
  const tally: Tally = new Map()
  for (let seed = 1; seed <= 50; seed += 1) await compareInWorld(seed, 20, tally)
  // A comparison that never saw an ending says nothing about it.
  expect([...tally.keys()].sort()).toEqual(
    expect.arrayContaining([
      'Answered NoHealthyEndpoint',
      'Answered PolicyNotReady',
      'Answered TenantSuspended',
      'Proxied',
      'Redirected 308',
      'Refused AddressDenied',
      'Refused BadRequest',
      'Refused MethodNotAllowed',
      'Refused MisdirectedRequest',
      'Refused NoHost',
      'Refused NoRoute',
    ]),
  )
})

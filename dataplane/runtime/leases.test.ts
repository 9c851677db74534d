import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { RouteId } from '../../model/snapshot.ts'
import { type Lease, LeasePlace, LeaseRegistry } from './leases.ts'

class TestLease extends LeasePlace implements Lease {
  readonly leaseHost = 'shop.acme.test'
  readonly route: RouteId = { tenant: '', namespace: '', route: '', rule: 0, ruleName: '' }
  readonly tenant: string
  readonly startedAt: number
  settled = false
  ended: GatewayErrorCode[] = []

  constructor(tenant: string, startedAt: number) {
    super()
    this.tenant = tenant
    this.startedAt = startedAt
  }

  settleIn(): void {
    this.settled = true
  }

  endLease(reason: GatewayErrorCode): void {
    this.ended.push(reason)
  }
}

afterEach(() => vi.useRealTimers())

describe('leases', () => {
  it('holds exactly what is in flight, whatever the order in which it ends', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 1_000 }), { maxLength: 200 }), (draws) => {
        const registry = new LeaseRegistry(() => 0)
        const young: TestLease[] = []
        const long: TestLease[] = []
        for (const draw of draws) {
          const all = [...young, ...long]
          const any = all[draw % Math.max(1, all.length)]
          if (draw % 3 === 0 || any === undefined) {
            const lease = new TestLease(draw % 2 === 0 ? 'acme' : 'globex', 0)
            registry.open(lease)
            young.push(lease)
          } else if (draw % 3 === 1) {
            registry.close(any)
            // What has ended may be closed again, and points at nobody who is still there.
            registry.close(any)
            expect([any.list, any.older, any.younger]).toEqual([undefined, undefined, undefined])
            for (const list of [young, long]) if (list.includes(any)) list.splice(list.indexOf(any), 1)
          } else {
            registry.lengthen(any)
            expect(any.settled).toBe(true)
            if (young.includes(any)) long.push(...young.splice(young.indexOf(any), 1))
          }
          expect([registry.size, registry.long]).toEqual([young.length + long.length, long.length])
        }
        registry.endEvery()
        expect([...young, ...long].every(({ ended }) => ended.length === 1)).toBe(true)
        registry.stop()
      }),
    )
  })

  it('makes those long that are old enough, oldest first, and gives the others of a tenant 20 s', () => {
    vi.useFakeTimers()
    let now = 0
    const registry = new LeaseRegistry(() => now)
    const [first, second, third] = [new TestLease('acme', 0), new TestLease('acme', 5_000), new TestLease('globex', 0)]
    for (const lease of [first, third, second]) registry.open(lease)
    now = 11_000
    vi.advanceTimersByTime(1_000)
    expect([first.settled, third.settled, second.settled]).toEqual([true, true, false])
    expect(registry.end('acme', () => true, 'NoHost')).toBe(1)
    expect([first.ended, second.ended, third.ended]).toEqual([['NoHost'], [], []])
    vi.advanceTimersByTime(20_000)
    expect([first.ended, second.ended, third.ended]).toEqual([['NoHost'], ['NoHost'], []])
    registry.stop()
  })
})

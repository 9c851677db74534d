// What every PodState must do, whatever memory it counts in: limits, counts, endpoints, metrics handles. Run by
// dataplane/runtime/local-state.test.ts and shared-state.test.ts with a clock that the suite moves.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LimiterId } from '../../model/filter.ts'
import type { PoolId, RouteId } from '../../model/snapshot.ts'
import type { PodState } from '../../dataplane/runtime/pod-state.ts'

/** What a tenant of the suite uses. */
export interface Needs {
  readonly tenant: string
  readonly limiters: readonly LimiterId[]
  readonly routes: readonly RouteId[]
  readonly pool: PoolId
  readonly endpoints: readonly { readonly address: string; readonly port: number }[]
}

/** Makes a state in which these tenants exist. Called again with more: what was there stays. */
export type CreateState = (options: { readonly clock: () => number; readonly maxKeys: number }) => {
  readonly state: PodState
  readonly grant: (needs: Needs) => void
}

const POOL: PoolId = { tenant: 'acme', namespace: 'web', service: 'shop', port: 80, tls: '' }
const ROUTE: RouteId = { tenant: 'acme', namespace: 'web', route: 'shop', rule: 0, ruleName: '' }

function limiterId(tenant: string, name: string): LimiterId {
  return { tenant, origin: ['Policy', 'web', name] }
}

function needsOf(tenant: string): Needs {
  return {
    tenant,
    limiters: [limiterId(tenant, 'a'), limiterId(tenant, 'b')],
    routes: [{ ...ROUTE, tenant }],
    pool: { ...POOL, tenant },
    endpoints: [
      { address: '10.0.0.1', port: 80 },
      { address: '10.0.0.1', port: 81 },
      { address: '10.0.0.2', port: 80 },
    ],
  }
}

/** The suite. */
export function podStateContract(name: string, create: CreateState): void {
  const setUp = (maxKeys = 65_536) => {
    // Not zero: real clocks are not, and 0 must not be taken for "never".
    const clock = { now: 12_345 }
    const { state, grant } = create({ clock: () => clock.now, maxKeys })
    for (const tenant of ['acme', 'globex']) grant(needsOf(tenant))
    return { clock, state, grant }
  }

  describe(`${name}: limiter`, () => {
    it('lets the burst through at once, then one for each interval', () => {
      const { clock, state } = setUp()
      const limiter = state.tenant('acme').limiter(limiterId('acme', 'a'), { count: 6, seconds: 60, burst: 6 })
      for (let taken = 1; taken <= 6; taken++) {
        const decision = limiter.take('')
        expect(decision).toMatchObject({ allowed: true, remaining: 6 - taken, retryAfter: 0 })
        expect(decision.resetAfter).toBeCloseTo(taken * 10, 6)
      }
      const refused = limiter.take('')
      expect(refused).toMatchObject({ allowed: false, remaining: 0 })
      expect(refused.retryAfter).toBeCloseTo(10, 6)
      clock.now += refused.retryAfter * 1000 - 1
      expect(limiter.take('').allowed).toBe(false)
      clock.now += 1
      expect(limiter.take('').allowed).toBe(true)
      expect(limiter.take('').allowed).toBe(false)
      clock.now += 3_600_000
      for (let taken = 1; taken <= 6; taken++) expect(limiter.take('').allowed).toBe(true)
      expect(limiter.take('').allowed).toBe(false)
    })

    it('takes nothing from the bucket when it refuses', () => {
      const { clock, state } = setUp()
      const limiter = state.tenant('acme').limiter(limiterId('acme', 'a'), { count: 1, seconds: 1, burst: 1 })
      expect(limiter.take('').allowed).toBe(true)
      for (let again = 0; again < 100; again++) expect(limiter.take('').allowed).toBe(false)
      clock.now += 1000
      expect(limiter.take('').allowed).toBe(true)
    })

    it('keeps one bucket for each key, each limiter and each tenant', () => {
      const { state } = setUp()
      const rate = { count: 1, seconds: 1, burst: 1 }
      const limiters = [
        state.tenant('acme').limiter(limiterId('acme', 'a'), rate),
        state.tenant('acme').limiter(limiterId('acme', 'b'), rate),
        state.tenant('globex').limiter(limiterId('globex', 'a'), rate),
      ]
      for (const limiter of limiters) {
        for (const key of ['', 'x', 'y', '1:x', 'é', '\u{1f600}', 'x\u0000', 'long '.repeat(50)]) {
          expect(limiter.take(key).allowed).toBe(true)
          expect(limiter.take(key).allowed).toBe(false)
        }
      }
    })

    it('holds its place through an edit of the rate, and never waits longer than the new rate can ask for', () => {
      const { clock, state } = setUp()
      const tenant = state.tenant('acme')
      const slow = tenant.limiter(limiterId('acme', 'a'), { count: 1, seconds: 3600, burst: 1 })
      expect(slow.take('x').allowed).toBe(true)
      const fast = tenant.limiter(limiterId('acme', 'a'), { count: 10, seconds: 1, burst: 10 })
      expect(fast.take('x').allowed).toBe(false)
      expect(fast.take('x').retryAfter).toBeLessThanOrEqual(0.1)
      const same = tenant.limiter(limiterId('acme', 'b'), { count: 5, seconds: 1, burst: 5 })
      for (let taken = 0; taken < 5; taken++) expect(same.take('x').allowed).toBe(true)
      expect(tenant.limiter(limiterId('acme', 'b'), { count: 5, seconds: 1, burst: 5 }).take('x').allowed).toBe(false)
      clock.now += 200
      expect(same.take('x').allowed).toBe(true)
    })

    it('gives 2,000 keys that come at once a bucket each', () => {
      const { state } = setUp()
      const limiter = state.tenant('acme').limiter(limiterId('acme', 'a'), { count: 1, seconds: 60, burst: 1 })
      for (let key = 0; key < 2000; key++) expect(limiter.take(`198.51.100.${key}`).allowed).toBe(true)
      for (let key = 0; key < 2000; key++) expect(limiter.take(`198.51.100.${key}`).allowed).toBe(false)
    })

    it('puts keys beyond its bound into one shared bucket of its own', () => {
      const { clock, state } = setUp(16)
      const rate = { count: 1, seconds: 60, burst: 1 }
      const limiter = state.tenant('acme').limiter(limiterId('acme', 'a'), rate)
      for (let key = 0; key < 16; key++) expect(limiter.take(`k${key}`).allowed).toBe(true)
      expect(limiter.take('k16').allowed).toBe(true)
      expect(limiter.take('k17').allowed).toBe(false)
      expect(limiter.take('').allowed).toBe(true)
      // Neighbours and the tenant's other limiters do not notice.
      expect(state.tenant('acme').limiter(limiterId('acme', 'b'), rate).take('k17').allowed).toBe(true)
      expect(state.tenant('globex').limiter(limiterId('globex', 'a'), rate).take('k17').allowed).toBe(true)
      // Full buckets are as good as none: their places are used again.
      clock.now += 60_000
      for (let key = 100; key < 116; key++) expect(limiter.take(`k${key}`).allowed).toBe(true)
      for (let key = 100; key < 116; key++) expect(limiter.take(`k${key}`).allowed).toBe(false)
    })

    it('agrees with a naive simulation', () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 1000 }),
          fc.constantFrom(1, 60, 3600, 86_400),
          fc.integer({ min: 1, max: 200 }),
          fc.array(fc.tuple(fc.integer({ min: 0, max: 5_000 }), fc.constantFrom('', 'a', 'b')), { maxLength: 300 }),
          (count, seconds, burst, steps) => {
            const { clock, state } = setUp()
            const limiter = state.tenant('acme').limiter(limiterId('acme', 'a'), { count, seconds, burst })
            const naive = new Map<string, { tokens: number; at: number }>()
            const perMs = count / (seconds * 1000)
            for (const [wait, key] of steps) {
              clock.now += wait
              const bucket = naive.get(key) ?? { tokens: burst, at: clock.now }
              const tokens = Math.min(burst, bucket.tokens + (clock.now - bucket.at) * perMs)
              const decision = limiter.take(key)
              // Where rounding decides, both answers are right.
              const clear = Math.abs(tokens - 1) > 1e-6
              if (clear) expect(decision.allowed).toBe(tokens >= 1)
              const after = decision.allowed ? tokens - 1 : tokens
              naive.set(key, { tokens: after, at: clock.now })
              expect(decision.resetAfter).toBeCloseTo((burst - after) / (count / seconds), 3)
              if (!decision.allowed) expect(decision.retryAfter).toBeCloseTo((1 - after) / (count / seconds), 3)
              else expect(Math.abs(decision.remaining - after)).toBeLessThanOrEqual(1.000001)
            }
          },
        ),
        { numRuns: 60 },
      )
    })
  })

  describe(`${name}: bounded counts`, () => {
    it('never goes above its bound and comes back to zero', () => {
      const { state } = setUp()
      const { concurrency, connections } = state.tenant('acme')
      for (let taken = 0; taken < 3; taken++) expect(concurrency.tryAcquire(3)).toBe(true)
      expect(concurrency.tryAcquire(3)).toBe(false)
      expect(concurrency.value()).toBe(3)
      expect(connections.value()).toBe(0)
      expect(state.tenant('globex').concurrency.value()).toBe(0)
      expect(concurrency.tryAcquire(null)).toBe(true)
      expect(concurrency.tryAcquire(4)).toBe(false)
      concurrency.release()
      // A bound that an edit lowered holds for newcomers only.
      expect(concurrency.tryAcquire(2)).toBe(false)
      for (let held = 0; held < 3; held++) concurrency.release()
      expect(concurrency.value()).toBe(0)
      expect(concurrency.tryAcquire(1)).toBe(true)
    })
  })

  describe(`${name}: endpoints`, () => {
    it('counts in flight, failures and ejection for each address and port', () => {
      const { clock, state } = setUp()
      const tenant = state.tenant('acme')
      const one = tenant.endpoint(POOL, '10.0.0.1', 80)
      const other = tenant.endpoint(POOL, '10.0.0.1', 81)
      expect(one).toMatchObject({ address: '10.0.0.1', port: 80 })
      one.begin()
      one.begin()
      expect([one.inFlight(), other.inFlight()]).toEqual([2, 0])
      one.end()
      expect(tenant.endpoint(POOL, '10.0.0.1', 80).inFlight()).toBe(1)
      one.end()
      expect([one.failed(), one.failed(), other.failed()]).toEqual([1, 2, 1])
      one.succeeded()
      expect(one.failed()).toBe(1)
      expect(one.ejectedUntil()).toBe(0)
      one.eject(clock.now + 30_000)
      expect([one.ejectedUntil(), other.ejectedUntil()]).toEqual([clock.now + 30_000, 0])
      expect(tenant.endpoint(POOL, '10.0.0.1', 80).ejectedUntil()).toBe(clock.now + 30_000)
      one.eject(0)
      expect(one.ejectedUntil()).toBe(0)
    })

    it('keeps state while the pool changes around it', () => {
      const { state, grant } = setUp()
      const kept = state.tenant('acme').endpoint(POOL, '10.0.0.2', 80)
      kept.begin()
      grant({
        ...needsOf('acme'),
        endpoints: [
          { address: '10.0.0.2', port: 80 },
          { address: '10.0.0.9', port: 80 },
        ],
      })
      expect(state.tenant('acme').endpoint(POOL, '10.0.0.2', 80).inFlight()).toBe(1)
      expect(state.tenant('acme').endpoint(POOL, '10.0.0.9', 80).inFlight()).toBe(0)
      kept.end()
      expect(state.tenant('acme').endpoint(POOL, '10.0.0.2', 80).inFlight()).toBe(0)
    })
  })

  it(`${name}: takes every count that a request can make`, () => {
    const { clock, state } = setUp()
    expect(state.now()).toBe(clock.now)
    for (const metrics of [state.tenant('acme').metrics, state.unowned]) {
      metrics.active(1)
      metrics.request(200, 3, 1, 2, 10, 20)
      metrics.request(0, 100_000, 1, 0, 0, 0)
      metrics.active(-1)
      metrics.gatewayError('NoRoute')
      metrics.upstreamError('UpstreamReset')
      metrics.upstreamRetry('success')
      metrics.limitDecision('requests', 'allowed')
      metrics.limitDecision('something new', 'refused')
      metrics.policyDecision('access', 'refused')
      metrics.policyDecision('not known', 'refused')
    }
    state.tenant('acme').route(ROUTE).request(503, 4)
  })
}

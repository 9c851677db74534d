// What the main thread takes back: places that nothing names, and never one that somebody still uses.
import { describe, expect, it } from 'vitest'
import type { Needs } from '../../test/contracts/pod-state.ts'
import { createAllocator, grantAll, shardOf } from '../../test/support/shared-state.ts'
import { SharedState } from './shared-state.ts'
import { GRACE, giveBack, reconcile, sweep, takeSample } from './shared-state-repair.ts'

const NOTHING = { route: () => {}, tenant: () => {} }

function needsOf(tenant: string, names: readonly string[]): Needs {
  return {
    tenant,
    limiters: names.map((name) => ({ tenant, origin: ['Policy', 'web', name] })),
    routes: names.map((route) => ({ tenant, namespace: 'web', route, rule: 0, ruleName: '' })),
    pool: { tenant, namespace: 'web', service: 's', port: 80, tls: '' },
    endpoints: names.map((name) => ({ address: `10.0.0.${name.length}${name.charCodeAt(0) % 10}`, port: 80 })),
  }
}

function setUp() {
  const clock = { now: 1_000 }
  const allocator = createAllocator({ workers: 2, now: () => clock.now })
  const view = new SharedState(allocator.root, 0, () => clock.now)
  return { clock, allocator, view }
}

describe('sweep', () => {
  it('keeps what an edit takes away for five minutes, and gives its place to something else after that', () => {
    const { clock, allocator, view } = setUp()
    const both = needsOf('acme', ['a', 'b'])
    const one = needsOf('acme', ['a'])
    grantAll(allocator, [view], both)
    const rate = { count: 1, seconds: 86_400, burst: 1 }
    const [, limiterB] = both.limiters
    if (limiterB === undefined) throw new Error('two limiters were asked for')
    expect(view.tenant('acme').limiter(limiterB, rate).take('x').allowed).toBe(true)
    grantAll(allocator, [view], one)
    clock.now += GRACE - 1
    sweep(allocator, clock.now, NOTHING)
    grantAll(allocator, [view], both)
    expect(view.tenant('acme').limiter(limiterB, rate).take('x').allowed).toBe(false)
    const held = view.tenant('acme').limiter(limiterB, rate)

    grantAll(allocator, [view], one)
    clock.now += GRACE
    sweep(allocator, clock.now, NOTHING)
    // A minute in quarantine: new things get new places.
    const bytes = allocator.bytes()
    clock.now += 60_000
    const other = needsOf('acme', ['a', 'c'])
    grantAll(allocator, [view], other)
    const [, limiterC] = other.limiters
    if (limiterC === undefined) throw new Error('two limiters were asked for')
    const fresh = view.tenant('acme').limiter(limiterC, rate)
    // Whoever still holds the old handle cannot reach into what lives there now.
    for (let again = 0; again < 5; again++) held.take('y')
    held.take('')
    expect(fresh.take('x').allowed).toBe(true)
    expect(fresh.take('y').allowed).toBe(true)
    expect(fresh.take('').allowed).toBe(true)
    expect(allocator.bytes()).toBe(bytes)
  })

  it('never takes an endpoint with requests in flight', () => {
    const { clock, allocator, view } = setUp()
    const both = needsOf('acme', ['a', 'b'])
    grantAll(allocator, [view], both)
    const leaving = both.endpoints[1]
    if (leaving === undefined) throw new Error('two endpoints were asked for')
    const endpoint = view.tenant('acme').endpoint(both.pool, leaving.address, leaving.port)
    endpoint.begin()
    grantAll(allocator, [view], needsOf('acme', ['a']))
    clock.now += GRACE * 3
    sweep(allocator, clock.now, NOTHING)
    endpoint.end()
    expect(endpoint.inFlight()).toBe(0)
    expect(takeSample(allocator).counts.size).toBe(0)
    sweep(allocator, clock.now, NOTHING)
    // Now it is gone, and a late handle changes nothing.
    endpoint.begin()
    expect(endpoint.inFlight()).toBe(0)
  })

  it('forgets a tenant whole, once nothing of it is held', () => {
    const { clock, allocator, view } = setUp()
    grantAll(allocator, [view], needsOf('acme', ['a']))
    view.tenant('acme').concurrency.tryAcquire(null)
    allocator.releaseTenant('acme')
    clock.now += GRACE
    expect(sweep(allocator, clock.now, NOTHING)).toEqual([])
    view.tenant('acme').concurrency.release()
    expect(sweep(allocator, clock.now, NOTHING)).toEqual(['acme'])
    expect(allocator.tenants.size).toBe(0)
  })

  it('does not grow while routes, limits and endpoints come and go for a day', () => {
    const { clock, allocator, view } = setUp()
    let settled = 0
    for (let edit = 0; edit < 288; edit++) {
      grantAll(allocator, [view], needsOf('acme', [`a${edit % 90}`, `b${edit}`, 'c']))
      clock.now += 300_000
      sweep(allocator, clock.now, NOTHING)
      if (edit === 20) settled = allocator.bytes()
    }
    expect(allocator.bytes()).toBe(settled)
  })
})

describe('a dead worker', () => {
  it('gives its places back at once; a total that stands too high is found by two looks', () => {
    const { allocator, view } = setUp()
    const needs = needsOf('acme', ['a'])
    grantAll(allocator, [view], needs)
    const { concurrency, connections } = view.tenant('acme')
    const [first] = needs.endpoints
    if (first === undefined) throw new Error('an endpoint was asked for')
    const endpoint = view.tenant('acme').endpoint(needs.pool, first.address, first.port)
    for (let held = 0; held < 3; held++) {
      concurrency.tryAcquire(10)
      connections.tryAcquire(10)
      endpoint.begin()
    }
    giveBack(allocator, 1)
    expect([concurrency.value(), connections.value(), endpoint.inFlight()]).toEqual([3, 3, 3])
    giveBack(allocator, 0)
    expect([concurrency.value(), connections.value(), endpoint.inFlight()]).toEqual([0, 0, 0])

    // Dead between total and column.
    const root = allocator.tenants.get('acme')?.memory.root
    if (root === undefined) throw new Error('the tenant was granted')
    Atomics.add(root.words, 0, 1)
    const sample = takeSample(allocator)
    expect(reconcile(allocator, sample)).toBe(1)
    expect(concurrency.value()).toBe(0)
    // A difference that is another at the second look is somebody at work.
    Atomics.add(root.words, 0, 1)
    const busy = takeSample(allocator)
    Atomics.add(root.words, 0, 1)
    expect(reconcile(allocator, busy)).toBe(0)
  })

  it('hands a tenant that it never saw to a new worker', () => {
    const { allocator, view } = setUp()
    const needs = needsOf('acme', ['a', 'b'])
    grantAll(allocator, [view], needs)
    const later = new SharedState(allocator.root, 1, () => 1_000)
    later.grantTenant(allocator.tenantGrant(shardOf('acme', needs.routes)), needs.routes)
    view.tenant('acme').concurrency.tryAcquire(null)
    expect(later.tenant('acme').concurrency.value()).toBe(1)
    expect(() => later.tenant('globex')).toThrow('globex')
  })
})

// What every balancer keeps to, whatever its algorithm. Run by dataplane/runtime/balance.test.ts for each of them.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EndpointHandle } from '../../dataplane/build/program.ts'
import { type Balancer, compareEndpoints } from '../../dataplane/runtime/balance.ts'
import { createEndpoints } from '../support/endpoints.ts'

const NONE: readonly EndpointHandle[] = []

/** The suite. `create` makes a new balancer that begins at `start`, in [0, 1). */
export function describeBalancer(name: string, create: (start: number) => Balancer): void {
  describe(`balancer ${name}`, () => {
    it('has nobody to pick from an empty set', () => {
      const balancer = create(0)
      expect(balancer.pick({ ready: NONE, draining: NONE }, NONE, 0)).toBeUndefined()
      const [only] = createEndpoints(1)
      expect(balancer.pick({ ready: [only as EndpointHandle], draining: NONE }, NONE, 0)).toBe(only)
    })

    it('shares idle endpoints evenly, wherever it begins', () => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 12 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (count, start) => {
          const ready = createEndpoints(count)
          const balancer = create(start)
          const hits = new Map<EndpointHandle, number>()
          for (let turn = 0; turn < count * 20; turn += 1) {
            const endpoint = balancer.pick({ ready, draining: NONE }, NONE, 0)
            if (endpoint !== undefined) hits.set(endpoint, (hits.get(endpoint) ?? 0) + 1)
          }
          expect([...hits.values()]).toEqual(Array.from({ length: count }, () => 20))
        }),
        { numRuns: 50 },
      )
    })

    it('begins at different endpoints in different workers', () => {
      const ready = createEndpoints(4)
      const first = [0, 0.25, 0.5, 0.75].map((start) => create(start).pick({ ready, draining: NONE }, NONE, 0))
      expect(new Set(first).size).toBe(4)
    })

    it('uses draining endpoints only where no ready one is left', () => {
      const all = createEndpoints(4)
      const [ready, draining] = [all.slice(0, 2), all.slice(2)]
      const balancer = create(0.3)
      for (let turn = 0; turn < 20; turn += 1) {
        expect(ready).toContain(balancer.pick({ ready, draining }, NONE, 0))
        expect(draining).toContain(balancer.pick({ ready: NONE, draining }, NONE, 0))
        expect(draining).toContain(balancer.pick({ ready, draining }, ready, 0))
      }
      expect(balancer.pick({ ready, draining }, all, 0)).toBeUndefined()
    })

    it('leaves ejected endpoints out, and serves anyway where all are out', () => {
      const ready = createEndpoints(3)
      const [first, second, third] = ready as [EndpointHandle, EndpointHandle, EndpointHandle]
      const balancer = create(0)
      first.state.eject(1000)
      for (let turn = 0; turn < 20; turn += 1)
        expect(balancer.pick({ ready, draining: NONE }, NONE, 500)).not.toBe(first)
      second.state.eject(1000)
      third.state.eject(1000)
      const picked = new Set(Array.from({ length: 9 }, () => balancer.pick({ ready, draining: NONE }, NONE, 500)))
      expect(picked).toEqual(new Set(ready))
      // Out is out only before its time is over.
      expect(balancer.pick({ ready, draining: NONE }, [second, third], 1000)).toBe(first)
    })

    it('prefers a draining endpoint that works to a ready one that is out', () => {
      const [out, draining] = createEndpoints(2) as [EndpointHandle, EndpointHandle]
      out.state.eject(1000)
      expect(create(0).pick({ ready: [out], draining: [draining] }, NONE, 1)).toBe(draining)
    })

    it('gives a half-open endpoint one request at a time', () => {
      const ready = createEndpoints(2)
      const [back, other] = ready as [EndpointHandle, EndpointHandle]
      const balancer = create(0)
      back.state.eject(1000)
      const pick = () => balancer.pick({ ready, draining: NONE }, NONE, 2000)
      const seen = new Set([pick(), pick()])
      expect(seen).toEqual(new Set(ready))
      back.state.begin()
      for (let turn = 0; turn < 10; turn += 1) expect(pick()).toBe(other)
      back.state.end()
      expect(new Set([pick(), pick()])).toEqual(new Set(ready))
    })

    it('never leaves the set, never repeats what was tried, never picks who is out while others are in', () => {
      const act = fc.record({
        ready: fc.subarray([0, 1, 2, 3, 4, 5, 6, 7]),
        tried: fc.subarray([0, 1, 2, 3, 4, 5, 6, 7], { maxLength: 4 }),
        out: fc.subarray([0, 1, 2, 3, 4, 5, 6, 7]),
        draining: fc.subarray([8, 9]),
        ends: fc.boolean(),
      })
      fc.assert(
        fc.property(fc.array(act, { minLength: 1, maxLength: 40 }), (acts) => {
          const all = createEndpoints(10)
          const at = (indexes: number[]) => indexes.map((index) => all[index] as EndpointHandle).sort(compareEndpoints)
          const balancer = create(0.5)
          for (const { ready, tried, out, draining, ends } of acts) {
            const set = { ready: at(ready), draining: at(draining) }
            for (const endpoint of all) endpoint.state.eject(0)
            for (const endpoint of at(out)) endpoint.state.eject(1000)
            const open = [...set.ready, ...set.draining].filter((endpoint) => !at(tried).includes(endpoint))
            const picked = balancer.pick(set, at(tried), 1)
            if (open.length === 0) expect(picked).toBeUndefined()
            else {
              expect(open).toContain(picked)
              const isIn = open.filter((endpoint) => !at(out).includes(endpoint))
              if (isIn.length > 0) expect(isIn).toContain(picked)
            }
            if (picked !== undefined) {
              picked.state.begin()
              if (ends) picked.state.end()
            }
          }
        }),
        { numRuns: 200 },
      )
    })

    it('starves nobody who stays while others come and go', () => {
      fc.assert(
        fc.property(fc.array(fc.subarray([4, 5, 6, 7, 8, 9]), { minLength: 40, maxLength: 80 }), (visitors) => {
          const all = createEndpoints(10)
          const staying = all.slice(0, 4)
          const balancer = create(0.9)
          const hits = new Map(staying.map((endpoint) => [endpoint, 0]))
          for (const indexes of visitors) {
            const ready = [...staying, ...indexes.map((index) => all[index] as EndpointHandle)].sort(compareEndpoints)
            const picked = balancer.pick({ ready, draining: NONE }, NONE, 0)
            if (picked !== undefined && hits.has(picked)) hits.set(picked, (hits.get(picked) ?? 0) + 1)
            // Requests last, so that the live counts have something to say too.
            picked?.state.begin()
          }
          const counts = [...hits.values()]
          expect(Math.min(...counts)).toBeGreaterThanOrEqual(Math.floor(visitors.length / 10) - 1)
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
        }),
        { numRuns: 100 },
      )
    })
  })
}

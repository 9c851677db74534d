// The suite that every store of claims and last good forms passes, whatever it keeps them in. A driver opens stores over
// one place; each opened store may write there, as a process does that has taken over.
import fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { StateStore, StoredState } from '../../controller/state/state-store.ts'
import { inspectSecret } from '../../controller/sources/inspect-material.ts'
import type { Claim, LastGood } from '../../model/resources.ts'
import { makeCa, makeLeaf } from '../support/certificates.ts'

/** One place where stores keep things. */
export interface StateStoreDriver {
  /** A store as a new process opens it. Only the newest of them writes. */
  open(): Promise<StateStore>
  cleanUp(): Promise<void>
}

const CLAIMS: readonly Claim[] = [
  { what: 'host', name: '*.acme.test', tenant: 'acme', since: 5 },
  { what: 'host', name: 'b.test', tenant: 'globex', since: 6 },
  { what: 'namespace', name: 'acme', tenant: 'acme', since: 5, releasedAt: 9 },
]

const claim: fc.Arbitrary<Claim> = fc
  .record({
    what: fc.constantFrom('host' as const, 'port' as const, 'namespace' as const),
    name: fc.stringMatching(/^[a-z*.-]{1,12}$/),
    tenant: fc.stringMatching(/^[a-z]{1,3}$/),
    since: fc.nat(),
    releasedAt: fc.option(fc.nat(), { nil: undefined }),
  })
  .map(({ releasedAt, ...rest }) => (releasedAt === undefined ? rest : { ...rest, releasedAt }))
const form: fc.Arbitrary<LastGood> = fc.record({
  object: fc.record({
    kind: fc.constantFrom('Route' as const, 'Policy' as const),
    namespace: fc.constantFrom('a', 'b'),
    name: fc.stringMatching(/^[a-z]{1,5}$/),
  }),
  generation: fc.nat(),
  // JSON that has been JSON before: no -0, no __proto__ of its own.
  body: fc.record({ spec: fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value))) }),
})
const state: fc.Arbitrary<StoredState> = fc.record({
  claims: fc.uniqueArray(claim, { maxLength: 40, selector: ({ what, name }) => JSON.stringify([what, name]) }),
  lastGood: fc.uniqueArray(form, { maxLength: 20, selector: ({ object }) => JSON.stringify(object) }),
})

/** Runs the suite. `runs`: how many random histories; fewer where a write costs time. */
export function stateStoreSuite(name: string, setUp: () => Promise<StateStoreDriver>, runs: number): void {
  describe(`a state store: ${name}`, () => {
    let driver: StateStoreDriver
    let secret: LastGood
    beforeAll(async () => {
      const leaf = await makeLeaf(await makeCa(), { names: ['a.test'] })
      secret = {
        object: { kind: 'Secret', namespace: 'a', name: 'tls' },
        generation: 3,
        body: { type: 'kubernetes.io/tls' },
        material: inspectSecret({ 'tls.crt': Buffer.from(leaf.certPem), 'tls.key': Buffer.from(leaf.keyPem) }),
      }
    })
    beforeEach(async () => {
      driver = await setUp()
    })
    afterEach(() => driver.cleanUp())

    const loaded = async () => await (await driver.open()).load()

    test('nothing there is an empty state', async () => {
      expect(await loaded()).toEqual({ claims: [], lastGood: [], warnings: [] })
    })

    test('what was saved is loaded by the next process, keys included', async () => {
      const route: LastGood = {
        object: { kind: 'Tenant', namespace: '', name: 't' },
        generation: 1,
        body: { spec: {} },
      }
      await (await driver.open()).save({ claims: CLAIMS, lastGood: [secret, route] })
      const found = await loaded()
      expect(found).toMatchObject({ claims: CLAIMS, warnings: [] })
      expect(new Set(found.lastGood)).toEqual(new Set([secret, route]))
      const keys = found.lastGood.map((entry) => entry.material?.certificate?.keyPem.reveal())
      expect(keys).toContain(secret.material?.certificate?.keyPem.reveal())
      expect(JSON.stringify(found)).not.toContain('PRIVATE')
    })

    test('the last save holds, whatever was there before, also for what is gone', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(state, { minLength: 1, maxLength: 3 }), async (states) => {
          const store = await driver.open()
          for (const each of states) await store.save(each)
          const found = await loaded()
          const last = states.at(-1) ?? { claims: [], lastGood: [] }
          expect(new Set(found.claims)).toEqual(new Set(last.claims))
          expect(new Set(found.lastGood)).toEqual(new Set(last.lastGood))
          expect(found.warnings).toEqual([])
        }),
        { numRuns: runs },
      )
    })

    test('the state of a large install goes through', async () => {
      const claims = Array.from({ length: 40_000 }, (_, index): Claim => {
        return {
          what: 'host',
          name: `host-${index}.tenant-${index % 10_000}.test`,
          tenant: `tenant-${index % 10_000}`,
          since: index,
        }
      })
      const filler = 'x'.repeat(200)
      const lastGood = Array.from({ length: 2_000 }, (_, index): LastGood => {
        return {
          object: { kind: 'Route', namespace: 'a', name: `r-${index}` },
          generation: 1,
          body: { spec: { filler } },
        }
      })
      await (await driver.open()).save({ claims, lastGood })
      const found = await loaded()
      expect(found.claims).toHaveLength(40_000)
      expect(found.lastGood).toHaveLength(2_000)
    })
  })
}

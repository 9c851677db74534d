// Claims over time, and the stores that outlive the process.
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import type { Claim, LastGood } from '../../model/resources.ts'
import { makeCa, makeLeaf } from '../../test/support/certificates.ts'
import { stateStoreSuite } from '../../test/contracts/state-store.ts'
import { inspectSecret } from '../sources/inspect-material.ts'
import { createFolderStore } from './folder-store.ts'
import { expireClaims, reconcileClaims } from './reconcile-claims.ts'

const want = (name: string, tenant: string) => ({ what: 'host', name, tenant }) as const

describe('claims', () => {
  test('a new one is stamped, a wanted one stays, an unwanted one is released and goes after the delay', () => {
    const first = reconcileClaims([], [want('a.test', 'acme')], 1_000, 500)
    expect(first.claims).toEqual([{ ...want('a.test', 'acme'), since: 1_000 }])
    expect(reconcileClaims(first.claims, [want('a.test', 'acme')], 2_000, 500)).toEqual({
      claims: first.claims,
      changed: false,
      freed: false,
      nextExpiry: undefined,
    })
    const released = reconcileClaims(first.claims, [], 3_000, 500)
    expect(released).toMatchObject({ changed: true, freed: false, nextExpiry: 3_500 })
    expect(released.claims).toEqual([{ ...want('a.test', 'acme'), since: 1_000, releasedAt: 3_000 }])
    expect(expireClaims(released.claims, 3_499, 500)).toBe(released.claims)
    expect(expireClaims(released.claims, 3_500, 500)).toEqual([])
    expect(reconcileClaims(released.claims, [], 3_500, 500)).toMatchObject({ claims: [], freed: true })
  })

  test('its tenant takes a released one back, nobody else does', () => {
    const held: readonly Claim[] = [{ ...want('a.test', 'acme'), since: 1, releasedAt: 10 }]
    expect(reconcileClaims(held, [want('a.test', 'acme')], 20, 100).claims).toEqual([
      { ...want('a.test', 'acme'), since: 1 },
    ])
    expect(reconcileClaims(held, [want('a.test', 'globex')], 20, 100).claims).toEqual(held)
    expect(reconcileClaims(held, [want('a.test', 'globex')], 200, 100).claims).toEqual([
      { ...want('a.test', 'globex'), since: 200 },
    ])
  })

  test('without a delay a name changes hands in one step', () => {
    const held: readonly Claim[] = [{ ...want('a.test', 'acme'), since: 1 }]
    expect(reconcileClaims(held, [], 20, 0)).toEqual({ claims: [], changed: true, freed: true, nextExpiry: undefined })
  })

  test('at most one tenant ever holds a name, whatever is wanted and in whatever order', () => {
    const wish = fc.record({ name: fc.constantFrom('a', 'b', 'c'), tenant: fc.constantFrom('x', 'y', 'z') })
    const step = fc.record({ wishes: fc.array(wish, { maxLength: 6 }), pass: fc.nat(300) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), fc.nat(400), (steps, delay) => {
        let claims: readonly Claim[] = []
        let now = 1
        for (const { wishes, pass } of steps) {
          now += pass
          const before = claims
          claims = reconcileClaims(
            expireClaims(claims, now, delay),
            wishes.map((each) => want(each.name, each.tenant)),
            now,
            delay,
          ).claims
          expect(new Set(claims.map((claim) => claim.name)).size).toBe(claims.length)
          for (const claim of before) {
            if (claim.releasedAt === undefined || claim.releasedAt + delay <= now) continue
            expect(claims.find((each) => each.name === claim.name)?.tenant).toBe(claim.tenant)
          }
        }
      }),
    )
  })
})

stateStoreSuite(
  'a folder',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'atrium-state-'))
    return {
      open: () => Promise.resolve(createFolderStore(join(folder, 'state'))),
      cleanUp: () => rm(folder, { recursive: true, force: true }),
    }
  },
  20,
)

describe('the folder store', () => {
  let folder: string
  beforeEach(async () => {
    folder = join(await mkdtemp(join(tmpdir(), 'atrium-state-')), 'state')
  })
  afterEach(() => rm(join(folder, '..'), { recursive: true, force: true }))

  const claims: readonly Claim[] = [
    { what: 'host', name: '*.acme.test', tenant: 'acme', since: 5 },
    { what: 'namespace', name: 'acme', tenant: 'acme', since: 5, releasedAt: 9 },
  ]

  async function lastGood(): Promise<LastGood> {
    const leaf = await makeLeaf(await makeCa(), { names: ['a.test'] })
    return {
      object: { kind: 'Secret', namespace: 'a', name: 'tls' },
      generation: 3,
      body: { type: 'kubernetes.io/tls' },
      material: inspectSecret({ 'tls.crt': Buffer.from(leaf.certPem), 'tls.key': Buffer.from(leaf.keyPem) }),
    }
  }

  test('what was saved is loaded, keys included, in files for their owner only', async () => {
    const entry = await lastGood()
    const route: LastGood = { object: { kind: 'Tenant', namespace: '', name: 't' }, generation: 1, body: { spec: {} } }
    await createFolderStore(folder).save({ claims, lastGood: [entry, route] })
    const loaded = await createFolderStore(folder).load()
    expect(loaded).toMatchObject({ claims, warnings: [] })
    expect(loaded.lastGood).toEqual([entry, route])
    expect(loaded.lastGood[0]?.material?.certificate?.keyPem.reveal()).toBe(
      entry.material?.certificate?.keyPem.reveal(),
    )
    expect(await readdir(folder)).toEqual(['claims.json', 'last-good.json'])
    expect((await stat(join(folder, 'last-good.json'))).mode & 0o777).toBe(0o600)
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    expect(await readFile(join(folder, 'claims.json'), 'utf8')).not.toContain('PRIVATE')
  })

  test('nothing there is an empty state', async () => {
    expect(await createFolderStore(folder).load()).toEqual({ claims: [], lastGood: [], warnings: [] })
  })

  test.each([
    ['', 'it is no JSON'],
    ['{"format":1,"claims":[', 'it is no JSON'],
    ['{"format":2,"claims":[]}', 'format 2 is not known here; this is 1'],
    ['{"format":1}', 'claims is not what Atrium writes'],
    [
      '{"format":1,"claims":[{"what":"host","name":"a","tenant":5,"since":1}]}',
      'claims.0.tenant is not what Atrium writes',
    ],
  ])('a claims file of %j is put aside with a warning, and the rest is used', async (text, reason) => {
    await createFolderStore(folder).save({ claims, lastGood: [] })
    await writeFile(join(folder, 'claims.json'), text)
    const store = createFolderStore(folder)
    const loaded = await store.load()
    expect(loaded.claims).toEqual([])
    expect(loaded.warnings).toHaveLength(1)
    expect(loaded.warnings[0]).toContain(reason)
    expect(await readFile(join(folder, 'claims.json.bad'), 'utf8')).toBe(text)
    await store.save({ claims, lastGood: [] })
    expect((await createFolderStore(folder).load()).claims).toEqual(claims)
  })

  test('no text at all makes a load reject', async () => {
    await createFolderStore(folder).save({ claims, lastGood: [] })
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.json(),
          fc.string(),
          fc.json().map((json) => `{"format":1,"lastGood":[${json}]}`),
        ),
        async (text) => {
          await writeFile(join(folder, 'last-good.json'), text)
          const loaded = await createFolderStore(folder).load()
          expect(loaded.claims).toEqual(claims)
          expect(loaded.lastGood.length === 0 || loaded.warnings.length === 0).toBe(true)
        },
      ),
      { numRuns: 50 },
    )
  })

  test('a folder that cannot be written is told by a rejection', async () => {
    await writeFile(folder, 'a file in its place')
    await expect(createFolderStore(folder).save({ claims, lastGood: [] })).rejects.toThrow()
    expect((await createFolderStore(folder).load()).warnings).toHaveLength(2)
  })
})

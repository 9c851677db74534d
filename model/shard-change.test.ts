// Changes of shards: what is told and applied is what compile sealed, whatever came, went or moved; what is damaged or of
// another base is never taken. And hashes that are remembered are those that would be taken anew.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sealShard } from '../controller/compile/seal.ts'
import { createDigest } from '../peer/digest.ts'
import { makeHost, makeMatch, makeRoute, makeShard } from '../test/support/shard.ts'
import { readContentLine, shardLine } from './push-shard.ts'
import { applyChange, changeLine, isChange } from './shard-change.ts'
import type { TenantShard } from './snapshot.ts'

const sha256 = createDigest()

/** A tenant's Routes by number: how many rules each has, and a mark that its rules carry. */
type World = Readonly<Record<string, { readonly rules: number; readonly mark: number }>>

const name = fc.integer({ min: 0, max: 40 }).map(String)
const world: fc.Arbitrary<World> = fc.dictionary(
  name,
  fc.record({ rules: fc.integer({ min: 1, max: 3 }), mark: fc.integer({ min: 1, max: 3 }) }),
  { maxKeys: 30 },
)

/** Every Route has a host of its own, and those of an even number share one. */
function sealed(routes: World, before?: TenantShard): TenantShard {
  const names = Object.keys(routes).sort()
  const plans = names.flatMap((route) =>
    Array.from({ length: routes[route]?.rules ?? 0 }, (_, rule) =>
      makeRoute('acme', route, {
        id: { tenant: 'acme', namespace: `ns-${Number(route) % 2}`, route, rule, ruleName: '' },
        timeouts: { request: routes[route]?.mark ?? 0, backendRequest: 1, connect: 1, idle: 1 },
      }),
    ),
  )
  plans.sort(({ id: a }, { id: b }) =>
    a.namespace === b.namespace
      ? a.route < b.route
        ? -1
        : a.route > b.route
          ? 1
          : a.rule - b.rule
      : a.namespace < b.namespace
        ? -1
        : 1,
  )
  const matchesOf = (wanted: (route: string) => boolean) =>
    plans.flatMap(({ id }, route) => (wanted(id.route) ? [makeMatch(`/${id.route}/${id.rule}`, { route })] : []))
  const hosts = names.map((route) => makeHost(`${route}.acme.test`, { matches: matchesOf((each) => each === route) }))
  hosts.push(makeHost('all.acme.test', { matches: matchesOf((each) => Number(each) % 2 === 0) }))
  hosts.sort((a, b) => (a.host < b.host ? -1 : 1))
  const { hash: _, ...shard } = makeShard('acme', { routes: plans, hosts })
  return sealShard(shard, sha256, before)
}

/** What a pod has that took a shard whole. */
function taken(shard: TenantShard): TenantShard {
  const read = readContentLine(JSON.parse(shardLine(shard)), sha256)
  if (typeof read === 'string' || read.type !== 'shard') throw new Error(JSON.stringify(read))
  return read.shard
}

function applied(line: string, held: TenantShard): TenantShard | undefined {
  const parsed: unknown = JSON.parse(line)
  if (!isChange(parsed)) throw new Error('no change')
  return applyChange(parsed, (tenant) => (tenant === held.tenant ? held : undefined), sha256)?.shard
}

test('what is another tenant’s, or leads nowhere, is taken neither whole nor as a change', () => {
  const many = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [String(index), { rules: 1, mark: 1 }]))
  const before = sealed(many)
  const { hash: _, ...good } = sealed({ ...many, 4: { rules: 1, mark: 2 } })
  const id = { tenant: 'other', namespace: 'ns-0', route: '4', rule: 0, ruleName: '' }
  const pool = { tenant: 'other', namespace: 'n', service: 's', port: 80, tls: '' }
  const backend = { weight: 1, pool, service: { namespace: 'n', name: 's', port: '80' } }
  const place = good.routes.findIndex((route) => route.id.route === '4')
  const withRoute = (rest: object) => good.routes.map((route, at) => (at === place ? { ...route, ...rest } : route))
  const nowhere = makeHost('all.acme.test', { matches: [makeMatch('/', { route: 99 })] })
  for (const bad of [
    { ...good, routes: withRoute({ id }) },
    { ...good, routes: withRoute({ action: { type: 'forward', backends: [backend] } }) },
    { ...good, hosts: good.hosts.map((host) => (host.host === nowhere.host ? nowhere : host)) },
  ]) {
    const shard = sealShard(bad, sha256)
    expect(readContentLine(JSON.parse(shardLine(shard)), sha256)).toBe('a shard of which something is not its own')
    expect(applied(changeLine(before, shard, sha256) ?? '', taken(before))).toBeUndefined()
  }
})

describe('a change', () => {
  test('leads to what was sealed, one after the other, whatever came, went or moved', () => {
    let told = 0
    fc.assert(
      fc.property(
        world,
        fc.array(fc.tuple(name, fc.option(fc.integer({ min: 1, max: 3 }), { nil: 0 })), { maxLength: 6 }),
        (first, edits) => {
          let routes = first
          let former = sealed(routes)
          let pod = taken(former)
          for (const [route, mark] of edits) {
            const { [route]: _, ...rest } = routes
            routes = mark === 0 ? rest : { ...rest, [route]: { rules: mark, mark } }
            const next = sealed(routes, former)
            expect(next).toEqual(sealed(routes))
            const line = changeLine(former, next, sha256)
            if (line !== undefined) told++
            const after = line === undefined ? taken(next) : applied(line, pod)
            expect(after).toEqual(next)
            pod = after ?? pod
            former = next
          }
        },
      ),
    )
    expect(told).toBeGreaterThan(50)
  })

  test('is as long as the edit, not as the tenant', () => {
    const many = Object.fromEntries(
      Array.from({ length: 500 }, (_, index) => [String(2 * index + 1), { rules: 1, mark: 1 }]),
    )
    const before = sealed(many)
    for (const edit of [{ 501: { rules: 1, mark: 2 } }, { 1501: { rules: 1, mark: 1 } }]) {
      const line = changeLine(before, sealed({ ...many, ...edit }, before), sha256) ?? ''
      expect(line.length).toBeGreaterThan(100)
      expect(line.length).toBeLessThan(2_000)
    }
    expect(shardLine(before).length).toBeGreaterThan(200_000)
  })

  test('is not told where most of the shard is new, nor where certificates are', () => {
    const before = sealed({ 1: { rules: 1, mark: 1 } })
    expect(changeLine(before, sealed({ 2: { rules: 1, mark: 1 } }), sha256)).toBeUndefined()
    const authority = { count: 1, notAfter: 1, fingerprint: 'a'.repeat(64), pem: '' }
    const { hash: _, ...rest } = before
    const trusting = sealShard({ ...rest, authorities: new Map([[authority.fingerprint, authority]]) }, sha256)
    expect(changeLine(before, trusting, sha256)).toBeUndefined()
  })

  test('of something else than what is there is not taken, nor one that is damaged anywhere', () => {
    const many = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [String(index), { rules: 1, mark: 1 }]))
    const before = sealed(many)
    const after = sealed({ ...many, 4: { rules: 2, mark: 2 } }, before)
    const line = changeLine(before, after, sha256) ?? ''
    const held = taken(before)
    expect(applied(line, held)).toEqual(after)
    expect(applied(line, taken(after))).toBeUndefined()
    expect(applyChange(JSON.parse(line) as { change: unknown }, () => undefined, sha256)).toBeUndefined()
    let tried = 0
    const visit = (value: unknown, path: readonly string[]): void => {
      if (typeof value === 'object' && value !== null) {
        for (const key of Object.keys(value)) visit((value as Record<string, unknown>)[key], [...path, key])
        return
      }
      const damaged = JSON.parse(line) as Record<string, unknown>
      let at = damaged
      for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>
      at[path.at(-1) ?? ''] = typeof value === 'number' ? value + 1 : 'changed'
      tried++
      expect(applied(JSON.stringify(damaged), held), path.join('.')).toBeUndefined()
    }
    visit(JSON.parse(line), [])
    expect(tried).toBeGreaterThan(50)
    const strange = JSON.parse(line) as { change: Record<string, unknown> }
    strange.change['mirror'] = 1
    expect(applied(JSON.stringify(strange), held)).toBeUndefined()
    const cut = JSON.parse(line) as { change: Record<string, unknown> }
    cut.change['goneRoutes'] = [{ namespace: 'ns-1', route: '3', rule: 0 }]
    expect(applied(JSON.stringify(cut), held)).toBeUndefined()
  })
})

test('a hash that is remembered is never that of another shard', () => {
  const host = makeHost('a.test', { matches: [makeMatch('/', { route: 0 })] })
  const hashWith = (route: string) => {
    const { hash: _, ...shard } = makeShard('acme', { hosts: [host], routes: [makeRoute('acme', route)] })
    return sealShard(shard, sha256).hash
  }
  expect(hashWith('one')).not.toBe(hashWith('two'))
  expect(hashWith('one')).toBe(hashWith('one'))
})

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sealPool, sealShard } from '../controller/compile/seal.ts'
import { makeShard } from '../test/support/shard.ts'
import { formatPeerName, isNamePart, readPeerIdentity } from './peer-name.ts'
import {
  comparePositions,
  PUSH_LIMITS,
  readAcknowledgement,
  readActivateOrder,
  readShortAnswer,
  readEndpointsOrder,
  readManifest,
  readManifestAnswer,
  readPositionAnswer,
  readPositionQuery,
  readSigningAnswer,
  readSigningRequest,
} from './push.ts'
import { poolLine, readContentLine, shardLine } from './push-shard.ts'
import { EMPTY_ROOT, RootHash } from './root-hash.ts'
import { poolKey, tenantOfPoolKey } from './snapshot.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const [manifestText = '', poolText = '', shardText = ''] = readFileSync(
  new URL('../test/fixtures/push-format-1.ndjson', import.meta.url),
  'utf8',
).split('\n')

describe('what the first release wrote', () => {
  // The file was written once and is never written again: it stands for pods and controllers that are out there.
  test('is read, and is the same when it is written again', () => {
    const manifest = readManifest(JSON.parse(manifestText))
    expect(manifest).not.toBeTypeOf('string')
    const shard = readContentLine(JSON.parse(shardText), sha256)
    const pool = readContentLine(JSON.parse(poolText), sha256)
    if (typeof shard === 'string' || shard.type !== 'shard') throw new Error(JSON.stringify(shard))
    if (typeof pool === 'string' || pool.type !== 'pool') throw new Error(JSON.stringify(pool))
    expect(JSON.parse(shardLine(shard.shard))).toEqual(JSON.parse(shardText))
    expect(JSON.parse(poolLine(pool.pool))).toEqual(JSON.parse(poolText))
  })

  test('has the hash that compile gives it', () => {
    const shard = readContentLine(JSON.parse(shardText), sha256)
    if (typeof shard === 'string' || shard.type !== 'shard') throw new Error()
    const { hash, ...rest } = shard.shard
    expect(sealShard(rest, sha256).hash).toBe(hash)
    const pool = readContentLine(JSON.parse(poolText), sha256)
    if (typeof pool === 'string' || pool.type !== 'pool') throw new Error()
    expect(sealPool(pool.pool.id, pool.pool.endpoints, sha256).hash).toBe(pool.hash)
  })
})

describe('messages', () => {
  const readers = [
    readManifest,
    readManifestAnswer,
    readActivateOrder,
    readAcknowledgement,
    readEndpointsOrder,
    readShortAnswer,
    readPositionQuery,
    readPositionAnswer,
    readSigningRequest,
    readSigningAnswer,
  ]

  test('that are anything else are refused in a sentence, and nothing throws', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        for (const read of readers) expect(read(value)).toBeTypeOf('string')
      }),
    )
  })

  test('with any field more, less or of another kind are refused', () => {
    const manifest = JSON.parse(manifestText) as Record<string, unknown>
    for (const name of Object.keys(manifest)) {
      const { [name]: _, ...less } = manifest
      expect(readManifest(less), name).toBe(`${name} is missing`)
      expect(readManifest({ ...manifest, [name]: { a: 1 } }), name).toBeTypeOf('string')
    }
    expect(readManifest({ ...manifest, more: 1 })).toBe('more is not known here')
    expect(readManifest({ ...manifest, ['__proto__x']: 1 })).toBe('__proto__x is not known here')
    expect(readManifest(JSON.parse(manifestText.replace('{', '{"__proto__":{"a":1},')))).toBe(
      '__proto__ is not known here',
    )
  })

  test('have bounds', () => {
    const manifest = JSON.parse(manifestText) as Record<string, unknown>
    const shards = Array.from({ length: PUSH_LIMITS.shardsCount + 1 }, () => ['a', null])
    expect(readManifest({ ...manifest, shards })).toBe('shards must have at most 100000 entries')
    expect(readManifest({ ...manifest, shards: [['a'.repeat(254), null]] })).toContain('at most 253 characters')
    for (const fence of [-1, 1.5, 2 ** 53, '1', null]) expect(readManifest({ ...manifest, fence })).toContain('fence')
    for (const root of ['', 'A'.repeat(64), '0'.repeat(63)])
      expect(readManifest({ ...manifest, root })).toContain('root')
  })

  test('that name what is not known are printed without their own bytes', () => {
    const manifest = JSON.parse(manifestText) as Record<string, unknown>
    expect(readManifest({ ...manifest, 'a\u001b[2Jb\n': 1 })).toBe('a?[2Jb? is not known here')
  })
})

describe('a line of content', () => {
  test('is damaged by any change of what its hash covers', () => {
    const paths: string[] = []
    const visit = (value: unknown, path: readonly string[]): void => {
      if (typeof value === 'object' && value !== null) {
        for (const key of Object.keys(value)) visit((value as Record<string, unknown>)[key], [...path, key])
      } else {
        // Certificates and authorities are covered by their fingerprints.
        const covered = !['certificates', 'authorities'].includes(path[1] ?? '') || path.at(-1) === 'fingerprint'
        const changed = JSON.parse(shardText) as Record<string, unknown>
        let at: Record<string, unknown> = changed
        for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>
        at[path.at(-1) ?? ''] = typeof value === 'number' ? value + 1 : 'changed'
        if (covered) {
          paths.push(path.join('.'))
          expect(readContentLine(changed, sha256), path.join('.')).toBeTypeOf('string')
        }
      }
    }
    visit(JSON.parse(shardText), [])
    expect(paths.length).toBeGreaterThan(100)
  })

  test('shows its key to nobody once it is read', async () => {
    const read = readContentLine(JSON.parse(shardText), sha256)
    const { inspect } = await import('node:util')
    expect(inspect(read, { depth: 20 })).not.toContain('no key')
    expect(JSON.stringify(read)).not.toContain('no key')
    expect(shardText).toContain('no key')
  })

  test('of a tenant without anything is read too', () => {
    const { hash: _, ...shard } = makeShard('acme')
    const sealed = sealShard(shard, sha256)
    expect(readContentLine(JSON.parse(shardLine(sealed)), sha256)).toMatchObject({ type: 'shard', shard: sealed })
  })
})

describe('positions', () => {
  test('go by the fence first', () => {
    const order = [
      { fence: 1, sequence: 900 },
      { fence: 2, sequence: 0 },
      { fence: 2, sequence: 1 },
      { fence: 10, sequence: 0 },
    ]
    for (const [index, a] of order.entries()) {
      for (const [other, b] of order.entries()) {
        expect(Math.sign(comparePositions(a, b))).toBe(Math.sign(index - other))
      }
    }
  })
})

describe('the root of a set', () => {
  const entry = fc.tuple(
    fc.constantFrom('shard' as const, 'pool' as const),
    fc.string({ maxLength: 5 }),
    fc.stringMatching(/^[0-9a-f]{1,8}$/),
  )

  test('is the same in any order, and nothing again when all is taken out', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), (entries) => {
        const one = new RootHash(sha256)
        const other = new RootHash(sha256)
        for (const each of entries) one.put(...each)
        for (const each of [...entries].reverse()) other.put(...each)
        expect(one.toString()).toBe(other.toString())
        expect(one.toString()).toMatch(/^[0-9a-f]{64}$/)
        const rest = new RootHash(sha256, one.toString())
        for (const each of entries) rest.take(...each)
        expect(rest.toString()).toBe(EMPTY_ROOT)
      }),
    )
  })

  test('tells kinds and joints apart', () => {
    const rootOf = (kind: 'shard' | 'pool', name: string, hash: string) => {
      const root = new RootHash(sha256)
      root.put(kind, name, hash)
      return root.toString()
    }
    expect(new Set([rootOf('shard', 'a', 'bc'), rootOf('pool', 'a', 'bc'), rootOf('shard', 'ab', 'c')]).size).toBe(3)
  })
})

describe('names of peers', () => {
  test('are read back, and nothing else is', () => {
    const name = { release: 'edge', role: 'dataplane', uid: '1f-2' } as const
    const uri = `URI:${formatPeerName(name)}`
    expect(readPeerIdentity(`${uri}, IP Address:10.0.0.1`)).toEqual({ ...name, addresses: ['10.0.0.1'] })
    expect(readPeerIdentity(`IP Address:FD00:0:0:0:0:0:0:1, ${uri}`)).toEqual({ ...name, addresses: ['fd00::1'] })
    for (const text of [
      undefined,
      '',
      'IP Address:10.0.0.1',
      `${uri}, ${uri}`,
      `${uri}, DNS:example.com`,
      `${uri}, IP Address:<invalid>`,
      `${uri}, IP Address:1.2.3`,
      `URI:"atrium://edge/dataplane/1\\u002c URI:atrium://edge/controller/2"`,
      'URI:atrium://edge/dataplane/',
      'URI:atrium://edge/dataplane/a/b',
      'URI:atrium:///dataplane/a',
      'URI:atrium://edge/admin/a',
      'URI:atrium://edge/dataplane/A',
      'URI:ATRIUM://edge/dataplane/a',
      'URI:https://edge/dataplane/a',
      'URI:atrium://edge/dataplane/a?b',
      'URI:atrium://edge/dataplane/.a',
      `DNS:${formatPeerName(name)}`,
    ]) {
      expect(readPeerIdentity(text), text).toBeUndefined()
    }
  })

  test('cannot be made of parts that would be read as others', () => {
    for (const part of ['', 'a/b', 'A', 'a b', '-a', 'a.', 'ä', 'a\n', 'a'.repeat(254)]) {
      expect(isNamePart(part)).toBe(false)
      expect(() => formatPeerName({ release: part, role: 'controller', uid: 'a' })).toThrow(RangeError)
    }
  })
})

describe('the key of a pool', () => {
  test('names its tenant', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (tenant, namespace) => {
        expect(tenantOfPoolKey(poolKey({ tenant, namespace, service: 's', port: 1, tls: '' }))).toBe(tenant)
      }),
    )
    for (const text of ['', 'x', ':a', '-1:a', '1.5:a']) expect(tenantOfPoolKey(text)).toBe('')
  })
})

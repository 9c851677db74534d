import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { Hidden } from '../../model/hidden.ts'
import { readPeerIdentity } from '../../model/peer-name.ts'
import { memoryStore } from '../../test/support/publish-world.ts'
import { Authority } from './authority.ts'
import { makeKeyPair } from './certificates.ts'

const DAY = 86_400_000
const START = Date.UTC(2027, 0, 1)

function start(store = memoryStore()) {
  const clock = { now: START }
  const bundles: string[] = []
  const authority = new Authority({
    release: 'edge',
    store,
    now: () => clock.now,
    publishBundle: async (pem) => {
      bundles.push(pem)
    },
  })
  return { authority, clock, bundles, store }
}

const certificatesIn = (pem: string) => pem.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? []
const name = { release: 'edge', role: 'dataplane', uid: 'a-1' } as const

/** Whether a leaf is signed by an authority of the bundle. */
function isBelieved(leaf: string, bundle: string): boolean {
  const certificate = new X509Certificate(leaf)
  return certificatesIn(bundle).some((pem) => {
    const issuer = new X509Certificate(pem)
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
  })
}

describe('an authority', () => {
  test('signs a key for a name and an address, and for nothing else', async () => {
    const { authority, clock } = start()
    await authority.maintain()
    const { publicKey } = makeKeyPair()
    const leaf = await authority.sign(name, '10.1.2.3', publicKey)
    const certificate = new X509Certificate(leaf.certificate)
    expect(readPeerIdentity(certificate.subjectAltName)).toEqual({ ...name, addresses: ['10.1.2.3'] })
    expect(certificate.ca).toBe(false)
    expect(certificate.publicKey.export({ type: 'spki', format: 'der' })).toEqual(Buffer.from(publicKey))
    expect(leaf.notAfter - clock.now).toBe(60 * DAY)
    expect(leaf.renewAt - clock.now).toBe(20 * DAY)
    expect(isBelieved(leaf.certificate, authority.bundle)).toBe(true)
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
  })

  test('signs IPv6 addresses too', async () => {
    const { authority } = start()
    await authority.maintain()
    const leaf = await authority.sign(name, 'fd00::12', makeKeyPair().publicKey)
    expect(readPeerIdentity(new X509Certificate(leaf.certificate).subjectAltName)?.addresses).toEqual(['fd00::12'])
  })

  test('can sign leaves only', async () => {
    const { authority } = start()
    await authority.maintain()
    const [ca = ''] = certificatesIn(authority.bundle)
    expect(new X509Certificate(ca).ca).toBe(true)
    const { BasicConstraintsExtension, X509Certificate: Parsed } = await import('@peculiar/x509')
    expect(new Parsed(ca).getExtension(BasicConstraintsExtension)).toMatchObject({
      ca: true,
      pathLength: 0,
      critical: true,
    })
  })

  test('is one for all replicas, whoever comes first', async () => {
    const store = memoryStore()
    const replicas = [start(store), start(store), start(store)]
    await Promise.all(replicas.map(({ authority }) => authority.maintain()))
    await Promise.all(replicas.map(({ authority }) => authority.load()))
    expect(new Set(replicas.map(({ authority }) => authority.bundle)).size).toBe(1)
    expect(store.version).toBe(1)
  })

  test('renews itself at half its life, is believed a day before it signs, and every leaf is believed all its life', async () => {
    const { authority, clock, bundles } = start()
    await authority.maintain()
    const leaves: { readonly certificate: string; readonly notAfter: number; readonly signedAt: number }[] = []
    const counts = new Set<number>()
    for (let day = 0; day < 800; day += 5) {
      clock.now = START + day * DAY
      const before = authority.bundle
      await authority.maintain()
      const leaf = await authority.sign(name, '10.0.0.1', makeKeyPair().publicKey)
      // Pods believe today what was shown yesterday.
      if (day > 0) expect(isBelieved(leaf.certificate, before), `day ${day}`).toBe(true)
      leaves.push({ ...leaf, signedAt: clock.now })
      for (const old of leaves) {
        if (old.notAfter > clock.now) expect(isBelieved(old.certificate, authority.bundle), `day ${day}`).toBe(true)
      }
      leaves.splice(0, leaves.length, ...leaves.filter(({ notAfter }) => notAfter > clock.now))
      counts.add(certificatesIn(authority.bundle).length)
    }
    expect([...counts].sort()).toEqual([1, 2])
    expect(new Set(bundles).size).toBeGreaterThanOrEqual(7)
    for (const leaf of leaves) expect(leaf.notAfter).toBeGreaterThan(clock.now)
  }, 60_000)

  test('begins anew where nobody looked for years', async () => {
    const { authority, clock } = start()
    await authority.maintain()
    clock.now += 900 * DAY
    await expect(authority.sign(name, '10.0.0.1', makeKeyPair().publicKey)).rejects.toThrow('has ended')
    await authority.maintain()
    const leaf = await authority.sign(name, '10.0.0.1', makeKeyPair().publicKey)
    expect(isBelieved(leaf.certificate, authority.bundle)).toBe(true)
    expect(certificatesIn(authority.bundle)).toHaveLength(1)
  })

  test('hands over without a gap where half its life went by unseen', async () => {
    const { authority, clock } = start()
    await authority.maintain()
    clock.now += 364.5 * DAY
    await authority.maintain()
    const before = await authority.sign(name, '10.0.0.1', makeKeyPair().publicKey)
    expect(before.notAfter - clock.now).toBeLessThanOrEqual(0.5 * DAY)
    clock.now += 0.6 * DAY
    const after = await authority.sign(name, '10.0.0.1', makeKeyPair().publicKey)
    expect(after.notAfter - clock.now).toBe(60 * DAY)
  })

  test('puts itself back where the store was emptied, and never replaces one that it cannot read', async () => {
    const { authority, store } = start()
    await authority.maintain()
    const { bundle } = authority
    store.content = undefined
    await authority.maintain()
    expect(authority.bundle).toBe(bundle)
    expect(store.content).toBeDefined()
    store.content = new Hidden('{"generations":[{"certificate":"x","key":"y","signsFrom":1}]}')
    store.version++
    const fresh = start(store)
    await expect(fresh.authority.maintain()).rejects.toThrow('cannot be read')
    await expect(fresh.authority.load()).rejects.toThrow('cannot be read')
    expect(store.content?.reveal()).toContain('"certificate":"x"')
  })

  describe('that somebody asks to replace', () => {
    const MINUTE = 60_000
    /** The place in the bundle of whoever signs. */
    const sign = async (authority: Authority) => {
      const { certificate } = await authority.sign(name, '10.0.0.1', makeKeyPair().publicKey)
      return certificatesIn(authority.bundle).findIndex((pem) => isBelieved(certificate, pem))
    }

    test('is believed beside the next one, then signs no more, then is forgotten, at times that all replicas keep', async () => {
      const { authority, clock, bundles, store } = start()
      const standby = new Authority({
        release: 'edge',
        store,
        now: () => clock.now,
        publishBundle: () => Promise.reject(new Error('not the leader')),
      })
      await authority.maintain()
      const first = authority.bundle
      expect(authority.changesAt).toBeUndefined()
      store.request = { word: 'a', overlap: 10 * MINUTE }
      await authority.maintain()
      await standby.load()
      expect(store.progress).toMatch(/^a: .* signs from 2027-01-01T00:05:00.000Z, .* until 2027-01-01T00:10:00.000Z$/)
      for (const replica of [authority, standby]) {
        expect(certificatesIn(replica.bundle)).toHaveLength(2)
        expect(replica.bundle.startsWith(first)).toBe(true)
        expect(replica.changesAt).toBe(START + 5 * MINUTE)
        expect(await sign(replica)).toBe(0)
      }
      clock.now += 5 * MINUTE
      for (const replica of [authority, standby]) {
        // The one that signs is named first: that is how pods know that they need another leaf.
        expect(replica.bundle.endsWith(first)).toBe(true)
        expect(replica.changesAt).toBe(START + 10 * MINUTE)
        expect(await sign(replica)).toBe(0)
      }
      await authority.maintain()
      expect(bundles.at(-1)).toBe(authority.bundle)
      clock.now += 5 * MINUTE
      for (const replica of [authority, standby]) {
        expect(replica.bundle).not.toContain(first)
        expect(certificatesIn(replica.bundle)).toHaveLength(1)
        expect(replica.changesAt).toBeUndefined()
      }
      await authority.maintain()
      expect(store.progress).toBe('a: done')
    })

    test('is replaced once for each word, and one after the other', async () => {
      const { authority, clock, store } = start()
      await authority.maintain()
      store.request = { word: 'a', overlap: 10 * MINUTE }
      const seen = new Set<string>()
      const pass = async (minutes: number) => {
        for (let minute = 0; minute < minutes; minute++) {
          await authority.maintain()
          for (const pem of certificatesIn(authority.bundle)) seen.add(pem)
          clock.now += MINUTE
        }
      }
      await pass(3)
      store.request = { word: 'b', overlap: 10 * MINUTE }
      await pass(2)
      expect(seen.size).toBe(2)
      await pass(30)
      expect(seen.size).toBe(3)
      expect(certificatesIn(authority.bundle)).toHaveLength(1)
      // Half a year later it renews itself, and the old wish is no new one.
      clock.now += 183 * DAY
      await pass(1)
      expect(seen.size).toBe(4)
      expect(store.progress).toMatch(/^by age: /)
      clock.now += 62 * DAY
      await pass(30)
      expect(seen.size).toBe(4)
      expect(store.progress).toBe('b: done')
    })

    test('gives peers a minute at least, and no longer than a leaf lives', async () => {
      for (const [overlap, least] of [
        [0, MINUTE],
        [Number.MAX_SAFE_INTEGER, 60 * DAY],
      ] as const) {
        const { authority, store } = start()
        await authority.maintain()
        store.request = { word: 'a', overlap }
        await authority.maintain()
        expect(authority.changesAt).toBe(START + least / 2)
      }
    })

    test('is read as former versions wrote it', async () => {
      const { authority, store, clock } = start()
      await authority.maintain()
      const { generations } = JSON.parse(store.content?.reveal() ?? '')
      const [{ certificate, key, signsFrom }] = generations
      store.content = new Hidden(JSON.stringify({ generations: [{ certificate, key, signsFrom }] }))
      store.version++
      const fresh = start(store)
      fresh.clock.now = clock.now
      await fresh.authority.maintain()
      expect(fresh.authority.bundle).toBe(authority.bundle)
    })
  })

  test('shows its key to nobody', async () => {
    const { authority, store } = start()
    await authority.maintain()
    const { inspect } = await import('node:util')
    for (const value of [authority, store.content, await authority.issue(name, '10.0.0.1')]) {
      expect(inspect(value, { depth: 10, showHidden: true })).not.toContain('PRIVATE KEY')
      expect(JSON.stringify(value)).not.toContain('PRIVATE KEY')
    }
  })
})

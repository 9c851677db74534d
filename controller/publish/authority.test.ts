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

import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { X509Certificate } from 'node:crypto'
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { describe, expect, test } from 'vitest'
import { readPeerIdentity } from '../../model/peer-name.ts'
import { memoryStore, NAMESPACE, SERVICE_ACCOUNT, TestTokens } from '../../test/support/publish-world.ts'
import { Authority } from './authority.ts'
import { type IdentityOptions, IdentityService, type PodAddress } from './identity.ts'
import { Peers } from './peers.ts'
import type { TokenReview } from './token.ts'

const tokens = new TestTokens()
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

async function requestOf(algorithm: Record<string, unknown> = EC, name = ''): Promise<string> {
  const keys = (await webcrypto.subtle.generateKey(algorithm as never, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair
  const request = await Pkcs10CertificateRequestGenerator.create({ name, keys, signingAlgorithm: algorithm as never })
  return request.toString('pem')
}

async function start(options: Partial<IdentityOptions> = {}) {
  const authority = new Authority({
    release: 'test',
    store: memoryStore(),
    now: Date.now,
    publishBundle: async () => {},
  })
  await authority.maintain()
  const clock = { now: 0 }
  const peers = new Peers(() => clock.now)
  const service = new IdentityService({
    release: 'test',
    namespace: NAMESPACE,
    serviceAccount: SERVICE_ACCOUNT,
    authority,
    peers,
    review: async () => ({ type: 'unavailable', message: 'connection refused' }),
    clusterKeys: () => tokens.clusterKeys,
    podAddress: async () => ({ type: 'unavailable' }),
    now: Date.now,
    monotonic: () => clock.now,
    ...options,
  })
  const sign = async (rest: { token?: string; csr?: string; address?: string; uid?: string } = {}) =>
    await service.sign({
      token: rest.token ?? tokens.make(rest.uid ?? 'u1'),
      csr: rest.csr ?? (await requestOf()),
      port: 9902,
      address: rest.address ?? '10.0.0.1',
    })
  return { authority, clock, peers, service, sign }
}

const accepted = (uid: string): TokenReview => ({
  type: 'authenticated',
  username: `system:serviceaccount:${NAMESPACE}:${SERVICE_ACCOUNT}`,
  audiences: ['atrium-identity'],
  extra: {
    'authentication.kubernetes.io/pod-name': [`pod-${uid}`],
    'authentication.kubernetes.io/pod-uid': [uid],
  },
})

describe('a pod that asks for a certificate', () => {
  test('gets one for itself at the address of the call, whatever its request names, and is known from then on', async () => {
    const { authority, peers, sign } = await start()
    const csr = await requestOf(EC, 'CN=atrium://test/controller/x')
    const result = await sign({ csr, address: '::ffff:10.0.0.7' })
    if (result.type !== 'signed') throw new Error(result.message)
    const certificate = new X509Certificate(result.certificate)
    expect(readPeerIdentity(certificate.subjectAltName)).toEqual({
      release: 'test',
      role: 'dataplane',
      uid: 'u1',
      addresses: ['10.0.0.7'],
    })
    expect(certificate.subject ?? '').toBe('')
    expect(result.authorities).toBe(authority.bundle)
    expect(peers.all()).toEqual([{ uid: 'u1', name: 'pod-u1', address: '10.0.0.7', port: 9902 }])
  })

  test('with a request that is none, is not signed by its key, or has a key of another kind, gets none', async () => {
    const { peers, sign } = await start()
    const good = await requestOf()
    const der = Buffer.from(good.replace(/-----[^-]+-----|\s/g, ''), 'base64')
    der[der.length - 5] = (der[der.length - 5] ?? 0) ^ 1
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
    const rsa = {
      name: 'RSASSA-PKCS1-v1_5',
      hash: 'SHA-256',
      publicExponent: new Uint8Array([1, 0, 1]),
      modulusLength: 2_048,
    }
    for (const csr of ['', 'x', forged, await requestOf({ ...EC, namedCurve: 'P-384' }), await requestOf(rsa)]) {
      expect(await sign({ csr })).toMatchObject({ type: 'refused', status: 400 })
    }
    expect(peers.all()).toEqual([])
  })

  test('is refused where the API server says no, even if the signature is good', async () => {
    const { sign } = await start({ review: async () => ({ type: 'denied', message: 'token has been invalidated' }) })
    expect(await sign()).toMatchObject({
      type: 'refused',
      status: 401,
      message: expect.stringContaining('invalidated'),
    })
  })

  test('is believed by the API server alone where that answers', async () => {
    const { sign } = await start({
      review: async () => accepted('u1'),
      clusterKeys: () => undefined,
      podAddress: async () => ({ type: 'found', addresses: ['10.0.0.1'] }),
    })
    expect(await sign({ token: 'a.b.c' })).toMatchObject({ type: 'signed' })
  })

  test('waits where neither the API server nor its keys are at hand', async () => {
    const { sign } = await start({ clusterKeys: () => undefined })
    expect(await sign()).toMatchObject({ type: 'refused', status: 503 })
  })

  test('of another namespace or account gets none', async () => {
    const { sign } = await start()
    const claims = (namespace: string, name: string) => ({
      sub: `system:serviceaccount:${namespace}:${name}`,
      'kubernetes.io': { namespace, serviceaccount: { name }, pod: { name: 'p', uid: 'u1' } },
    })
    for (const [namespace, name] of [
      ['acme-prod', SERVICE_ACCOUNT],
      [NAMESPACE, 'default'],
      [NAMESPACE, 'test-controller'],
    ] as const) {
      const result = await sign({ token: tokens.make('u1', claims(namespace, name)) })
      expect(result).toMatchObject({ type: 'refused', status: 403 })
    }
  })

  test('without a token gets none', async () => {
    const { service } = await start()
    const csr = await requestOf()
    const result = await service.sign({ token: undefined, csr, port: 1, address: '10.0.0.1' })
    expect(result).toMatchObject({ type: 'refused', status: 401 })
  })

  test.each<[string, PodAddress, unknown]>([
    ['the same', { type: 'found', addresses: ['fd00::1', '10.0.0.1'] }, { type: 'signed' }],
    ['another', { type: 'found', addresses: ['10.0.0.2'] }, { type: 'refused', status: 403 }],
    ['none yet', { type: 'found', addresses: [] }, { type: 'refused', status: 503 }],
    ['that of no pod', { type: 'gone' }, { type: 'refused', status: 403 }],
  ])('must call from its own address: %s', async (_, answer, expected) => {
    const { sign } = await start({ review: async () => accepted('u1'), podAddress: async () => answer })
    expect(await sign()).toMatchObject(expected as object)
  })

  test('cannot be followed by a thief with its token, not even while the API server is away', async () => {
    const { peers, sign } = await start()
    const token = tokens.make('u1')
    expect(await sign({ token })).toMatchObject({ type: 'signed' })
    expect(await sign({ token, address: '10.0.0.66' })).toMatchObject({ type: 'refused', status: 403 })
    expect(await sign({ token })).toMatchObject({ type: 'signed' })
    expect(peers.get('u1')?.address).toBe('10.0.0.1')
  })

  test('that asks too often waits, and no other address with it', async () => {
    const { clock, sign } = await start()
    const results = []
    for (let call = 0; call < 12; call++) results.push(await sign())
    expect(results.filter(({ type }) => type === 'signed')).toHaveLength(10)
    expect(results.at(-1)).toMatchObject({ status: 429, retryAfter: 3_000 })
    expect(await sign({ address: '10.0.0.2', uid: 'u2' })).toMatchObject({ type: 'signed' })
    clock.now += 3_000
    expect(await sign()).toMatchObject({ type: 'signed' })
  })
})

describe('a certificate that outlives its pod', () => {
  test('counts for nothing where the API server knows better', async () => {
    const answers = { now: { type: 'gone' } as PodAddress }
    const { peers, service } = await start({ podAddress: async () => answers.now })
    expect(await service.vouches('u1', 'pod-u1', '10.0.0.1')).toBe(false)
    answers.now = { type: 'found', addresses: ['10.0.0.2'] }
    expect(await service.vouches('u1', 'pod-u1', '10.0.0.1')).toBe(false)
    answers.now = { type: 'found', addresses: ['10.0.0.1'] }
    expect(await service.vouches('u1', 'pod-u1', '10.0.0.1')).toBe(true)
    answers.now = { type: 'unavailable' }
    expect(await service.vouches('u1', 'pod-u1', '10.0.0.1')).toBe(true)
    peers.prove({ uid: 'u1', name: 'pod-u1', address: '10.0.0.5', port: 1 })
    expect(await service.vouches('u1', 'pod-u1', '10.0.0.1')).toBe(false)
    answers.now = { type: 'gone' }
    expect(await service.vouches('u1', 'pod-u1', '10.0.0.5')).toBe(true)
  })
})

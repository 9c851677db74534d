import { generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { NAMESPACE, SERVICE_ACCOUNT, TestTokens } from '../../test/support/publish-world.ts'
import { isTokenForm, podOfReview, podOfToken } from './token.ts'

const AUDIENCE = 'atrium-identity'
const tokens = new TestTokens()
const pod = { namespace: NAMESPACE, serviceAccount: SERVICE_ACCOUNT, pod: 'pod-u1', uid: 'u1' }
const read = (token: string, now = Date.now()) => podOfToken(token, tokens.clusterKeys, AUDIENCE, now)
const seconds = () => Math.floor(Date.now() / 1_000)

describe('a token, by its signature alone', () => {
  test('says which pod it is bound to', () => {
    expect(read(tokens.make('u1'))).toEqual(pod)
    expect(read(tokens.make('u1', { aud: AUDIENCE }))).toEqual(pod)
  })

  test('may be signed with an elliptic key too', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const [, body = ''] = tokens.make('u1').split('.')
    const head = Buffer.from(JSON.stringify({ alg: 'ES256', kid: 'ec' })).toString('base64url')
    const signature = sign('SHA256', Buffer.from(`${head}.${body}`), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    const keys = { issuer: tokens.issuer, keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'ec' }] }
    const token = `${head}.${body}.${signature.toString('base64url')}`
    expect(podOfToken(token, keys, AUDIENCE, Date.now())).toEqual(pod)
    expect(podOfToken(`${token.slice(0, -4)}AAAA`, keys, AUDIENCE, Date.now())).toBe('has a wrong signature')
  })

  test.each<[string, Record<string, unknown>, string]>([
    ['another issuer', { iss: 'https://elsewhere.test' }, 'is of another issuer'],
    ['another audience', { aud: ['https://kubernetes.default.svc'] }, 'is for another audience'],
    ['no audience', { aud: undefined }, 'is for another audience'],
    ['an end that is past', { exp: seconds() - 11 }, 'has ended'],
    ['no end', { exp: undefined }, 'has ended'],
    ['an end that is a text', { exp: String(seconds() + 100) }, 'has ended'],
    ['a beginning that is to come', { nbf: seconds() + 60 }, 'does not hold yet'],
    ['a birth that is to come', { iat: seconds() + 60 }, 'was made in the future'],
    [
      'no pod',
      { 'kubernetes.io': { namespace: NAMESPACE, serviceaccount: { name: SERVICE_ACCOUNT } } },
      'is bound to no pod',
    ],
    ['no account', { 'kubernetes.io': { namespace: NAMESPACE } }, 'is of no service account'],
    ['nothing of Kubernetes', { 'kubernetes.io': undefined }, 'is of no service account'],
    ['another subject', { sub: 'system:serviceaccount:other:other' }, 'contradicts itself'],
  ])('with %s is refused', (_, claims, problem) => {
    expect(read(tokens.make('u1', claims))).toBe(problem)
  })

  test.each<[string, Record<string, unknown>, string]>([
    ['no algorithm', { alg: 'none' }, 'is signed in a way that is not accepted'],
    ['a symmetric one', { alg: 'HS256' }, 'is signed in a way that is not accepted'],
    ['that of another kind of key', { alg: 'ES256' }, 'is signed in a way that is not accepted'],
    ['no key', { kid: undefined }, 'names no key'],
    ['an unknown key', { kid: 'two' }, 'is signed with a key that the cluster did not have when it was last asked'],
    ['an extension', { crit: ['b64'] }, 'asks for an extension of JWS'],
  ])('that names %s is refused', (_, header, problem) => {
    expect(read(tokens.make('u1', {}, header))).toBe(problem)
  })

  test('is refused after any change of any of its bytes', () => {
    const token = tokens.make('u1')
    for (let at = 0; at < token.length; at += 7) {
      const changed = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
      // The last character of a part may carry bits that mean nothing.
      if (
        Buffer.from(changed.split('.')[2] ?? '', 'base64url').equals(
          Buffer.from(token.split('.')[2] ?? '', 'base64url'),
        ) &&
        changed.split('.').slice(0, 2).join() === token.split('.').slice(0, 2).join()
      )
        continue
      expect(typeof (isTokenForm(changed) ? read(changed) : ''), String(at)).toBe('string')
    }
  })

  test('of the wrong form is none', () => {
    for (const text of ['', 'a', 'a.b', 'a.b.c.d', 'a b.c.d', `${'a'.repeat(20_000)}.b.c`])
      expect(isTokenForm(text)).toBe(false)
  })
})

describe('a token that the API server knows', () => {
  const review = {
    type: 'authenticated' as const,
    username: `system:serviceaccount:${NAMESPACE}:${SERVICE_ACCOUNT}`,
    audiences: [AUDIENCE],
    extra: {
      'authentication.kubernetes.io/pod-name': ['pod-u1'],
      'authentication.kubernetes.io/pod-uid': ['u1'],
    },
  }

  test('says which pod it is bound to', () => {
    expect(podOfReview(review, AUDIENCE)).toEqual(pod)
  })

  test('is refused for another audience, for a person, and for no pod or two', () => {
    expect(podOfReview({ ...review, audiences: ['x'] }, AUDIENCE)).toBe('is for another audience')
    expect(podOfReview({ ...review, username: 'kubernetes-admin' }, AUDIENCE)).toBe('is of no service account')
    expect(podOfReview({ ...review, extra: {} }, AUDIENCE)).toBe('is bound to no pod')
    const two = { ...review.extra, 'authentication.kubernetes.io/pod-uid': ['u1', 'u2'] }
    expect(podOfReview({ ...review, extra: two }, AUDIENCE)).toBe('is bound to no pod')
  })
})

// Who sends a projected token of a pod: read from what the API server says of it, or, where that cannot be reached, from
// the token itself against the cluster's keys. Uses node:crypto. identity.ts decides what follows from it.
import { createPublicKey, verify, type webcrypto } from 'node:crypto'

/** What TokenReview came to. Only `unavailable` may be made up for offline; a no is a no. */
export type TokenReview =
  | {
      readonly type: 'authenticated'
      readonly username: string
      readonly groups?: readonly string[]
      readonly audiences: readonly string[]
      readonly extra: Readonly<Record<string, readonly string[]>>
    }
  | { readonly type: 'denied'; readonly message: string }
  /** Nobody answered, or with a 5xx. */
  | { readonly type: 'unavailable'; readonly message: string }

/** The cluster's keys as they were last read from it (/openid/v1/jwks), and its issuer. */
export interface ClusterKeys {
  readonly issuer: string
  readonly keys: readonly (webcrypto.JsonWebKey & { readonly kid?: string })[]
}

/** The pod that a token is bound to. */
export interface TokenPod {
  readonly namespace: string
  readonly serviceAccount: string
  readonly pod: string
  readonly uid: string
}

/** Seconds by which clocks may differ. */
const LEEWAY = 10
const MAX_TOKEN = 16_384
const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const USERNAME = /^system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})$/
const POD_NAME = 'authentication.kubernetes.io/pod-name'
const POD_UID = 'authentication.kubernetes.io/pod-uid'

/** Whether a text can be a token at all. */
export function isTokenForm(token: string): boolean {
  return token.length <= MAX_TOKEN && FORM.test(token)
}

/** The pod of a token that TokenReview accepted; a clause where it is not for us, or of no pod. */
export function podOfReview(
  review: Extract<TokenReview, { readonly type: 'authenticated' }>,
  audience: string,
): TokenPod | string {
  if (!review.audiences.includes(audience)) return 'is for another audience'
  const [, namespace, serviceAccount] = USERNAME.exec(review.username) ?? []
  const pod = only(review.extra[POD_NAME])
  const uid = only(review.extra[POD_UID])
  if (namespace === undefined || serviceAccount === undefined) return 'is of no service account'
  return pod === undefined || uid === undefined ? 'is bound to no pod' : { namespace, serviceAccount, pod, uid }
}

/**
 * The pod of a token, by its signature alone. A clause where the token is not valid at `now` (milliseconds since the
 * epoch). It cannot know that the pod is gone meanwhile.
 */
export function podOfToken(token: string, cluster: ClusterKeys, audience: string, now: number): TokenPod | string {
  const [head = '', body = '', signature = ''] = token.split('.')
  const header = readPart(head)
  const claims = readPart(body)
  if (header === undefined || claims === undefined) return 'cannot be read'
  const problem = signatureProblem(header, `${head}.${body}`, Buffer.from(signature, 'base64url'), cluster)
  return problem ?? claimsProblem(claims, cluster.issuer, audience, now / 1_000) ?? boundPod(claims)
}

type Part = Readonly<Record<string, unknown>>

function signatureProblem(header: Part, signed: string, signature: Buffer, cluster: ClusterKeys): string | undefined {
  const { alg, kid, crit } = header
  if (crit !== undefined) return 'asks for an extension of JWS'
  if (typeof kid !== 'string') return 'names no key'
  // The key decides what the algorithm may be, never the token alone (RFC 8725, 3.1).
  const jwk = cluster.keys.find((key) => key.kid === kid)
  if (jwk === undefined) return 'is signed with a key that the cluster did not have when it was last asked'
  const data = Buffer.from(signed, 'ascii')
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    if (alg === 'RS256' && jwk.kty === 'RSA' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2_048) {
      return verify('RSA-SHA256', data, key, signature) ? undefined : 'has a wrong signature'
    }
    if (alg === 'ES256' && jwk.kty === 'EC' && jwk.crv === 'P-256') {
      return verify('SHA256', data, { key, dsaEncoding: 'ieee-p1363' }, signature) ? undefined : 'has a wrong signature'
    }
    return 'is signed in a way that is not accepted'
  } catch {
    return 'is signed with a key that cannot be used'
  }
}

function claimsProblem(claims: Part, issuer: string, audience: string, now: number): string | undefined {
  const { iss, aud, exp, nbf, iat } = claims
  if (iss !== issuer) return 'is of another issuer'
  if (!(aud === audience || (Array.isArray(aud) && aud.includes(audience)))) return 'is for another audience'
  if (typeof exp !== 'number' || now >= exp + LEEWAY) return 'has ended'
  if (nbf !== undefined && !(typeof nbf === 'number' && now >= nbf - LEEWAY)) return 'does not hold yet'
  if (iat !== undefined && !(typeof iat === 'number' && now >= iat - LEEWAY)) return 'was made in the future'
  return undefined
}

function boundPod(claims: Part): TokenPod | string {
  const bound = partOf(claims['kubernetes.io'])
  const namespace = bound?.['namespace']
  const serviceAccount = partOf(bound?.['serviceaccount'])?.['name']
  const pod = partOf(bound?.['pod'])
  const name = pod?.['name']
  const uid = pod?.['uid']
  if (typeof namespace !== 'string' || typeof serviceAccount !== 'string') return 'is of no service account'
  if (claims['sub'] !== `system:serviceaccount:${namespace}:${serviceAccount}`) return 'contradicts itself'
  if (typeof name !== 'string' || typeof uid !== 'string') return 'is bound to no pod'
  return { namespace, serviceAccount, pod: name, uid }
}

function readPart(text: string): Part | undefined {
  try {
    return partOf(JSON.parse(Buffer.from(text, 'base64url').toString('utf8')))
  } catch {
    return undefined
  }
}

function partOf(value: unknown): Part | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Part) : undefined
}

function only(values: readonly string[] | undefined): string | undefined {
  return values?.length === 1 ? values[0] : undefined
}

// Gives dataplane pods their certificates: a pod proves by its projected token which pod it is, and gets a certificate
// for that pod at the address from which it called. Works on every replica, and without the API server.
import { canonicalAddress } from '../../model/peer-name.ts'
import { IDENTITY_AUDIENCE } from '../../model/push.ts'
import type { Authority } from './authority.ts'
import { CallBudget } from './call-budget.ts'
import { readRequest } from './certificates.ts'
import type { Peers } from './peers.ts'
import { type ClusterKeys, isTokenForm, podOfReview, podOfToken, type TokenPod, type TokenReview } from './token.ts'

/** What the API server says about the address of a pod. */
export type PodAddress =
  | { readonly type: 'found'; readonly addresses: readonly string[] }
  /** There is no such pod, or it has ended. */
  | { readonly type: 'gone' }
  | { readonly type: 'unavailable' }

export interface IdentityOptions {
  readonly release: string
  /** Where the release lives, and the ServiceAccount of its dataplane pods: no other token counts. */
  readonly namespace: string
  readonly serviceAccount: string
  readonly authority: Authority
  readonly peers: Peers
  /** Asks the API server about a token. Never rejects. */
  readonly review: (token: string, audience: string) => Promise<TokenReview>
  /** The cluster's keys as last seen, undefined where they never were. */
  readonly clusterKeys: () => ClusterKeys | undefined
  /** Asks the API server where a pod is. Never rejects. */
  readonly podAddress: (namespace: string, name: string, uid: string) => Promise<PodAddress>
  /** Milliseconds since the epoch, and monotonic ones. */
  readonly now: () => number
  readonly monotonic: () => number
}

/** A call for a certificate. */
export interface SigningCall {
  /** What came after `Bearer `, undefined for nothing. */
  readonly token: string | undefined
  readonly csr: string
  /** On which the pod says that it listens. */
  readonly port: number
  /** Address of the other end of the connection. */
  readonly address: string
}

export type SigningResult =
  | { readonly type: 'signed'; readonly certificate: string; readonly authorities: string }
  | {
      readonly type: 'refused'
      /** HTTP status: 400 the request, 401 the token, 403 the pod, 429 too often, 503 not now. */
      readonly status: number
      readonly code: 'Request' | 'Token' | 'Pod' | 'TooOften' | 'NotNow'
      readonly message: string
      /** Milliseconds. */
      readonly retryAfter?: number
    }

const MAX_AT_ONCE = 32

/** See the head of this file. */
export class IdentityService {
  readonly #options: IdentityOptions
  readonly #budget: CallBudget
  #running = 0

  constructor(options: IdentityOptions) {
    this.#options = options
    this.#budget = new CallBudget(options.monotonic)
  }

  /** Signs, or says why not. Never rejects for what a caller sent. */
  async sign(call: SigningCall): Promise<SigningResult> {
    const address = canonicalAddress(call.address)
    if (address === undefined) return refuse(400, 'Request', 'the address of the call cannot be read')
    const wait = this.#budget.take(address)
    if (wait > 0) return { ...refuse(429, 'TooOften', 'this address asks too often'), retryAfter: wait }
    if (this.#running >= MAX_AT_ONCE) return { ...refuse(503, 'NotNow', 'too many ask at once'), retryAfter: 1_000 }
    this.#running++
    try {
      return await this.#sign(call, address)
    } finally {
      this.#running--
    }
  }

  /**
   * Whether a pod that shows a certificate is still there, at that address: a certificate outlives its pod. Where nobody
   * can be asked it counts, because the first thing a cluster without an API server needs is to go on.
   */
  async vouches(uid: string, name: string, address: string): Promise<boolean> {
    const { namespace, peers } = this.#options
    if (peers.get(uid)?.address === address) return true
    return (await this.#addressProblem({ namespace, pod: name, uid }, address)) === undefined
  }

  async #sign({ token, csr, port }: SigningCall, address: string): Promise<SigningResult> {
    const { authority, peers, release } = this.#options
    if (token === undefined || !isTokenForm(token)) return refuse(401, 'Token', 'send the projected token as a bearer')
    const publicKey = await readRequest(csr)
    if (typeof publicKey === 'string') return refuse(400, 'Request', `the request for a certificate ${publicKey}`)
    const pod = await this.#authenticate(token)
    if ('type' in pod) return pod
    const problem = await this.#addressProblem(pod, address)
    if (problem !== undefined) return problem
    const name = { release, role: 'dataplane', uid: pod.uid } as const
    const { certificate } = await authority.sign(name, address, publicKey)
    if (port > 0) peers.prove({ uid: pod.uid, name: pod.pod, address, port })
    return { type: 'signed', certificate, authorities: authority.bundle }
  }

  async #authenticate(token: string): Promise<TokenPod | SigningResult> {
    const { review, clusterKeys, namespace, serviceAccount, now } = this.#options
    const answer = await review(token, IDENTITY_AUDIENCE)
    if (answer.type === 'denied') return refuse(401, 'Token', `the token was refused: ${answer.message}`)
    let pod: TokenPod | string
    if (answer.type === 'authenticated') pod = podOfReview(answer, IDENTITY_AUDIENCE)
    else {
      const keys = clusterKeys()
      if (keys === undefined) {
        return { ...refuse(503, 'NotNow', `the token cannot be checked: ${answer.message}`), retryAfter: 1_000 }
      }
      pod = podOfToken(token, keys, IDENTITY_AUDIENCE, now())
    }
    if (typeof pod === 'string') return refuse(401, 'Token', `the token ${pod}`)
    if (pod.namespace !== namespace || pod.serviceAccount !== serviceAccount) {
      return refuse(403, 'Pod', 'the token is of another service account')
    }
    return pod
  }

  async #addressProblem(
    pod: Pick<TokenPod, 'namespace' | 'pod' | 'uid'>,
    address: string,
  ): Promise<SigningResult | undefined> {
    const { podAddress, peers } = this.#options
    const answer = await podAddress(pod.namespace, pod.pod, pod.uid)
    if (answer.type === 'gone') return refuse(403, 'Pod', 'there is no such pod any more')
    if (answer.type === 'found') {
      if (answer.addresses.length === 0) {
        return { ...refuse(503, 'NotNow', 'the address of the pod is not known yet'), retryAfter: 500 }
      }
      if (answer.addresses.some((text) => canonicalAddress(text) === address)) return undefined
      return refuse(403, 'Pod', 'the call comes from another address than that of the pod')
    }
    // Nobody can be asked. A pod never changes its address, so a token that is used from a second one is stolen.
    const known = peers.get(pod.uid)
    if (known === undefined || known.address === address) return undefined
    return refuse(403, 'Pod', 'the call comes from another address than that of the pod')
  }
}

function refuse(
  status: number,
  code: 'Request' | 'Token' | 'Pod' | 'TooOften' | 'NotNow',
  message: string,
): Extract<SigningResult, { readonly type: 'refused' }> {
  return { type: 'refused', status, code, message }
}

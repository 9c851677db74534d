// Who calls the API and what they may see. A bearer token is shown to the API server (TokenReview) for our audience only,
// so a token made for the API server itself is refused here and cannot be replayed there; rights are asked of Kubernetes
// (SubjectAccessReview), which is the only permission system. Answers are kept for half a minute, in bounded tables.
import { createHash } from 'node:crypto'
import { tupleKey } from '../../model/resources.ts'
import type { ApiCalls } from '../api-calls.ts'
import { reviewToken } from '../cluster/reviews.ts'

/** Audience of tokens for this API. */
const API_AUDIENCE = 'atrium-console'

/** A caller, as the API server knows them. */
export interface Caller {
  readonly username: string
  readonly groups: readonly string[]
  readonly extra: Readonly<Record<string, readonly string[]>>
}

/** A right, in the words of RBAC (group `atrium.dev`). */
export interface Right {
  readonly verb: 'get' | 'list' | 'create'
  readonly resource: 'tenants' | 'routes' | 'pods'
  readonly subresource?: 'traffic' | 'explain' | 'snapshot'
  /** '' or absent: in all namespaces. */
  readonly namespace?: string
  readonly name?: string
}

/** Why a call is not answered. */
export interface Denial {
  /** 401 no valid token; 403 the right is missing; 429 too many wrong tokens; 503 nobody can be asked. */
  readonly status: 401 | 403 | 429 | 503
  readonly message: string
  /** Seconds. */
  readonly retryAfter?: number
}

export interface ApiAccessOptions {
  readonly api: ApiCalls
  /** Monotonic milliseconds. */
  readonly monotonic: () => number
}

const KEPT_MS = 30_000
/** A right that was missing may just have been given. */
const KEPT_NO_MS = 5_000
const MAX_TOKENS = 2_000
const MAX_RIGHTS = 20_000
const MAX_TOKEN = 16_384
const AT_ONCE = 32
const WRONG_TOKENS = 20
const WRONG_WINDOW_MS = 60_000
const MAX_ADDRESSES = 10_000
const TIMEOUT_MS = 5_000

/** See the head of this file. */
export class ApiAccess {
  readonly #options: ApiAccessOptions
  readonly #tokens: Kept<Caller | Denial>
  readonly #rights: Kept<boolean>
  readonly #wrong = new Map<string, { count: number; since: number }>()
  #running = 0

  constructor(options: ApiAccessOptions) {
    this.#options = options
    this.#tokens = new Kept(MAX_TOKENS, options.monotonic)
    this.#rights = new Kept(MAX_RIGHTS, options.monotonic)
  }

  /** Whose token this is. `authorization`: the header; `address`: where it comes from. Never rejects. */
  async authenticate(authorization: string | undefined, address: string): Promise<Caller | Denial> {
    const token = /^Bearer ([A-Za-z0-9._~+/=-]+)$/.exec(authorization ?? '')?.[1]
    if (token === undefined || token.length > MAX_TOKEN) {
      return { status: 401, message: `send a token for the audience ${API_AUDIENCE} as a bearer` }
    }
    const key = createHash('sha256').update(token).digest('base64')
    const kept = this.#tokens.get(key)
    if (kept !== undefined) return kept
    const wait = this.#waitOf(address)
    if (wait > 0) return { status: 429, message: 'too many wrong tokens from this address', retryAfter: wait }
    if (this.#running >= AT_ONCE) return { status: 503, message: 'too many tokens are checked now', retryAfter: 1 }
    this.#running++
    try {
      const answer = await this.#review(token, address)
      if (!isDenial(answer) || answer.status === 401) {
        this.#tokens.set(key, answer, isDenial(answer) ? KEPT_NO_MS : KEPT_MS)
      }
      return answer
    } finally {
      this.#running--
    }
  }

  /** Whether a caller has a right. Rejects where nobody can be asked: closed on doubt. */
  async may(caller: Caller, right: Right): Promise<boolean> {
    const { verb, resource, subresource = '', namespace = '', name = '' } = right
    const key = tupleKey([caller.username, ...caller.groups, '', verb, resource, subresource, namespace, name])
    const kept = this.#rights.get(key)
    if (kept !== undefined) return kept
    const { status, body } = await this.#options.api.request({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          user: caller.username,
          groups: caller.groups,
          extra: caller.extra,
          resourceAttributes: { group: 'atrium.dev', version: '*', verb, resource, subresource, namespace, name },
        },
      },
      timeoutMs: TIMEOUT_MS,
    })
    if (status < 200 || status >= 300) throw new Error(`the access review was answered ${status}`)
    const { allowed, denied } = Object(Object(body).status)
    const yes = allowed === true && denied !== true
    this.#rights.set(key, yes, yes ? KEPT_MS : KEPT_NO_MS)
    return yes
  }

  async #review(token: string, address: string): Promise<Caller | Denial> {
    const review = await reviewToken(this.#options.api, token, API_AUDIENCE)
    if (review.type === 'unavailable') {
      return { status: 503, message: 'the token cannot be checked: the API server does not answer', retryAfter: 2 }
    }
    const accepted = review.type === 'authenticated' && review.audiences.includes(API_AUDIENCE)
    if (!accepted) {
      this.#countWrong(address)
      return { status: 401, message: `the token is not valid for the audience ${API_AUDIENCE}` }
    }
    return { username: review.username, groups: review.groups ?? [], extra: review.extra }
  }

  #waitOf(address: string): number {
    const wrong = this.#wrong.get(address)
    if (wrong === undefined || wrong.count < WRONG_TOKENS) return 0
    const left = wrong.since + WRONG_WINDOW_MS - this.#options.monotonic()
    if (left > 0) return Math.ceil(left / 1_000)
    this.#wrong.delete(address)
    return 0
  }

  #countWrong(address: string): void {
    const now = this.#options.monotonic()
    const known = this.#wrong.get(address)
    const entry = known === undefined || known.since + WRONG_WINDOW_MS <= now ? { count: 0, since: now } : known
    entry.count++
    this.#wrong.delete(address)
    this.#wrong.set(address, entry)
    const oldest = this.#wrong.size > MAX_ADDRESSES ? this.#wrong.keys().next().value : undefined
    if (oldest !== undefined) this.#wrong.delete(oldest)
  }
}

/** Whether an answer says no. */
export function isDenial(answer: Caller | Denial): answer is Denial {
  return 'status' in answer
}

/** Values for a while, the oldest of them forgotten first. */
class Kept<Value> {
  readonly #most: number
  readonly #now: () => number
  readonly #entries = new Map<string, { value: Value; until: number }>()

  constructor(most: number, now: () => number) {
    this.#most = most
    this.#now = now
  }

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (this.#now() < entry.until) return entry.value
    this.#entries.delete(key)
    return undefined
  }

  set(key: string, value: Value, forMs: number): void {
    this.#entries.delete(key)
    this.#entries.set(key, { value, until: this.#now() + forMs })
    const oldest = this.#entries.size > this.#most ? this.#entries.keys().next().value : undefined
    if (oldest !== undefined) this.#entries.delete(oldest)
  }
}

// What the API server says about tokens, pods and its own keys: what identity.ts asks before it signs. Each asks once,
// waits little, and never rejects. controller/cluster.ts joins them.
import type { ApiCalls } from '../api-calls.ts'
import type { PodAddress } from '../publish/identity.ts'
import type { ClusterKeys, TokenReview } from '../publish/token.ts'

/** Milliseconds: a pod waits for the answer, and there is another way where none comes. */
const TIMEOUT_MS = 2_000
const KEYS_MS = 300_000
const KEYS_AGAIN_MS = 5_000
const ENDED: ReadonlySet<unknown> = new Set(['Succeeded', 'Failed'])

/** Asks with a TokenReview (authentication.k8s.io/v1) whose token it is, for an audience. */
export async function reviewToken(api: ApiCalls, token: string, audience: string): Promise<TokenReview> {
  let result: Awaited<ReturnType<ApiCalls['request']>>
  try {
    result = await api.request({
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/tokenreviews',
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences: [audience] } },
      timeoutMs: TIMEOUT_MS,
    })
  } catch (error) {
    return { type: 'unavailable', message: error instanceof Error ? error.message : 'no answer' }
  }
  const { status, body } = result
  // 401 and 403 are about the controller, not about the token that it asks for.
  if (status >= 500 || status === 429 || status === 401 || status === 403) {
    return { type: 'unavailable', message: `the API server answered ${status}` }
  }
  if (status < 200 || status >= 300) return { type: 'denied', message: `the review was refused (${status})` }
  const { authenticated, error, user, audiences } = Object(Object(body).status)
  if (authenticated !== true)
    return { type: 'denied', message: typeof error === 'string' && error !== '' ? error : 'not valid' }
  return {
    type: 'authenticated',
    username: String(Object(user).username),
    groups: texts(Object(user).groups),
    audiences: texts(audiences),
    extra: Object.fromEntries(Object.entries(Object(Object(user).extra)).map(([name, list]) => [name, texts(list)])),
  }
}

/** Asks where a pod is. */
export async function findPod(api: ApiCalls, namespace: string, name: string, uid: string): Promise<PodAddress> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`
  const answer = await api.request({ path, timeoutMs: TIMEOUT_MS }).catch(() => undefined)
  if (answer?.status === 404) return { type: 'gone' }
  if (answer?.status !== 200) return { type: 'unavailable' }
  const { metadata, status } = Object(answer.body)
  const { phase, podIPs, podIP } = Object(status)
  if (Object(metadata).uid !== uid || ENDED.has(phase)) return { type: 'gone' }
  const listed = (Array.isArray(podIPs) ? podIPs : []).flatMap((each: unknown) => texts([Object(each).ip]))
  return { type: 'found', addresses: listed.length > 0 ? listed : texts([podIP]) }
}

/** The keys with which the cluster signs tokens, read again and again for the time when nobody can be asked. */
export class ClusterKeyCache {
  readonly #api: ApiCalls
  readonly #warn: (message: string, error?: unknown) => void
  #troubled = false
  #keys: ClusterKeys | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(api: ApiCalls, warn: (message: string, error?: unknown) => void) {
    this.#api = api
    this.#warn = warn
  }

  get keys(): ClusterKeys | undefined {
    return this.#keys
  }

  /** Reads them, now and from time to time. */
  async start(): Promise<void> {
    const read = await this.#read().catch((error: unknown) => this.#complain(error))
    // What was read once stays in use.
    if (read !== undefined) {
      this.#keys = read
      this.#troubled = false
    }
    if (this.#stopped) return
    this.#timer = setTimeout(() => void this.start(), read === undefined ? KEYS_AGAIN_MS : KEYS_MS)
    this.#timer.unref()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #complain(error: unknown): undefined {
    if (!this.#troubled) {
      const without =
        this.#keys === undefined ? 'without the API server no new pod can be admitted' : 'the former ones stay'
      this.#warn(`The keys with which the cluster signs tokens cannot be read: ${without}.`, error)
    }
    this.#troubled = true
  }

  async #read(): Promise<ClusterKeys> {
    const [configuration, set] = await Promise.all([
      this.#api.request({ path: '/.well-known/openid-configuration', timeoutMs: TIMEOUT_MS }),
      this.#api.request({ path: '/openid/v1/jwks', timeoutMs: TIMEOUT_MS }),
    ])
    const { issuer } = Object(configuration.body)
    const { keys } = Object(set.body)
    if (configuration.status !== 200 || set.status !== 200) {
      throw new Error(`the API server answered ${configuration.status} and ${set.status}`)
    }
    if (typeof issuer !== 'string' || !Array.isArray(keys)) throw new Error('they make no sense')
    return { issuer, keys }
  }
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each: unknown) => typeof each === 'string') : []
}

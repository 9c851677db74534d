// A small write that moves the watch of Policies on, and makes reads of them quick. The API server answers reads from its
// cache, which asks etcd only every 100 ms whether it missed anything; an event of the resource tells it at once. A lone
// read is answered in 2 ms, the next ones wait for up to 100, with this for 6. One object, one annotation. Nobody depends
// on it: where it fails, reads are merely slower.
import type { ApiClient } from './client.ts'
import { API_RESOURCES, listPath } from './kinds.ts'

/** The object that is written. */
export interface PulseObject {
  /** Namespace of the release. */
  readonly namespace: string
  readonly name: string
  /** Only a leader writes. Default: always. */
  readonly enabled?: () => boolean
  /** With whom it goes: the pod that made it. Whoever comes next makes another. */
  readonly owner?: { readonly name: string; readonly uid: string }
}

const ANNOTATION = 'atrium.dev/pulse'
const TIMEOUT_MS = 5_000
/**
 * Nobody else writes the object, so the API server need not keep who owns which field: for a Route that saved a quarter of
 * what a write makes it allocate. https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields
 */
const UNMANAGED = [{}]
/** After a failure nothing is written for this long. */
const REST_MS = 30_000

/** Who comes during as many shares the next: the write that is under way may be older than what they wait for. */
const MOST_AT_ONCE = 2

/** Writes the object, a few writes at a time. */
export class Pulse {
  readonly #client: ApiClient
  readonly #object: PulseObject
  #running = 0
  #again = false
  #restUntil = 0

  constructor(client: ApiClient, object: PulseObject) {
    this.#client = client
    this.#object = object
  }

  /** Whether this is the object, which is no part of the world. */
  isObject(namespace: string, name: string): boolean {
    return namespace === this.#object.namespace && name === this.#object.name
  }

  /** Asks for a write after now. Never throws, never waits; returns whether there will be one. */
  beat(): boolean {
    if (this.#object.enabled?.() === false || performance.now() < this.#restUntil) return false
    if (this.#running >= MOST_AT_ONCE) {
      this.#again = true
      return true
    }
    this.#running++
    this.#write().catch(() => undefined)
    return true
  }

  async #write(): Promise<void> {
    do {
      this.#again = false
      const done = await this.#patch().catch(() => false)
      if (!done) this.#restUntil = performance.now() + REST_MS
    } while (this.#again && performance.now() >= this.#restUntil)
    this.#running--
  }

  async #patch(): Promise<boolean> {
    const { namespace, name, owner } = this.#object
    const resource = API_RESOURCES.Policy
    const list = listPath(resource, resource.prefixes[0] ?? '', namespace)
    const annotations = { [ANNOTATION]: new Date().toISOString() }
    const patched = await this.#client.request({
      method: 'PATCH',
      path: `${list}/${encodeURIComponent(name)}`,
      contentType: 'application/merge-patch+json',
      body: { metadata: { annotations, managedFields: UNMANAGED } },
      timeoutMs: TIMEOUT_MS,
    })
    if (patched.status !== 404) return patched.status === 200
    const created = await this.#client.request({
      method: 'POST',
      path: list,
      body: {
        apiVersion: 'atrium.dev/v1alpha1',
        kind: 'Policy',
        metadata: {
          name,
          labels: { 'app.kubernetes.io/managed-by': 'atrium' },
          annotations: { ...annotations, 'atrium.dev/about': 'Written by the controller; has no effect.' },
          ...(owner === undefined ? {} : { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', ...owner }] }),
        },
        spec: {},
      },
      timeoutMs: TIMEOUT_MS,
    })
    // Two at once may both have found none.
    return created.status === 201 || created.status === 409
  }
}

// One source over one fake API server, for a test of a fault: started, watched, waited for, taken away. And the small
// objects that such tests write.
import type { ApiClient } from '../../../controller/sources/kubernetes/client.ts'
import type { KubernetesSource, KubernetesSourceOptions } from '../../../controller/sources/kubernetes/source.ts'
import type { SourceState } from '../../../controller/sources/source.ts'
import { find, type InputObject, sleep, WatchedSource } from '../../contracts/source.ts'
import { FakeApi, type FakeRequest } from './api-server.ts'
import { fakeSource } from './fake-source.ts'

const DEADLINE_MS = 8_000

/** A server and, once prepared, a source of it. */
export class FaultTrial {
  readonly api: FakeApi
  #client: ApiClient | undefined
  #source: KubernetesSource | undefined
  #watched: WatchedSource | undefined

  private constructor(api: FakeApi) {
    this.api = api
  }

  static async create(): Promise<FaultTrial> {
    return new FaultTrial(await FakeApi.start())
  }

  get source(): KubernetesSource {
    if (this.#source === undefined) throw new Error('prepare first')
    return this.#source
  }

  get watched(): WatchedSource {
    if (this.#watched === undefined) throw new Error('prepare first')
    return this.#watched
  }

  async prepare(options: Partial<KubernetesSourceOptions> = {}): Promise<void> {
    const made = await fakeSource(this.api, options)
    this.#client = made.client
    this.#source = made.source
    this.#watched = new WatchedSource(made.source)
  }

  /** Resolves when the watches are open, so that what a test does next is seen by them. */
  async start(options: Partial<KubernetesSourceOptions> = {}): Promise<void> {
    await this.prepare(options)
    await this.watched.start()
    await until(() => this.api.watches().length >= 7)
  }

  status(resource: string) {
    return this.source.watches().find((each) => each.resource === resource)
  }

  problems(): readonly string[] {
    return this.source.read().problems.map(({ message }) => message)
  }

  async stop(): Promise<void> {
    await this.#source?.stop()
    this.#client?.close()
    await this.api.stop()
  }
}

/** Waits; fails with `what` where it never comes. */
export async function until(wanted: () => boolean, what = 'not reached'): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  while (!wanted()) {
    if (performance.now() > deadline) throw new Error(what)
    await sleep(5)
  }
}

/** A Service with one port. */
export function service(namespace: string, name: string, port: number): InputObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name }, spec: { ports: [{ port }] } }
}

/** A Policy with one rate. */
export function policy(namespace: string, name: string, rate: string): InputObject {
  return {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Policy',
    metadata: { namespace, name },
    spec: { rateLimits: [{ name: 'a', rate }] },
  }
}

/** The reference of a Service in namespace a. */
export function serviceRef(name: string) {
  return { kind: 'Service', namespace: 'a', name } as const
}

/** Whether a Service of namespace a is there. */
export const has = (name: string) => (state: SourceState) => find(state, serviceRef(name)) !== undefined

/** Whether it is not. */
export const lacks = (name: string) => (state: SourceState) => find(state, serviceRef(name)) === undefined

/** Whether a request is of one verb and resource. */
export const isPlural =
  (verb: FakeRequest['verb'], plural: string) =>
  (request: FakeRequest): boolean =>
    request.verb === verb && request.plural === plural

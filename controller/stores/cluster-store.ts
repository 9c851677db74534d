// Claims and last good forms in ConfigMaps and Secrets of the release's namespace, shared by all replicas: every replica
// reads them, the leader alone writes, each object only over the version it knows. A new leader first stamps its fence on
// every object, so that whatever a paused predecessor still tries to write is refused. controller/cluster.ts makes it.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Claim, LastGood } from '../../model/resources.ts'
import { type ApiCall, type ApiCalls, FIELD_MANAGER, PATCH_TYPES } from '../api-calls.ts'
import { isOlder } from '../sources/kubernetes/resource-version.ts'
import { type LoadedState, NotLeaderError, type SharedStateStore, type StoredState } from '../state/state-store.ts'
import {
  compareClaims,
  compareForms,
  emptyText,
  type Part,
  payload,
  readShard,
  shardKey,
  type ShardName,
  SHARDS,
  shardTexts,
  textOf,
} from './shards.ts'

export interface ClusterStoreOptions {
  readonly api: ApiCalls
  readonly namespace: string
  readonly release: string
  /** On every object, beside the label that marks its part. */
  readonly labels: Readonly<Record<string, string>>
  /** One sentence, once for each new kind of trouble. */
  readonly warn: (message: string, error?: unknown) => void
  /** Milliseconds between tries where the API server does not answer. */
  readonly retryMs?: number
}

const STATE_LABEL = 'atrium.dev/state'
const RELEASE_LABEL = 'atrium.dev/release'
const FENCE = 'atrium.dev/fence'
const AT_ONCE = 8
const RETRY_MS = 1_000
const TIMEOUT_MS = 10_000

/** What is known of one object. */
interface Known {
  readonly resourceVersion: string
  readonly fence: number
  /** undefined where it is unreadable. */
  readonly text: string | undefined
}

interface Found {
  readonly shard: ShardName
  readonly known: Known
  readonly object: Readonly<Record<string, unknown>>
  readonly problem?: string
}

/** The store of a cluster. */
export interface ClusterStateStore extends SharedStateStore {
  /**
   * A watch says that an object is at this version, or gone (undefined). Returns whether another hand did that: standbys
   * load again, and the leader saves again.
   */
  seen(kind: 'ConfigMap' | 'Secret', name: string, resourceVersion: string | undefined): boolean
}

/** Makes a store. */
export function createClusterStore(options: ClusterStoreOptions): ClusterStateStore {
  return new ClusterStore(options)
}

class ClusterStore implements ClusterStateStore {
  readonly #options: ClusterStoreOptions
  #known = new Map<string, Known>()
  readonly #writing = new Set<string>()
  #fence: number | undefined
  #trouble = false

  constructor(options: ClusterStoreOptions) {
    this.#options = options
  }

  async load(): Promise<LoadedState> {
    for (;;) {
      try {
        return await this.#read()
      } catch (error) {
        if (!this.#trouble) {
          this.#options.warn('Claims and last good forms cannot be read; waiting for the API server.', error)
        }
        this.#trouble = true
        await sleep(this.#options.retryMs ?? RETRY_MS)
      }
    }
  }

  async lead(fence: number): Promise<LoadedState> {
    const found = new Map((await this.#list()).map((each) => [shardKey(each.shard), each]))
    await inParallel(SHARDS, async (shard) => {
      const there = found.get(shardKey(shard)) ?? (shard.part === 'claims' ? await this.#make(shard, fence) : undefined)
      if (there !== undefined) await this.#stamp(there, fence)
    })
    // After the stamps nobody else can write: what is read now is what there is.
    const state = await this.#read()
    for (const each of await this.#list()) if (each.problem !== undefined) await this.#putAside(each)
    this.#fence = fence
    return state
  }

  follow(): void {
    this.#fence = undefined
  }

  async save(state: StoredState): Promise<void> {
    const fence = this.#fence
    if (fence === undefined) throw new NotLeaderError('another replica leads')
    const texts = shardTexts(state)
    const changed = SHARDS.flatMap((shard) => {
      const known = this.#known.get(shardKey(shard))
      const text = texts.get(shardKey(shard)) ?? (known === undefined ? undefined : emptyText(shard.part))
      return text === undefined || known?.text === text ? [] : [{ shard, text }]
    })
    await inParallel(changed, async ({ shard, text }) => {
      this.#writing.add(shardKey(shard))
      try {
        await this.#write(shard, text, fence)
      } finally {
        this.#writing.delete(shardKey(shard))
      }
    })
  }

  seen(kind: 'ConfigMap' | 'Secret', name: string, resourceVersion: string | undefined): boolean {
    const shard = SHARDS.find((each) => this.#nameOf(each) === name && kindOf(each.part) === kind)
    if (shard === undefined) return false
    const known = this.#known.get(shardKey(shard))
    if (known?.resourceVersion === resourceVersion) return false
    // An event of our own write may come before its answer, or after the answer to a later one.
    if (resourceVersion !== undefined && known !== undefined && isOlder(resourceVersion, known.resourceVersion))
      return false
    if (this.#writing.has(shardKey(shard))) return false
    // Whatever it says now, the next save writes over it.
    if (this.#fence !== undefined) {
      const { resourceVersion: version, fence } = known ?? { resourceVersion: resourceVersion ?? '', fence: 0 }
      this.#known.set(shardKey(shard), { resourceVersion: version, fence, text: undefined })
    }
    return true
  }

  async #read(): Promise<LoadedState> {
    const found = await this.#list()
    this.#trouble = false
    this.#known = new Map(found.map(({ shard, known }) => [shardKey(shard), known]))
    const warnings: string[] = []
    const claims: Claim[] = []
    const lastGood: LastGood[] = []
    for (const { shard, known, problem } of found) {
      if (problem !== undefined) warnings.push(this.#warning(shard, problem))
      if (known.text === undefined) continue
      const part = readShard(shard.part, known.text)
      claims.push(...part.claims)
      lastGood.push(...part.lastGood)
    }
    return { claims: claims.sort(compareClaims), lastGood: lastGood.sort(compareForms), warnings }
  }

  async #list(): Promise<readonly Found[]> {
    const lists = await Promise.all(
      (['ConfigMap', 'Secret'] as const).map(async (kind) => {
        const { status, body } = await this.#call({
          path: this.#collection(kind),
          query: { labelSelector: stateSelector(this.#options.release) },
        })
        if (status !== 200) throw new Error(`GET ${this.#collection(kind)} answered ${status}`)
        const { items } = Object(body)
        return (Array.isArray(items) ? items : []).flatMap((item: unknown) => this.#found(kind, item) ?? [])
      }),
    )
    return lists.flat()
  }

  #found(kind: 'ConfigMap' | 'Secret', item: unknown): Found | undefined {
    const object: Readonly<Record<string, unknown>> = Object(item)
    const metadata = Object(object['metadata'])
    const shard = SHARDS.find((each) => kindOf(each.part) === kind && this.#nameOf(each) === metadata.name)
    if (shard === undefined) return undefined
    const fence = Number(Object(metadata.annotations)[FENCE] ?? 0)
    const base = { resourceVersion: String(metadata.resourceVersion), fence: Number.isSafeInteger(fence) ? fence : 0 }
    try {
      const text = textOf(shard.part, object)
      readShard(shard.part, text)
      return { shard, object, known: { ...base, text } }
    } catch (error) {
      const problem =
        error instanceof SyntaxError ? 'it is no JSON' : error instanceof Error ? error.message : 'unreadable'
      return { shard, object, known: { ...base, text: undefined }, problem }
    }
  }

  // Where there is nothing there is nothing to stamp, and a predecessor could still make it.
  async #make(shard: ShardName, fence: number): Promise<Pick<Found, 'shard' | 'known'> | undefined> {
    const call = this.#writeCall(shard, emptyText(shard.part), fence, undefined)
    const { status } = await this.#call(call)
    if (status === 201) return undefined
    const known = status === 409 ? await this.#get(shard) : undefined
    if (known === undefined) throw new Error(`POST ${this.#path(shard)} answered ${status}`)
    return { shard, known }
  }

  // A stamp changes the version, so a write that was meant for the version before is refused.
  async #stamp({ shard, known }: Pick<Found, 'shard' | 'known'>, fence: number): Promise<void> {
    let version = known.resourceVersion
    let seen = known.fence
    while (seen !== fence) {
      if (seen > fence) throw new NotLeaderError('a newer leader has written')
      const { status } = await this.#call({
        method: 'PATCH',
        path: this.#path(shard),
        contentType: PATCH_TYPES.merge,
        body: { metadata: { resourceVersion: version, annotations: { [FENCE]: String(fence) } } },
      })
      if (status === 200 || status === 404) return
      if (status !== 409) throw new Error(`PATCH ${this.#path(shard)} answered ${status}`)
      const now = await this.#get(shard)
      if (now === undefined) return
      version = now.resourceVersion
      seen = now.fence
    }
  }

  async #write(shard: ShardName, text: string, fence: number): Promise<void> {
    for (;;) {
      const known = this.#known.get(shardKey(shard))
      const { status, body } = await this.#call(this.#writeCall(shard, text, fence, known?.resourceVersion))
      if (status >= 200 && status < 300) {
        const resourceVersion = String(Object(Object(body).metadata).resourceVersion)
        this.#known.set(shardKey(shard), { resourceVersion, fence, text })
        return
      }
      if (status !== 409 && status !== 404) throw new Error(`${this.#path(shard)}: the API server answered ${status}`)
      const now = await this.#get(shard)
      if (now !== undefined && now.fence > fence) throw new NotLeaderError('a newer leader has written')
      if (now === undefined) this.#known.delete(shardKey(shard))
      else this.#known.set(shardKey(shard), now)
      // Somebody edited it by hand; the leader's word holds. Who lost the lease does not come here again.
      if (this.#fence !== fence) throw new NotLeaderError('another replica leads')
    }
  }

  #writeCall(shard: ShardName, text: string, fence: number, resourceVersion: string | undefined): ApiCall {
    const kind = kindOf(shard.part)
    const name = this.#nameOf(shard)
    const metadata = {
      name,
      namespace: this.#options.namespace,
      labels: { ...this.#options.labels, [RELEASE_LABEL]: this.#options.release, [STATE_LABEL]: shard.part },
      annotations: { [FENCE]: String(fence) },
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    }
    const body = { apiVersion: 'v1', kind, metadata, ...payload(shard.part, text) }
    return resourceVersion === undefined
      ? { method: 'POST', path: this.#collection(kind), body }
      : { method: 'PUT', path: this.#path(shard), body }
  }

  async #get(shard: ShardName): Promise<Known | undefined> {
    const { status, body } = await this.#call({ path: this.#path(shard) })
    if (status === 404) return undefined
    const found = status === 200 ? this.#found(kindOf(shard.part), body) : undefined
    if (found === undefined) throw new Error(`GET ${this.#path(shard)} answered ${status}`)
    return found.known
  }

  // Kept beside for a person to look at; one copy of each.
  async #putAside({ shard, object }: Found): Promise<void> {
    const { metadata: _metadata, ...rest } = object
    const name = `${this.#nameOf(shard)}-unreadable`
    const metadata = { name, namespace: this.#options.namespace, labels: this.#options.labels }
    const kind = kindOf(shard.part)
    await this.#call({
      method: 'POST',
      path: this.#collection(kind),
      body: { ...rest, apiVersion: 'v1', kind, metadata },
    })
  }

  #warning(shard: ShardName, problem: string): string {
    const consequence =
      shard.part === 'claims'
        ? 'Claims in it begin anew: two Tenants that ask for one host both go without it.'
        : 'Objects in it that are wrong now serve nothing until they are corrected.'
    const name = this.#nameOf(shard)
    return `${kindOf(shard.part)} ${name} cannot be used: ${problem}. It is kept as ${name}-unreadable. ${consequence}`
  }

  #call(call: ApiCall) {
    const manager = call.method === undefined ? {} : { fieldManager: FIELD_MANAGER }
    return this.#options.api.request({ timeoutMs: TIMEOUT_MS, ...call, query: { ...call.query, ...manager } })
  }

  #nameOf({ part, digit }: ShardName): string {
    return `${this.#options.release}-${part === 'claims' ? 'claims' : 'last-good'}-${digit}`
  }

  #collection(kind: 'ConfigMap' | 'Secret'): string {
    return `/api/v1/namespaces/${this.#options.namespace}/${kind === 'Secret' ? 'secrets' : 'configmaps'}`
  }

  #path(shard: ShardName): string {
    return `${this.#collection(kindOf(shard.part))}/${this.#nameOf(shard)}`
  }
}

/** Selects the objects of a release, and nothing else. */
export function stateSelector(release: string): string {
  return `${RELEASE_LABEL}=${release},${STATE_LABEL}`
}

function kindOf(part: Part): 'ConfigMap' | 'Secret' {
  return part === 'material' ? 'Secret' : 'ConfigMap'
}

async function inParallel<Item>(items: readonly Item[], run: (item: Item) => Promise<void>): Promise<void> {
  const waiting = [...items]
  const work = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await run(item)
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, work))
}

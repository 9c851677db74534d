// A release in one process: an authority, controllers with their port for pods, pods with the real receiving side, all
// over real TLS sockets on loopback. The dataplane behind a pod is a map that notes what became active, and when.
import { generateKeyPairSync, sign as signData } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sealPool, sealShard } from '../../controller/compile/seal.ts'
import { Authority, type RotationRequest } from '../../controller/publish/authority.ts'
import type { FormatWriter } from '../../controller/publish/content.ts'
import { HttpPublisher, type Leadership } from '../../controller/publish/http-publisher.ts'
import { type IdentityOptions, IdentityService } from '../../controller/publish/identity.ts'
import { Peers } from '../../controller/publish/peers.ts'
import { openPodListener } from '../../controller/publish/pod-listener.ts'
import type { Acknowledgement, Change } from '../../dataplane/receive.ts'
import { type Receiver, type ReceiverOptions, startReceiver } from '../../dataplane/receive/receiver.ts'
import type { Hidden } from '../../model/hidden.ts'
import { EMPTY_ROOT, RootHash } from '../../model/root-hash.ts'
import { type Pool, poolKey, SNAPSHOT_FORMAT, type Snapshot, type TenantShard } from '../../model/snapshot.ts'
import { createDigest } from '../../peer/digest.ts'
import type { PeerCredentials } from '../../peer/identify.ts'
import type { PeerListener } from '../../peer/listener.ts'
import { makeHost, makeRoute, makeShard } from './shard.ts'

export const RELEASE = 'test'
export const NAMESPACE = 'atrium'
export const SERVICE_ACCOUNT = 'test-dataplane'
const LOCAL = '127.0.0.1'

/** With a memory, as in a real pod and a real controller. */
export const sha256 = createDigest()

/** A store in memory. */
export function memoryStore() {
  const store = {
    content: undefined as Hidden<string> | undefined,
    version: 0,
    request: undefined as RotationRequest | undefined,
    progress: undefined as string | undefined,
    async load() {
      const { content, version, request } = store
      return content === undefined ? undefined : { content, version: String(version), request }
    },
    async save(content: Hidden<string>, version: string | undefined, progress?: string) {
      if (version !== (store.content === undefined ? undefined : String(store.version))) return undefined
      store.content = content
      store.progress = progress
      store.version++
      return String(store.version)
    },
  }
  return store
}

/** A shard with its true hash. `mark` makes its content differ. */
export function sealedShard(tenant: string, mark: string, rest: Partial<TenantShard> = {}): TenantShard {
  const { hash: _, ...shard } = makeShard(tenant, {
    hosts: [makeHost(`${tenant}.example.com`)],
    routes: [makeRoute(tenant, mark)],
    ...rest,
  })
  return sealShard(shard, sha256)
}

/** A pool with its true hash. */
export function sealedPool(tenant: string, service: string, addresses: readonly string[], port = 8080): Pool {
  return sealPool(
    { tenant, namespace: `${tenant}-prod`, service, port: 80, tls: '' },
    addresses.map((address) => ({ address, port, zone: '', state: 'ready' as const })),
    sha256,
  )
}

/** A snapshot of these. */
export function snapshotOf(shards: readonly TenantShard[], pools: readonly Pool[] = []): Snapshot {
  return {
    format: SNAPSHOT_FORMAT,
    version: sha256(shards.map(({ hash }) => hash).join()),
    endpointsRevision: sha256(pools.map(({ hash }) => hash).join()),
    shards: new Map(shards.map((shard) => [shard.tenant, shard])),
    pools: new Map(pools.map((pool) => [poolKey(pool.id), pool])),
  }
}

/** One of an endless row of sets that all differ, large enough to need more than one step. */
export function numberedSet(mark: number): Snapshot {
  const tenants = ['acme', 'blog', 'shop', 'wiki', 'mail', 'news']
  return snapshotOf(
    tenants.map((tenant) =>
      sealedShard(tenant, 'r', {
        routes: Array.from({ length: 20 }, (_, index) => makeRoute(tenant, `route-${index}-${mark}`)),
      }),
    ),
    tenants.map((tenant) => sealedPool(tenant, 'web', [`10.0.${mark >> 8}.${mark & 255}`])),
  )
}

/** Root of a whole snapshot, made from nothing. */
export function rootOf({ shards, pools }: Snapshot): string {
  const root = new RootHash(sha256, EMPTY_ROOT)
  for (const [name, { hash }] of shards) root.put('shard', name, hash)
  for (const [name, { hash }] of pools) root.put('pool', name, hash)
  return root.toString()
}

/** A dataplane that is a map. */
export class FakeDataplane {
  readonly shards = new Map<string, TenantShard>()
  readonly pools = new Map<string, Pool>()
  /** Root of what was active after each change. */
  readonly history: string[] = []
  readonly changes: Change[] = []
  /** Whether changes are noted. */
  notes = true
  /** Tenants that are refused, with the reason. */
  refuses = new Map<string, string>()
  /** Milliseconds that a change takes. */
  takes = 0

  async deliver(change: Change): Promise<Acknowledgement> {
    if (this.takes > 0) await new Promise((resolve) => setTimeout(resolve, this.takes))
    for (const tenant of change.removedTenants) this.shards.delete(tenant)
    for (const key of change.removedPools) this.pools.delete(key)
    for (const shard of change.shards) if (!this.refuses.has(shard.tenant)) this.shards.set(shard.tenant, shard)
    for (const pool of change.pools) this.pools.set(poolKey(pool.id), pool)
    if (this.notes) {
      this.changes.push(change)
      this.history.push(rootOf(snapshotOf([...this.shards.values()], [...this.pools.values()])))
    }
    const { sequence, version, endpointsRevision } = change.manifest
    const refused = [...this.refuses].map(([tenant, message]) => ({ tenant, message }))
    return { sequence, version, endpointsRevision, refused }
  }

  whole() {
    return { shards: this.shards.values(), pools: this.pools.values() }
  }
}

/** A controller replica. */
export interface TestController {
  readonly publisher: HttpPublisher
  readonly peers: Peers
  readonly listener: PeerListener
  credentials: PeerCredentials
  /** Has another certificate made for it. */
  renew(): Promise<void>
  leadership: Leadership
  stop(): Promise<void>
}

/** A pod. */
export interface TestPod {
  readonly uid: string
  readonly dataplane: FakeDataplane
  readonly receiver: Receiver
  stop(): Promise<void>
}

/** The tokens of a cluster that never was. */
export class TestTokens {
  readonly issuer = 'https://kubernetes.test'
  readonly #keys = generateKeyPairSync('rsa', { modulusLength: 2048 })

  /** What the cluster shows under /openid/v1/jwks. */
  get clusterKeys() {
    return { issuer: this.issuer, keys: [{ ...this.#keys.publicKey.export({ format: 'jwk' }), kid: 'one' }] }
  }

  /** A token bound to a pod; `claims` and `header` replace what it would say. */
  make(uid: string, claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): string {
    const now = Math.floor(Date.now() / 1_000)
    const head = { alg: 'RS256', kid: 'one', ...header }
    const body = {
      iss: this.issuer,
      aud: ['atrium-identity'],
      iat: now,
      nbf: now,
      exp: now + 3_600,
      sub: `system:serviceaccount:${NAMESPACE}:${SERVICE_ACCOUNT}`,
      'kubernetes.io': {
        namespace: NAMESPACE,
        serviceaccount: { name: SERVICE_ACCOUNT, uid: 'account' },
        pod: { name: `pod-${uid}`, uid },
      },
      ...claims,
    }
    const signed = [head, body].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
    return `${signed}.${signData('RSA-SHA256', Buffer.from(signed), this.#keys.privateKey).toString('base64url')}`
  }
}

/** A release with what all its parts share. */
export class PublishWorld {
  readonly tokens = new TestTokens()
  authority: Authority
  readonly folder: string
  /** Of the authority. */
  store = memoryStore()
  readonly #stops: (() => Promise<void>)[] = []
  #uids = 0
  /** Milliseconds that are added to the clock of the authority. */
  shift = 0
  bundle = ''

  private constructor(folder: string) {
    this.folder = folder
    this.authority = this.#newAuthority()
  }

  /** @param shift milliseconds that are added to the clock of the authority. */
  static async start(shift = 0): Promise<PublishWorld> {
    const world = new PublishWorld(await mkdtemp(join(tmpdir(), 'atrium-publish-')))
    world.shift = shift
    await world.authority.maintain()
    return world
  }

  /** As if what was stored of the authority were gone, and every controller with it. */
  async replaceAuthority(): Promise<void> {
    this.store = memoryStore()
    this.authority = this.#newAuthority()
    await this.authority.maintain()
  }

  #newAuthority(): Authority {
    return new Authority({
      release: RELEASE,
      store: this.store,
      now: () => Date.now() + this.shift,
      publishBundle: async (pem) => {
        this.bundle = pem
        await writeFile(this.authorityFile, pem)
      },
    })
  }

  get authorityFile(): string {
    return join(this.folder, 'ca.crt')
  }

  async controller(
    leadership: Leadership = { leads: true, fence: 1 },
    rest: {
      readonly identity?: Partial<IdentityOptions>
      readonly peers?: Peers
      readonly writers?: readonly FormatWriter[]
    } = {},
  ): Promise<TestController> {
    const uid = `controller-${++this.#uids}`
    const { credentials } = await this.authority.issue({ release: RELEASE, role: 'controller', uid }, LOCAL)
    const peers = rest.peers ?? new Peers(() => performance.now())
    const controller = { leadership, credentials }
    const publisher = new HttpPublisher({
      release: RELEASE,
      peers,
      leadership: () => controller.leadership,
      credentials: () => controller.credentials,
      digest: sha256,
      ...(rest.writers === undefined ? {} : { writers: rest.writers }),
    })
    const service = new IdentityService({
      release: RELEASE,
      namespace: NAMESPACE,
      serviceAccount: SERVICE_ACCOUNT,
      authority: this.authority,
      peers,
      review: async () => ({ type: 'unavailable', message: 'no API server here' }),
      clusterKeys: () => this.tokens.clusterKeys,
      podAddress: async () => ({ type: 'unavailable' }),
      now: () => Date.now(),
      monotonic: () => performance.now(),
      ...rest.identity,
    })
    const listener = await openPodListener({
      host: LOCAL,
      port: 0,
      release: RELEASE,
      credentials,
      identity: service,
      peers,
      publisher,
      leads: () => controller.leadership.leads,
      refresh: async () => {},
      monotonic: () => performance.now(),
    })
    const stop = async () => {
      publisher.stop()
      await listener.close()
    }
    this.#stops.push(stop)
    const renew = async () => {
      const name = { release: RELEASE, role: 'controller', uid } as const
      controller.credentials = (await this.authority.issue(name, LOCAL)).credentials
      listener.renew(controller.credentials)
    }
    return Object.assign(controller, { publisher, peers, listener, renew, stop })
  }

  async pod(
    controllers: readonly TestController[],
    rest: Partial<ReceiverOptions> & { onPort?: (port: number) => void } = {},
  ): Promise<TestPod> {
    const uid = rest.uid ?? `pod-${++this.#uids}`
    const tokenFile = join(this.folder, `token-${uid}`)
    await writeFile(tokenFile, this.tokens.make(uid))
    const dataplane = new FakeDataplane()
    const receiver = await startReceiver({
      release: RELEASE,
      name: `name-of-${uid}`,
      uid,
      host: LOCAL,
      port: 0,
      controllers: controllers.map(({ listener }) => `${LOCAL}:${listener.port}`),
      tokenFile,
      authorityFile: this.authorityFile,
      target: {
        deliver: (change) => dataplane.deliver(change),
        shard: (tenant) => dataplane.shards.get(tenant),
        whole: () => dataplane.whole(),
        sources: {
          ready: () => true,
          metrics: async function* () {
            yield 'up 1\n'
          },
          status: async () => {
            throw new Error('not asked here')
          },
          snapshot: () => ({ ...snapshotOf([...dataplane.shards.values()]), sequence: 1 }),
          explain: async () => {
            throw new Error('not asked here')
          },
        },
      },
      warn: () => {},
      ...rest,
    })
    void receiver.opened.then(() => rest.onPort?.(receiver.port))
    const stop = () => receiver.stop()
    this.#stops.push(stop)
    return { uid, dataplane, receiver, stop }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#stops.map((stop) => stop()))
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Waits until something holds; fails after ten seconds. */
export async function until(holds: () => boolean, what = 'it'): Promise<void> {
  const end = performance.now() + 10_000
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what} did not come about`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

// The composition of a pod's side of publishing: its identity, the port for controllers, what is on its way, the first
// set, the last good one. A dataplane in a cluster starts one beside itself; standalone has none.
import { FORMATS_READ, type PushManifest } from '../../model/push.ts'
import { RootHash } from '../../model/root-hash.ts'
import type { Pool, TenantShard } from '../../model/snapshot.ts'
import { createDigest } from '../../peer/digest.ts'
import { openPeerListener, type PeerListener } from '../../peer/listener.ts'
import type { AdminSources } from '../admin.ts'
import { Controllers } from './controllers.ts'
import { PodIdentity } from './identity.ts'
import { type KeptSet, LastGood } from './last-good.ts'
import { Puller } from './pull.ts'
import { addPushRoutes } from './push-routes.ts'
import { addReadRoutes } from './read-routes.ts'
import type { Received } from './staged.ts'
import { type ChangeTarget, Staging } from './staging.ts'

/** What the pod is told about itself. Times in milliseconds. */
export interface ReceiverOptions {
  readonly release: string
  /** Name and UID of this Pod. */
  readonly name: string
  readonly uid: string
  readonly host: string
  /** 0 for any free port. */
  readonly port: number
  /** `host:port` of the controllers. */
  readonly controllers: readonly string[]
  /** The projected token, and the mounted bundle of authorities. */
  readonly tokenFile: string
  readonly authorityFile: string
  /** Memory that outlives the container; undefined: nothing is kept. */
  readonly lastGoodFolder?: string
  /** What changes are handed to, and read from. */
  readonly target: ReceiverTarget
  /** One sentence each. */
  readonly warn: (message: string) => void
  readonly now?: () => number
  /** How often the mounted bundle is read again. Default 5,000. */
  readonly lookEvery?: number
  readonly random?: () => number
  readonly resolve?: (host: string) => Promise<readonly string[]>
  /** Formats that are read. */
  readonly formats?: readonly number[]
}

/** The dataplane, as this part of it sees the rest. */
export interface ReceiverTarget extends ChangeTarget {
  readonly sources: AdminSources
  /** The shard of a tenant that serves. */
  readonly shard: (tenant: string) => TenantShard | undefined
  /** What serves now. */
  readonly whole: () => { readonly shards: Iterable<TenantShard>; readonly pools: Iterable<Pool> }
}

/** A running one. */
export interface Receiver {
  /** On which controllers are listened to; 0 before there is a certificate. */
  readonly port: number
  readonly staging: Staging
  /** What is shown and what is believed now, PEM; '' before there is any. */
  certificate(): string
  authorities(): string
  /** Resolves when the port is open. */
  readonly opened: Promise<void>
  stop(): Promise<void>
}

/**
 * Starts. Resolves as soon as the last good set serves, or at once where there is none; certificate, port and first set
 * follow by themselves.
 */
export async function startReceiver(options: ReceiverOptions): Promise<Receiver> {
  const receiver = new RunningReceiver(options)
  await receiver.restore()
  receiver.start()
  return receiver
}

class RunningReceiver implements Receiver {
  readonly opened: Promise<void>
  readonly staging: Staging
  readonly #digest = createDigest()
  readonly #options: ReceiverOptions
  readonly #formats: readonly number[]
  readonly #identity: PodIdentity
  readonly #puller: Puller
  readonly #lastGood: LastGood | undefined
  #keeps = false
  #listener: PeerListener | undefined
  #open: () => void = () => {}
  #stopped = false

  constructor(options: ReceiverOptions) {
    this.#options = options
    this.#formats = options.formats ?? FORMATS_READ
    const { release, name, uid, warn, target, tokenFile, authorityFile, lastGoodFolder, resolve } = options
    const random = options.random ?? Math.random
    this.opened = new Promise((done) => {
      this.#open = done
    })
    this.#lastGood =
      lastGoodFolder === undefined
        ? undefined
        : new LastGood({
            folder: lastGoodFolder,
            release,
            formats: this.#formats,
            digest: this.#digest,
            whole: () => target.whole(),
            warn,
          })
    this.staging = new Staging({
      release,
      target,
      digest: this.#digest,
      formats: this.#formats,
      shardOf: (tenant) => target.shard(tenant),
      activated: (set) => {
        if (this.#keeps) this.#lastGood?.keep(set)
      },
    })
    const controllers = new Controllers({
      release,
      addresses: options.controllers,
      random,
      ...(resolve === undefined ? {} : { resolve }),
    })
    this.#identity = new PodIdentity({
      release,
      uid,
      tokenFile,
      authorityFile,
      controllers,
      random,
      warn,
      port: () => this.port,
      now: options.now ?? Date.now,
      lookEvery: options.lookEvery ?? 5_000,
      renewed: (credentials) => this.#listener?.renew(credentials),
    })
    this.#puller = new Puller({
      controllers,
      staging: this.staging,
      credentials: () => this.#identity.credentials,
      name,
      port: () => this.port,
      random,
      formats: this.#formats,
      warn,
    })
  }

  get port(): number {
    return this.#listener?.port ?? this.#options.port
  }

  certificate(): string {
    return this.#identity.has ? this.#identity.credentials.certificate : ''
  }

  authorities(): string {
    return this.#identity.authorities
  }

  /** Brings back what served before the container ended. */
  async restore(): Promise<void> {
    const kept = await this.#lastGood?.load()
    if (kept !== undefined) {
      try {
        await this.#activate(kept)
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        this.#options.warn(`the last good set cannot be used: ${message}`)
      }
    }
    this.#keeps = true
  }

  /** Never rejects; goes on until `stop`. */
  start(): void {
    void this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#identity.stop()
    this.#puller.stop()
    await this.#listener?.close()
    await this.#lastGood?.close()
  }

  async #run(): Promise<void> {
    const credentials = await this.#identity.start()
    if (credentials === undefined || this.#stopped) return
    await this.#listen()
    if (this.#stopped) return
    await this.#puller.run()
  }

  async #listen(): Promise<void> {
    const { host, port, release, target, warn } = this.#options
    for (;;) {
      try {
        const listener = await openPeerListener({
          host,
          port,
          credentials: this.#identity.credentials,
          requireCertificate: true,
          routes: (app) => {
            addPushRoutes(app, release, this.staging)
            addReadRoutes(app, release, target.sources)
          },
        })
        this.#listener = listener
        if (this.#stopped) await listener.close()
        this.#open()
        return
      } catch (error) {
        warn(`the port for controllers cannot be opened: ${error instanceof Error ? error.message : String(error)}`)
        await new Promise((resolve) => setTimeout(resolve, 1_000))
        if (this.#stopped) return
      }
    }
  }

  /** The kept set goes the way of every set: shown whole, then content, then active. */
  async #activate({ received, position, version, endpointsRevision, format }: KeptSet): Promise<void> {
    const { release } = this.#options
    const root = new RootHash(this.#digest)
    const shards: (readonly [string, string])[] = []
    const pools: (readonly [string, string])[] = []
    for (const line of received) {
      const [kind, name] = entryOf(line)
      root.put(kind, name, line.hash)
      ;(kind === 'shard' ? shards : pools).push([name, line.hash])
    }
    const set = { ...position, version, endpointsRevision, root: root.toString() }
    const manifest: PushManifest = { ...set, format, release, base: null, shards, pools }
    const answer = await this.staging.propose(manifest)
    if (answer.refused !== null) throw new Error(answer.refused.message)
    for (const { text } of received) this.staging.accept(position, { text, value: JSON.parse(text) as unknown })
    await this.staging.activate(position, manifest.root)
  }
}

function entryOf(line: Received): ['shard' | 'pool', string] {
  if (line.type === 'unknown') return [line.kind, line.name]
  return line.type === 'shard' ? ['shard', line.tenant] : ['pool', line.key]
}

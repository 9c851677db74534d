// What main thread and workers say to each other: versioned, typed, checked on arrival. Private keys travel in here as
// plain text inside one process; nothing prints a message. worker-pool.ts and worker.ts are the two ends.
import { Hidden } from '../model/hidden.ts'
import type { CertificateFacts } from '../model/resources.ts'
import type { ShardChange } from '../model/shard-change.ts'
import type { Pool, TenantShard } from '../model/snapshot.ts'
import type { PoolGrant, StateRoot, TenantGrant } from './runtime/shared-state-grants.ts'

/** Raised with every change of a message. Both ends are of one build; a difference is a fault of installation. */
export const MESSAGE_VERSION = 3

/** A shard as it crosses threads: a Hidden does not survive a structured clone, on purpose. */
export type WireShard = Omit<TenantShard, 'certificates'> & {
  readonly certificates: readonly WireCertificate[]
}

interface WireCertificate {
  readonly fingerprint: string
  readonly facts: Omit<CertificateFacts, 'keyPem'>
  readonly key: string
}

/** A shard, whole or as what changed since the one that serves. */
export type TenantItem = { readonly tenant: string; readonly grant: TenantGrant } & (
  | { readonly shard: WireShard; readonly change: null }
  | { readonly shard: null; readonly change: ShardChange }
)

export interface PoolItem {
  readonly pool: Pool
  readonly grant: PoolGrant
}

/** What a worker is started with. */
export interface WorkerSettings {
  readonly version: typeof MESSAGE_VERSION
  readonly state: StateRoot
  readonly column: number
  readonly trustForwarded: readonly string[]
  /** Client connections that it may hold. */
  readonly maxConnections: number
  /** Where clients find https; null: where the worker listens for TLS. */
  readonly publicHttpsPort: number | null
  readonly defaultCertificate: { readonly chainPem: string; readonly keyPem: string } | null
  /** Random hexadecimal text, the start of this worker's request ids. */
  readonly requestIdStart: string
  /** null where no access log is written. */
  readonly log: { readonly pod: string; readonly limit: number } | null
}

/** What goes with a commit. */
export interface Removals {
  readonly tenants: readonly string[]
  readonly pools: readonly { readonly tenant: string; readonly key: string }[]
}

/** To a worker. */
export type WorkerOrder =
  /** Take these in, build them, make nothing visible unless `commit` says so. Answered by `prepared`. */
  | {
      readonly type: 'prepare'
      readonly request: number
      /** Forget what was prepared before and not committed. */
      readonly first: boolean
      readonly pools: readonly PoolItem[]
      readonly tenants: readonly TenantItem[]
      /** Where nothing is refused, commit at once, and remove these: there is nobody to wait for. */
      readonly commit: Removals | null
    }
  /** Swap what was prepared, `refused` left out, in one turn. Answered by `committed`. */
  | {
      readonly type: 'commit'
      readonly request: number
      readonly refused: readonly string[]
      readonly removed: Removals
    }
  /** Their state was swept. Not answered. */
  | { readonly type: 'forget'; readonly tenants: readonly string[] }
  | {
      readonly type: 'listen'
      readonly request: number
      readonly host: string
      readonly port: number
      readonly tlsPort: number | null
      /** Share the ports with the other workers. */
      readonly share: boolean
    }
  /** Let clients go when they have their answers: a drain is near. Not answered. */
  | { readonly type: 'leave' }
  /**
   * Accept nothing new, let what runs end, and connections that are idle for so long. Answered by `drained` when nothing is
   * left or the time is over.
   */
  | { readonly type: 'drain'; readonly request: number; readonly milliseconds: number; readonly idle: number }
  /** Hand over what the log has gathered. Answered by `flushed`. */
  | { readonly type: 'flush'; readonly request: number }

/** From a worker. */
export type WorkerReport =
  | { readonly type: 'started' }
  | {
      readonly type: 'prepared'
      readonly request: number
      readonly refused: readonly Refusal[]
      readonly committed: boolean
    }
  | { readonly type: 'committed'; readonly request: number }
  | {
      readonly type: 'listening'
      readonly request: number
      readonly port: number
      readonly tlsPort: number | null
    }
  | { readonly type: 'drained'; readonly request: number; readonly finished: number; readonly cut: number }
  | { readonly type: 'flushed'; readonly request: number }
  /** An order could not be carried out. */
  | { readonly type: 'failed'; readonly request: number; readonly code: string; readonly message: string }
  | { readonly type: 'log'; readonly batch: Uint8Array; readonly lines: number }
  /** A throw that was fenced while serving: a fault of ours. */
  | { readonly type: 'fault'; readonly requestId: string; readonly tenant: string; readonly message: string }

/** A tenant whose shard could not be run. */
export interface Refusal {
  readonly tenant: string
  readonly message: string
}

const ORDERS: ReadonlySet<string> = new Set(['prepare', 'commit', 'forget', 'listen', 'leave', 'drain', 'flush'])
const REPORTS: ReadonlySet<string> = new Set([
  'started',
  'prepared',
  'committed',
  'listening',
  'drained',
  'flushed',
  'failed',
  'log',
  'fault',
])

/** Puts the version on a message. */
export function seal<Message extends WorkerOrder | WorkerReport>(
  message: Message,
): Message & { readonly version: number } {
  return { version: MESSAGE_VERSION, ...message }
}

/** Checks an order on arrival. Throws where it is of another build. */
export function readOrder(message: unknown): WorkerOrder {
  assertMessage(message, ORDERS)
  return message as WorkerOrder
}

/** Checks a report on arrival. Throws where it is of another build. */
export function readReport(message: unknown): WorkerReport {
  assertMessage(message, REPORTS)
  return message as WorkerReport
}

function assertMessage(message: unknown, types: ReadonlySet<string>): void {
  if (typeof message !== 'object' || message === null) throw new TypeError('a message between threads is no object')
  const { version, type } = message as { version?: unknown; type?: unknown }
  if (version !== MESSAGE_VERSION) throw new TypeError(`a message between threads has version ${String(version)}`)
  if (typeof type !== 'string' || !types.has(type)) throw new TypeError('a message between threads has no known type')
}

/** A shard on its way to a worker. The only place where keys are revealed to travel. */
export function packShard(shard: TenantShard): WireShard {
  const certificates = [...shard.certificates].map(([fingerprint, { keyPem, ...facts }]) => ({
    fingerprint,
    facts,
    key: keyPem.reveal(),
  }))
  return { ...shard, certificates }
}

/** The shard again, keys hidden. */
export function unpackShard(shard: WireShard): TenantShard {
  const certificates = new Map(
    shard.certificates.map(({ fingerprint, facts, key }) => [fingerprint, { ...facts, keyPem: new Hidden(key) }]),
  )
  return { ...shard, certificates }
}

// What the main thread hands to a worker so that it finds its state: buffers, and where each thing lies in them. Types
// only. shared-state-allocator.ts makes them, shared-state.ts reads them; they travel with every activation.
import type { LimiterId } from '../../model/filter.ts'
import type { HashSeed } from './key-table-hash.ts'

/** What a worker needs once, when it starts. */
export interface StateRoot {
  readonly pod: SharedArrayBuffer
  /** Memory of requests that no tenant owns. */
  readonly unowned: SharedArrayBuffer
  readonly workers: number
  readonly policies: readonly string[]
  readonly seed: HashSeed
  readonly maxKeys: number
  /** Nanoseconds on the monotonic clock of the machine when the pod's time began (process.hrtime.bigint). */
  readonly epoch: bigint
}

/** One thing's place. `page` counts the tenant's pages, `at` is in words of 8 bytes. */
export interface SlotPlace {
  readonly page: number
  readonly at: number
  /** Changes whenever the place goes to something else: whoever holds an older one has nothing there any more. */
  readonly generation: number
}

export interface LimiterGrant extends SlotPlace {
  readonly id: LimiterId
  /** Where its keys lie, for limiters with keys: the number of the arena and of the table in it. */
  readonly arena: number
  readonly table: number
}

/** A buffer for tables of keys. */
export interface ArenaGrant {
  readonly buffer: SharedArrayBuffer
  readonly tables: number
}

/** The state of one tenant, complete: replaces what the worker knew of it, and keeps what did not move. */
export interface TenantGrant {
  readonly tenant: string
  readonly pages: readonly SharedArrayBuffer[]
  readonly arenas: readonly ArenaGrant[]
  readonly limiters: readonly LimiterGrant[]
  /** Page, word and generation of each route of the shard, in the shard's order. */
  readonly routes: Int32Array
}

/** The state of one pool's endpoints. */
export interface PoolGrant {
  readonly tenant: string
  readonly pages: readonly SharedArrayBuffer[]
  /** Page, word and generation of each endpoint of the pool, in the pool's order. */
  readonly endpoints: Int32Array
}

// What a worker serves, and how it changes: prepare builds the tenants that changed beside the ones that serve, commit
// swaps them in one turn and ends what stood on something that is gone. worker.ts calls it; no socket, no thread here.
import type { TenantShard } from '../model/snapshot.ts'
import { buildTenant } from './build/build.ts'
import type { Filters } from './build/chain.ts'
import type { HostTable } from './build/host-table.ts'
import { PatternCache, patternsOf } from './build/patterns.ts'
import type { TenantProgram } from './build/program.ts'
import { endingsOf } from './lease-ends.ts'
import type { LeaseRegistry } from './runtime/leases.ts'
import type { PoolTable } from './runtime/pools.ts'
import type { SharedState } from './runtime/shared-state.ts'
import type { TlsTable } from './tls/tls-table.ts'
import { unpackChange } from './worker-change.ts'
import { unpackShard, type PoolItem, type Refusal, type Removals, type TenantItem } from './worker-messages.ts'

/**
 * Work is laid down after so many milliseconds and taken up in the next turn, so that requests are served meanwhile. What
 * is built lives on, so the collector takes up to 16 ms more in some turns: both together stay under 20.
 */
const SLICE = 3

/** The tables that requests find things in. */
export interface WorkerTables {
  readonly state: SharedState
  readonly pools: PoolTable
  readonly hosts: HostTable
  readonly tls: TlsTable
  readonly leases: LeaseRegistry
  readonly filters: Filters
}

interface Prepared {
  readonly shard: TenantShard
  readonly program: TenantProgram
}

/** See the head of this file. */
export class WorkerProgram {
  readonly #tables: WorkerTables
  readonly #active = new Map<string, TenantShard>()
  /** Whose each host is, as the tables have it. */
  readonly #owners = new Map<string, string>()
  readonly #patterns = new PatternCache()
  #prepared: Prepared[] = []

  constructor(tables: WorkerTables) {
    this.#tables = tables
  }

  /**
   * Builds these tenants and takes over these pools. Nothing that serves changes but the endpoints of pools, which come
   * before the routes that need them. Returns the tenants that cannot be built, with the reason.
   */
  async prepare(pools: readonly PoolItem[], tenants: readonly TenantItem[]): Promise<readonly Refusal[]> {
    const refused: Refusal[] = []
    const clock = new TurnClock()
    for (const { pool, grant } of pools) {
      this.#tables.state.grantPool(grant, pool)
      this.#tables.pools.update([pool], [])
      await clock.yieldIfLong()
    }
    for (const item of tenants) {
      const { tenant } = item
      try {
        const shard =
          item.shard === null ? unpackChange(this.#active.get(tenant), item.change) : unpackShard(item.shard)
        this.#tables.state.grantTenant(
          item.grant,
          shard.routes.map(({ id }) => id),
        )
        // The only part of a build that takes long: some thousand patterns of one tenant would hold the loop for so long
        // that the watchdog ends the thread, and everybody's requests with it.
        const pattern = this.#patterns.sourceFor(tenant)
        for (const text of patternsOf(shard.hosts)) {
          pattern(text)
          await clock.yieldIfLong()
        }
        this.#prepared.push({ shard, program: buildTenant(shard, { ...this.#tables, patterns: this.#patterns }) })
      } catch (error) {
        refused.push({ tenant, message: error instanceof Error ? error.message : String(error) })
      }
      await clock.yieldIfLong()
    }
    return refused
  }

  /** What was prepared and never committed is not wanted any more. */
  forgetPrepared(): void {
    this.#prepared = []
  }

  /**
   * Swaps what was prepared, the refused tenants left out, and takes away what is removed. A tenant changes whole in one
   * turn, and so do all that take a host from another; thousands of others follow in slices, because one turn for all of
   * them would hold every request up. No host is without an owner in between.
   */
  async commit(refused: readonly string[], { tenants: removedTenants, pools: removedPools }: Removals): Promise<void> {
    const left = new Set(refused)
    const swapped = this.#prepared.filter(({ shard }) => !left.has(shard.tenant))
    this.#prepared = []
    const { hosts, tls, pools, leases, state } = this.#tables
    const clock = new TurnClock()
    const takers = swapped.filter(({ shard }) => this.#takesHost(shard))
    for (const prepared of takers) this.#swap(prepared)
    const taking = new Set(takers.map(({ shard }) => shard.tenant))
    const others = swapped.filter(({ shard }) => !taking.has(shard.tenant))
    for (const prepared of others) {
      await clock.yieldIfLong()
      this.#swap(prepared)
    }
    // Their hosts that somebody has taken by now stay with the taker.
    for (const tenant of removedTenants) {
      await clock.yieldIfLong()
      this.#giveUp(tenant)
      hosts.replace(tenant, undefined)
      tls.replace(tenant, undefined)
    }
    pools.update(
      [],
      removedPools.map(({ key }) => key),
    )
    for (const { tenant, key } of removedPools) state.dropPool(tenant, key)
    for (const tenant of removedTenants) {
      leases.end(tenant, () => true, 'NoHost')
      this.#active.delete(tenant)
    }
    for (const { shard } of swapped) {
      await clock.yieldIfLong()
      for (const { concerns, reason } of endingsOf(this.#active.get(shard.tenant), shard)) {
        leases.end(shard.tenant, concerns, reason)
      }
      this.#active.set(shard.tenant, shard)
    }
  }

  /** The state of these tenants was swept. */
  forget(tenants: readonly string[]): void {
    for (const tenant of tenants) this.#tables.state.dropTenant(tenant)
  }

  #giveUp(tenant: string): void {
    for (const { host } of this.#active.get(tenant)?.hosts ?? []) {
      if (this.#owners.get(host) === tenant) this.#owners.delete(host)
    }
  }

  #swap({ shard, program }: Prepared): void {
    this.#giveUp(shard.tenant)
    for (const { host } of shard.hosts) this.#owners.set(host, shard.tenant)
    this.#tables.hosts.replace(shard.tenant, program)
    this.#tables.tls.replace(shard.tenant, shard)
  }

  #takesHost(shard: TenantShard): boolean {
    return shard.hosts.some(({ host }) => {
      const owner = this.#owners.get(host)
      return owner !== undefined && owner !== shard.tenant
    })
  }
}

/** Lets the loop turn when work has taken a slice. */
class TurnClock {
  #from = performance.now()

  async yieldIfLong(): Promise<void> {
    if (performance.now() - this.#from < SLICE) return
    await new Promise((resolve) => setImmediate(resolve))
    this.#from = performance.now()
  }
}

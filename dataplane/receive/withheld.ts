// Tenants of whom something came that this build does not know: nothing new of theirs is handed on, so that they keep
// what they had, whole, until what is not known is gone. staging.ts sifts every change through it.
import type { ContentLine } from '../../model/push-shard.ts'
import { type Pool, tenantOfPoolKey, type TenantShard } from '../../model/snapshot.ts'

/** What is kept back of one tenant. */
interface Held {
  shard: TenantShard | undefined
  readonly pools: Map<string, Pool>
  readonly removedPools: Set<string>
  /** What is not known: the shard by '', pools by key; with the reason. */
  readonly unknown: Map<string, string>
}

/** A change as it came. */
interface Incoming {
  readonly received: readonly ContentLine[]
  readonly removedTenants: readonly string[]
  readonly removedPools: readonly string[]
}

/** What of it may be handed on. */
interface Sifted {
  readonly shards: readonly TenantShard[]
  readonly pools: readonly Pool[]
  readonly removedTenants: readonly string[]
  readonly removedPools: readonly string[]
}

const SHARD = ''

/** See the head of this file. */
export class Withheld {
  readonly #tenants = new Map<string, Held>()

  /** Keeps back what must be, and lets go what need not be any more. */
  sift({ received, removedTenants, removedPools }: Incoming): Sifted {
    for (const tenant of removedTenants) this.#tenants.delete(tenant)
    for (const line of received) {
      if (line.type === 'unknown' && !this.#tenants.has(line.tenant)) this.#tenants.set(line.tenant, nothing())
    }
    const shards: TenantShard[] = []
    const pools: Pool[] = []
    const goes: string[] = []
    for (const line of received) {
      const held = this.#tenants.get(tenantOf(line))
      if (held !== undefined) keep(held, line)
      else if (line.type === 'shard') shards.push(line.shard)
      else if (line.type === 'pool') pools.push(line.pool)
    }
    for (const key of removedPools) {
      const held = this.#tenants.get(tenantOfPoolKey(key))
      if (held === undefined) goes.push(key)
      else {
        held.pools.delete(key)
        held.unknown.delete(key)
        held.removedPools.add(key)
      }
    }
    for (const [tenant, { shard, pools: kept, removedPools: gone, unknown }] of [...this.#tenants]) {
      if (unknown.size > 0) continue
      this.#tenants.delete(tenant)
      if (shard !== undefined) shards.push(shard)
      pools.push(...kept.values())
      goes.push(...gone)
    }
    return { shards, pools, removedTenants, removedPools: goes }
  }

  /** The tenants, each with one reason. */
  refused(): readonly { readonly tenant: string; readonly message: string }[] {
    return [...this.#tenants].flatMap(([tenant, { unknown }]) => {
      const [message] = unknown.values()
      return message === undefined ? [] : [{ tenant, message }]
    })
  }
}

/** Whose a line is. */
export function tenantOf(line: ContentLine): string {
  return line.type === 'pool' ? line.pool.id.tenant : line.tenant
}

function keep(held: Held, line: ContentLine): void {
  if (line.type === 'shard') {
    held.shard = line.shard
    held.unknown.delete(SHARD)
  } else if (line.type === 'pool') {
    held.pools.set(line.key, line.pool)
    held.unknown.delete(line.key)
    held.removedPools.delete(line.key)
  } else if (line.kind === 'shard') {
    held.shard = undefined
    held.unknown.set(SHARD, line.message)
  } else {
    held.pools.delete(line.name)
    held.unknown.set(line.name, line.message)
    held.removedPools.delete(line.name)
  }
}

function nothing(): Held {
  return { shard: undefined, pools: new Map(), removedPools: new Set(), unknown: new Map() }
}

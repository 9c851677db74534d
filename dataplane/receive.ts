// How a snapshot comes in: the publisher shows a manifest, the pod says what it lacks, only that is sent, then all of it
// becomes active at once. Plain functions over any transport; main.ts is the in-process one, a cluster's publisher will
// push the same four steps over the network.
import { poolKey, type Pool, SNAPSHOT_FORMAT, type Snapshot, type TenantShard } from '../model/snapshot.ts'

/** Names everything of a snapshot by its hash. */
export interface Manifest {
  readonly format: number
  readonly sequence: number
  readonly version: string
  readonly endpointsRevision: string
  /** From tenant to the hash of its shard. */
  readonly shards: ReadonlyMap<string, string>
  /** From poolKey to the hash of the pool. */
  readonly pools: ReadonlyMap<string, string>
}

/** What the pod has, by hash: active shards, and refused ones that would be refused again. */
export interface Held {
  readonly sequence: number
  readonly version: string
  readonly endpointsRevision: string
  holdsShard(tenant: string, hash: string): boolean
  holdsPool(key: string, hash: string): boolean
  tenants(): Iterable<string>
  pools(): Iterable<string>
  /** Tenants whose newest shard was refused. */
  refused(): readonly Refused[]
}

export interface Refused {
  readonly tenant: string
  readonly message: string
}

/** Which shards and pools have to be sent. */
export interface Lacking {
  readonly tenants: readonly string[]
  readonly pools: readonly string[]
}

/** What was asked for. */
export interface Delivery {
  readonly shards: readonly TenantShard[]
  readonly pools: readonly Pool[]
}

/** What becomes active together. */
export interface Change extends Delivery {
  readonly manifest: Manifest
  readonly removedTenants: readonly string[]
  readonly removedPools: readonly string[]
}

/** What is active now, and what was refused. The pod's name is put in by whoever knows it. */
export interface Acknowledgement {
  readonly sequence: number
  readonly version: string
  readonly endpointsRevision: string
  readonly refused: readonly Refused[]
}

/** The manifest of a snapshot. */
export function manifestOf(snapshot: Snapshot, sequence: number): Manifest {
  return {
    format: snapshot.format,
    sequence,
    version: snapshot.version,
    endpointsRevision: snapshot.endpointsRevision,
    shards: new Map([...snapshot.shards].map(([tenant, { hash }]) => [tenant, hash])),
    pools: new Map([...snapshot.pools].map(([key, { hash }]) => [key, hash])),
  }
}

/**
 * Receives one snapshot. An older sequence, and a format that this pod does not know, change nothing; the answer says
 * what is active instead.
 * @param fetch asks the publisher for what is lacking.
 * @param activate makes the change active everywhere and says which tenants it refused.
 */
export async function receive(
  manifest: Manifest,
  held: Held,
  fetch: (lacking: Lacking) => Delivery | Promise<Delivery>,
  activate: (change: Change) => Promise<Acknowledgement>,
): Promise<Acknowledgement> {
  if (manifest.sequence <= held.sequence) return acknowledge(held)
  if (manifest.format !== SNAPSHOT_FORMAT) {
    const message = `snapshot format ${manifest.format} is not understood here, only ${SNAPSHOT_FORMAT}`
    return { ...acknowledge(held), refused: [...manifest.shards.keys()].map((tenant) => ({ tenant, message })) }
  }
  const lacking = {
    tenants: [...manifest.shards].filter(([tenant, hash]) => !held.holdsShard(tenant, hash)).map(([tenant]) => tenant),
    pools: [...manifest.pools].filter(([key, hash]) => !held.holdsPool(key, hash)).map(([key]) => key),
  }
  const delivery = await fetch(lacking)
  return await activate({
    manifest,
    shards: delivery.shards.filter((shard) => manifest.shards.get(shard.tenant) === shard.hash),
    pools: delivery.pools.filter((pool) => manifest.pools.get(poolKey(pool.id)) === pool.hash),
    removedTenants: [...held.tenants()].filter((tenant) => !manifest.shards.has(tenant)),
    removedPools: [...held.pools()].filter((key) => !manifest.pools.has(key)),
  })
}

/** What is active, as an answer. */
export function acknowledge(held: Held): Acknowledgement {
  const { sequence, version, endpointsRevision } = held
  return { sequence, version, endpointsRevision, refused: held.refused() }
}

/** A fetch that takes what is lacking out of a snapshot in the same process. */
export function deliverFrom(snapshot: Snapshot): (lacking: Lacking) => Delivery {
  return ({ tenants, pools }) => ({
    shards: tenants.flatMap((tenant) => snapshot.shards.get(tenant) ?? []),
    pools: pools.flatMap((key) => snapshot.pools.get(key) ?? []),
  })
}

// A snapshot as plain data for printing: maps become objects, keys of certificates print as hidden, PEM texts are left
// out. Pure. `compile -o yaml` and `-o json` print it.
import { compareText } from '../../model/canonical.ts'
import type { Pool, Snapshot, TenantShard } from '../../model/snapshot.ts'

/** The snapshot, or the part of it that belongs to `tenants` (empty: all), as plain ordered data. */
export function plainSnapshot(snapshot: Snapshot, tenants: readonly string[]): Record<string, unknown> {
  const wanted = (tenant: string) => tenants.length === 0 || tenants.includes(tenant)
  return {
    format: snapshot.format,
    version: snapshot.version,
    endpointsRevision: snapshot.endpointsRevision,
    shards: [...snapshot.shards.values()]
      .filter((shard) => wanted(shard.tenant))
      .sort((a, b) => compareText(a.tenant, b.tenant))
      .map(plainShard),
    pools: [...snapshot.pools.values()]
      .filter((pool) => wanted(pool.id.tenant))
      .sort(comparePools)
      .map(plainPool),
  }
}

function plainShard(shard: TenantShard): Record<string, unknown> {
  return {
    ...shard,
    certificates: [...shard.certificates.values()].map((facts) => ({
      ...facts,
      chainPem: undefined,
      keyPem: '(hidden)',
    })),
    authorities: [...shard.authorities.values()].map((facts) => ({ ...facts, pem: undefined })),
  }
}

function plainPool(pool: Pool): Record<string, unknown> {
  return { ...pool.id, hash: pool.hash, endpoints: pool.endpoints }
}

function comparePools(a: Pool, b: Pool): number {
  return (
    compareText(a.id.tenant, b.id.tenant) ||
    compareText(a.id.namespace, b.id.namespace) ||
    compareText(a.id.service, b.id.service) ||
    a.id.port - b.id.port
  )
}

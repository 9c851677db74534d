// Small snapshots made by hand, for tests of what comes after compile.
import { createHash } from 'node:crypto'
import { canonicalText } from '../../model/canonical.ts'
import {
  type HostTls,
  type Pool,
  type PoolId,
  poolKey,
  type RoutePlan,
  SNAPSHOT_FORMAT,
  type Snapshot,
  type TenantLimits,
  type TenantShard,
} from '../../model/snapshot.ts'
import { planOf } from './shared-state.ts'

/** One tenant with one host whose every path goes to these ports of 127.0.0.1. */
export interface SmallTenant {
  readonly tenant: string
  readonly host: string
  readonly ports: readonly number[]
  readonly limits?: Partial<TenantLimits>
  readonly suspended?: boolean
  readonly tls?: HostTls | null
  readonly certificates?: TenantShard['certificates']
  readonly filters?: RoutePlan['filters']
  readonly change?: Partial<RoutePlan>
}

function digest(value: unknown): string {
  return createHash('sha256').update(canonicalText(value)).digest('hex')
}

/** The pool of a small tenant. */
function smallPool({ tenant, ports }: SmallTenant): Pool {
  const id: PoolId = { tenant, namespace: tenant, service: 'backend', port: 80, tls: '' }
  const endpoints = ports.map((port) => ({ address: '127.0.0.1', port, zone: '', state: 'ready' }) as const)
  return { id, hash: digest(endpoints), endpoints }
}

/** The shard of a small tenant. */
function smallShard(small: SmallTenant): TenantShard {
  const { tenant, host } = small
  const service = { namespace: tenant, name: 'backend', port: '80' }
  const body: Omit<TenantShard, 'hash'> = {
    tenant,
    suspended: small.suspended ?? false,
    limits: { requests: null, concurrency: null, connections: null, bodySize: 10_485_760, ...small.limits },
    hosts: [
      {
        host,
        tls: small.tls ?? null,
        matches: [
          { path: { type: 'PathPrefix', value: '/' }, method: null, headers: [], queryParams: [], route: 0, index: 0 },
        ],
      },
    ],
    routes: [
      {
        ...planOf({ tenant, namespace: tenant, route: 'web', rule: 0, ruleName: '' }),
        action: { type: 'forward', backends: [{ weight: 1, pool: smallPool(small).id, service }] },
        filters: small.filters ?? [],
        ...small.change,
      },
    ],
    certificates: small.certificates ?? new Map(),
    authorities: new Map(),
  }
  return { ...body, hash: digest({ ...body, certificates: [...body.certificates.keys()] }) }
}

/** A snapshot of small tenants. */
export function smallSnapshot(tenants: readonly SmallTenant[]): Snapshot {
  const shards = new Map(tenants.map((small) => [small.tenant, smallShard(small)]))
  const pools = new Map(tenants.map((small) => [poolKey(smallPool(small).id), smallPool(small)]))
  return {
    format: SNAPSHOT_FORMAT,
    version: digest([...shards.values()].map(({ hash }) => hash)).slice(0, 12),
    endpointsRevision: digest([...pools.values()].map(({ hash }) => hash)).slice(0, 12),
    shards,
    pools,
  }
}

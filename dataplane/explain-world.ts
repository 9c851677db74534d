// The world that explain asks: the same builder over the same shards, with state that never says no and counts nothing.
// Programs are built when a host of theirs is first asked for. The command line makes one for each run, main.ts one for
// each snapshot.
import type { AddressRanges } from '../model/address.ts'
import type { PolicyDefinition } from '../model/define-policy.ts'
import type { LimitDecision, Limiter } from '../model/filter.ts'
import { poolKey, type Pool, type PoolId, type TenantShard } from '../model/snapshot.ts'
import { buildTenant, type Backends } from './build/build.ts'
import type { Filters } from './build/chain.ts'
import { NameIndex } from './build/name-index.ts'
import type { HostIndex, HostProgram, TenantProgram } from './build/program.ts'
import type {
  BoundedCount,
  EndpointState,
  PodState,
  RouteMetrics,
  TenantMetrics,
  TenantState,
} from './runtime/pod-state.ts'
import { type HostIdentity, identitiesOf } from './tls/host-identity.ts'

/** What a world is made of. */
export interface ExplainWorldParts {
  /** Version of the snapshot. */
  readonly version: string
  /** The shards that are active (or would be), by tenant. */
  readonly shards: ReadonlyMap<string, TenantShard>
  /** By poolKey. */
  readonly pools: ReadonlyMap<string, Pool>
  readonly filters: Filters
  /** For their descriptions. */
  readonly policies: readonly PolicyDefinition[]
  /** Hops whose X-Forwarded-* are believed. */
  readonly trusted: AddressRanges
  /** The install has a certificate for names without one. */
  readonly hasDefaultCertificate: boolean
  /** Where clients find https, for those that are sent there. */
  readonly httpsPort: number
}

/** See the head of this file. */
export class ExplainWorld implements HostIndex {
  readonly parts: ExplainWorldParts
  readonly #names = new NameIndex<HostIdentity>()
  readonly #programs = new Map<string, ReadonlyMap<string, HostProgram> | Error>()

  constructor(parts: ExplainWorldParts) {
    this.parts = parts
    for (const shard of parts.shards.values()) this.#names.replace([], identitiesOf(shard))
  }

  /** As HostTable.lookup. Throws where the tenant's shard cannot be built: such a tenant is not served as it stands. */
  lookup(host: string): HostProgram | undefined {
    const identity = this.#names.lookup(host)
    if (identity === undefined) return undefined
    const programs = this.#programOf(identity.tenant)
    if (programs instanceof Error) throw programs
    return programs.get(identity.host)
  }

  /** The TLS side of a name. */
  identity(name: string): HostIdentity | undefined {
    return name === '' ? undefined : this.#names.lookup(name)
  }

  /** Names that are served: of all tenants, or of one. */
  names(of: 'all' | { readonly tenant: string }): string[] {
    if (of === 'all') return [...this.#names.names()]
    return this.parts.shards.get(of.tenant)?.hosts.map(({ host }) => host) ?? []
  }

  /** Endpoints of a pool, none where it is not known. */
  endpoints(id: PoolId | null): Pool['endpoints'] {
    return id === null ? [] : (this.parts.pools.get(poolKey(id))?.endpoints ?? [])
  }

  #programOf(tenant: string): ReadonlyMap<string, HostProgram> | Error {
    const present = this.#programs.get(tenant)
    if (present !== undefined) return present
    const built = this.#build(tenant)
    this.#programs.set(tenant, built)
    return built
  }

  #build(tenant: string): ReadonlyMap<string, HostProgram> | Error {
    const shard = this.parts.shards.get(tenant)
    if (shard === undefined) return new Map()
    try {
      const program: TenantProgram = buildTenant(shard, {
        state: new OpenState(),
        pools: NO_BACKENDS,
        filters: this.parts.filters,
      })
      return new Map(program.hosts.map((host) => [host.host, host]))
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }
}

/** Explain shows shares and endpoints from the plan; it never picks one. */
const NO_BACKENDS: Backends = {
  backend: (plan) => ({ service: plan.service, pick: () => undefined, report: () => undefined }),
}

/** State without memory: every limit has room, so that explain may ask the real conditions without using anything up. */
class OpenState implements PodState {
  readonly unowned: TenantMetrics = UNCOUNTED

  now(): number {
    return 0
  }

  tenant(name: string): TenantState {
    return new OpenTenant(name)
  }
}

class OpenTenant implements TenantState {
  readonly tenant: string
  readonly concurrency: BoundedCount = UNBOUNDED
  readonly connections: BoundedCount = UNBOUNDED
  readonly metrics: TenantMetrics = UNCOUNTED

  constructor(tenant: string) {
    this.tenant = tenant
  }

  limiter(_id: unknown, rate: { readonly burst: number }): Limiter {
    const decision: LimitDecision = { allowed: true, remaining: rate.burst - 1, resetAfter: 0, retryAfter: 0 }
    return { take: () => decision }
  }

  endpoint(_pool: PoolId, address: string, port: number): EndpointState {
    return {
      address,
      port,
      begin: ignore,
      end: ignore,
      inFlight: () => 0,
      failed: () => 0,
      succeeded: ignore,
      ejectedUntil: () => 0,
      eject: ignore,
    }
  }

  route(): RouteMetrics {
    return { request: ignore }
  }
}

function ignore(): void {}

const UNBOUNDED: BoundedCount = { tryAcquire: () => true, release: ignore, value: () => 0 }

const UNCOUNTED: TenantMetrics = {
  request: ignore,
  active: ignore,
  gatewayError: ignore,
  upstreamError: ignore,
  upstreamRetry: ignore,
  limitDecision: ignore,
  policyDecision: ignore,
}

// Which limiters a shard's program will ask for, found by building it once with services that only take notes. The main
// thread does this before it gives out memory; a shard that cannot be built is refused here, before any worker sees it.
import type { Limiter, LimiterId } from '../model/filter.ts'
import { tupleKey } from '../model/resources.ts'
import type { TenantShard } from '../model/snapshot.ts'
import { buildTenant, type Backends } from './build/build.ts'
import type { Filters } from './build/chain.ts'
import type { BackendProgram } from './build/program.ts'
import type { LimiterNeed } from './runtime/shared-state-allocator.ts'
import { createLocalState } from './runtime/local-state.ts'
import type { PodState, TenantState } from './runtime/pod-state.ts'

/** What the tenant's program needs. Throws an Error with the reason where the shard cannot be built. */
export function findNeeds(shard: TenantShard, filters: Filters): readonly LimiterNeed[] {
  const needs = new Map<string, LimiterNeed>()
  const local = createLocalState()
  const noted = (tenant: TenantState): TenantState => ({
    tenant: tenant.tenant,
    concurrency: tenant.concurrency,
    connections: tenant.connections,
    metrics: tenant.metrics,
    endpoint: (pool, address, port) => tenant.endpoint(pool, address, port),
    route: (id) => tenant.route(id),
    limiter(id: LimiterId, rate): Limiter {
      if (id.tenant !== shard.tenant) throw new Error(`a limiter of tenant ${id.tenant} in a shard of ${shard.tenant}`)
      needs.set(tupleKey(id.origin), { id })
      return tenant.limiter(id, rate)
    },
  })
  const state: PodState = {
    now: () => local.now(),
    tenant: (name) => noted(local.tenant(name)),
    unowned: local.unowned,
  }
  buildTenant(shard, { state, pools: NO_POOLS, filters })
  return [...needs.values()]
}

const NO_POOLS: Backends = {
  backend: (plan): BackendProgram => ({ service: plan.service, pick: () => undefined, report: () => {} }),
}

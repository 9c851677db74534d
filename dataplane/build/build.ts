// From a tenant's shard to its program: every option is decided here, at load time, and nothing is looked up later.
// No sockets, no clock. The worker calls it on activation, for the tenants that changed; explain and the golden runner
// call it with the same services, so they see what a request would.
import type { HostPlan, MatchPlan, PoolId, RoutePlan, TenantShard, WeightedBackend } from '../../model/snapshot.ts'
import type { PodState, TenantState } from '../runtime/pod-state.ts'
import { createChain, type Filters } from './chain.ts'
import { createHeaderChange } from './headers.ts'
import { BoundedPattern, type PatternCache, type PatternSource } from './patterns.ts'
import type { BackendProgram, HostProgram, RouteProgram, TenantProgram, TraceEntry } from './program.ts'
import { Router } from './router.ts'
import { createLocation, createTarget } from './target.ts'
import { WeightedChoice } from '../runtime/weighted-choice.ts'

/** Where backends come from: the pools of this worker, which outlive every configuration. */
export interface Backends {
  backend(plan: WeightedBackend & { readonly pool: PoolId }, route: RoutePlan, state: TenantState): BackendProgram
}

/** What a program holds handles to. */
export interface BuildServices {
  readonly state: PodState
  readonly pools: Backends
  readonly filters: Filters
  /** Keeps compiled patterns from one build of a tenant to the next. */
  readonly patterns?: PatternCache
}

/**
 * Builds the program of one tenant. Throws an Error with the reason where the shard cannot be run as it is (an unknown
 * policy, a pattern that is not RE2, a replacement that is no path): the caller refuses the shard and keeps the old one.
 */
export function buildTenant(shard: TenantShard, services: BuildServices): TenantProgram {
  const state = services.state.tenant(shard.tenant)
  const rate = shard.limits.requests
  const hosts: HostProgram[] = []
  const program: TenantProgram = {
    tenant: shard.tenant,
    shardHash: shard.hash,
    suspended: shard.suspended,
    limits: shard.limits,
    state,
    requests:
      rate === null
        ? null
        : state.limiter({ tenant: shard.tenant, origin: ['Tenant', shard.tenant, 'requests'] }, rate),
    hosts,
  }
  const routes = shard.routes.map((plan) => new RouteFactory(plan, services, state))
  const patterns = services.patterns?.sourceFor(shard.tenant) ?? ((text: string) => new BoundedPattern(text))
  for (const host of shard.hosts) hosts.push(buildHost(host, program, routes, patterns))
  return program
}

function buildHost(
  plan: HostPlan,
  tenant: TenantProgram,
  routes: readonly RouteFactory[],
  patterns: PatternSource,
): HostProgram {
  const router = new Router(plan.matches, patterns, (match) => {
    const factory = routes[match.route]
    if (factory === undefined) throw new Error(`host ${plan.host}: there is no route ${match.route}`)
    return factory.programFor(match)
  })
  return {
    host: plan.host,
    tenant,
    tls: plan.tls,
    route: (request): RouteProgram | undefined => router.route(request),
    trace: (request): readonly TraceEntry[] => router.trace(request),
  }
}

/**
 * Makes the programs of one rule. They share everything but target and location, which depend on the prefix that
 * matched where the rule replaces it.
 */
class RouteFactory {
  readonly #shared: Omit<RouteProgram, 'target' | 'location'>
  readonly #programs = new Map<string, RouteProgram>()

  constructor(plan: RoutePlan, services: BuildServices, state: TenantState) {
    this.#shared = {
      plan,
      id: plan.id,
      metrics: state.route(plan.id),
      ...createChain(plan, services.filters, state),
      changeRequestHeaders: createHeaderChange(plan.requestHeaders),
      changeResponseHeaders: createHeaderChange(plan.responseHeaders),
      pickBackend: createPick(plan, services.pools, state),
    }
  }

  programFor(match: MatchPlan): RouteProgram {
    const { plan } = this.#shared
    const redirect = plan.action.type === 'redirect' ? plan.action.redirect : null
    const usesPrefix =
      plan.rewrite?.path?.type === 'ReplacePrefixMatch' || redirect?.path?.type === 'ReplacePrefixMatch'
    const key = usesPrefix ? match.path.value : ''
    let program = this.#programs.get(key)
    if (program === undefined) {
      program = {
        ...this.#shared,
        target: createTarget(plan.rewrite?.path ?? null, match),
        location: redirect === null ? noLocation : createLocation(redirect, match),
      }
      this.#programs.set(key, program)
    }
    return program
  }
}

function noLocation(): never {
  throw new Error('location asked of a rule that does not redirect')
}

function createPick(plan: RoutePlan, pools: Backends, state: TenantState): RouteProgram['pickBackend'] {
  if (plan.action.type !== 'forward') return () => undefined
  const choice = new WeightedChoice<BackendProgram | null>(
    plan.action.backends.map((backend) => ({
      weight: backend.weight,
      value: hasPool(backend) ? pools.backend(backend, plan, state) : null,
    })),
  )
  // No weight at all: the share of nobody, 503 (Gateway API, BackendRef weight).
  return () => choice.next() ?? null
}

function hasPool(backend: WeightedBackend): backend is WeightedBackend & { readonly pool: PoolId } {
  return backend.pool !== null
}

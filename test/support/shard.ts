// Shards for tests, written by hand: everything has a plain default, so that a test names only what it is about.
import type {
  HostPlan,
  HostTls,
  MatchPlan,
  RoutePlan,
  TenantLimits,
  TenantShard,
  WeightedBackend,
} from '../../model/snapshot.ts'

/** No limits but the size of bodies. */
export const NO_LIMITS: TenantLimits = { requests: null, concurrency: null, connections: null, bodySize: 10_485_760 }

/** A tenant without anything, and what the test adds. */
export function makeShard(tenant: string, rest: Partial<TenantShard> = {}): TenantShard {
  return {
    tenant,
    hash: `hash-of-${tenant}`,
    suspended: false,
    limits: NO_LIMITS,
    hosts: [],
    routes: [],
    certificates: new Map(),
    authorities: new Map(),
    ...rest,
  }
}

/** A rule that forwards to one backend without a pool. */
export function makeRoute(tenant: string, route: string, rest: Partial<RoutePlan> = {}): RoutePlan {
  return {
    id: { tenant, namespace: `${tenant}-prod`, route, rule: 0, ruleName: '' },
    action: { type: 'forward', backends: [makeBackend(route)] },
    rewrite: null,
    requestHeaders: null,
    responseHeaders: null,
    filters: [],
    balance: 'RoundRobin',
    timeouts: { request: null, backendRequest: 30_000, connect: 1_000, idle: 60_000 },
    retry: { attempts: 2, onConnectFailure: true, backoff: 25 },
    passiveHealth: { consecutiveFailures: 5, ejectFor: 10_000, maxEjectedPercent: 50 },
    ...rest,
  }
}

/** A backend; without a pool its share is answered 503. */
export function makeBackend(name: string, rest: Partial<WeightedBackend> = {}): WeightedBackend {
  return { weight: 1, pool: null, service: { namespace: 'test', name, port: '80' }, ...rest }
}

/** A match on a path prefix. */
export function makeMatch(path: string | MatchPlan['path'], rest: Partial<MatchPlan> = {}): MatchPlan {
  return {
    path: typeof path === 'string' ? { type: 'PathPrefix', value: path } : path,
    method: null,
    headers: [],
    queryParams: [],
    route: 0,
    index: 0,
    ...rest,
  }
}

/** A host that the first route serves whole. */
export function makeHost(host: string, rest: Partial<HostPlan> = {}): HostPlan {
  return { host, tls: null, matches: [makeMatch('/')], ...rest }
}

/** TLS of a host without certificates. */
export function makeHostTls(rest: Partial<HostTls> = {}): HostTls {
  return { certificates: [], minVersion: '1.2', plainHTTP: 'Redirect', clientValidation: null, ...rest }
}

// The contract between controller and dataplane: an immutable, canonical snapshot in one shard per tenant. Pure data.
// compile/seal.ts makes it, publish carries it, dataplane/build turns it into a Program.
import type { AuthorityFacts, CertificateFacts } from './resources.ts'
import { tupleKey } from './resources.ts'

/** Raised when an old dataplane could misread a new snapshot. */
export const SNAPSHOT_FORMAT = 1

/** Everything the dataplane needs. Shards, pools and certificates carry their tenant; nothing is shared between tenants. */
export interface Snapshot {
  readonly format: typeof SNAPSHOT_FORMAT
  /** Hash over the hashes of all shards and certificates, ordered by tenant. Equal bytes, equal version. */
  readonly version: string
  /** Hash over the hashes of all pools. Endpoint churn changes this and no shard. */
  readonly endpointsRevision: string
  readonly shards: ReadonlyMap<string, TenantShard>
  /** By poolKey. */
  readonly pools: ReadonlyMap<string, Pool>
}

/** All of one tenant that does not churn. Canonical: the same objects give the same bytes, whatever the input order. */
export interface TenantShard {
  readonly tenant: string
  /** Digest of the canonical text of everything else in the shard, certificate fingerprints included, keys left out. */
  readonly hash: string
  readonly suspended: boolean
  readonly limits: TenantLimits
  /** Ordered by host. */
  readonly hosts: readonly HostPlan[]
  /** Ordered by id. `MatchPlan.route` is an index into this list. */
  readonly routes: readonly RoutePlan[]
  /** Certificates with their keys, apart, by fingerprint. Keys are Hidden. */
  readonly certificates: ReadonlyMap<string, CertificateFacts>
  readonly authorities: ReadonlyMap<string, AuthorityFacts>
}

/** Limits of the whole tenant, defaults filled in. `null` means no limit. */
export interface TenantLimits {
  readonly requests: { readonly count: number; readonly seconds: number; readonly burst: number } | null
  readonly concurrency: number | null
  readonly connections: number | null
  /** Bytes. */
  readonly bodySize: number
}

/** One host of a tenant: its TLS identity and its matches, in the order in which the first that holds wins. */
export interface HostPlan {
  /** Canonical: lower case, no port, no trailing dot; `*.domain` for a wildcard of one or more labels. */
  readonly host: string
  readonly tls: HostTls | null
  readonly matches: readonly MatchPlan[]
}

/** TLS belongs to the host: all Routes of a tenant on it share this. */
export interface HostTls {
  /** Fingerprints into TenantShard.certificates, best first (exact name before wildcard, later notAfter first). */
  readonly certificates: readonly string[]
  readonly minVersion: '1.2' | '1.3'
  readonly plainHTTP: 'Redirect' | 'Serve' | 'Refuse'
  readonly clientValidation: {
    /** Fingerprints into TenantShard.authorities, ordered. Never empty: no authority means `closed`. */
    readonly authorities: readonly string[]
    readonly mode: 'Require' | 'Optional'
    /** A CA that cannot be read closes the host: handshakes are refused. */
    readonly closed: boolean
  } | null
}

/** A condition and the route it leads to. */
export interface MatchPlan {
  readonly path: { readonly type: 'Exact' | 'PathPrefix' | 'RegularExpression'; readonly value: string }
  readonly method: string | null
  /** Names lower case, ordered by name. */
  readonly headers: readonly ValueMatchPlan[]
  readonly queryParams: readonly ValueMatchPlan[]
  /** Index into TenantShard.routes. */
  readonly route: number
  /** Position of the match in its rule, for explain. */
  readonly index: number
}

export interface ValueMatchPlan {
  readonly name: string
  readonly type: 'Exact' | 'RegularExpression'
  readonly value: string
}

/** Names the origin of a plan: a rule of a Route. A tuple, never a joined string. */
export interface RouteId {
  readonly tenant: string
  readonly namespace: string
  readonly route: string
  /** Position of the rule in the Route. */
  readonly rule: number
  /** Name of the rule, '' where it has none. */
  readonly ruleName: string
}

/** One rule, flattened: everything decided, nothing to look up elsewhere. */
export interface RoutePlan {
  readonly id: RouteId
  /** What the rule does. `unavailable`: it may not serve (missing policy, no backend resolved): 503/500 with the reason. */
  readonly action:
    | { readonly type: 'forward'; readonly backends: readonly WeightedBackend[] }
    | { readonly type: 'redirect'; readonly redirect: RedirectPlan }
    | { readonly type: 'unavailable'; readonly error: 'PolicyNotReady' | 'NoHealthyEndpoint' }
  readonly rewrite: RewritePlan | null
  readonly requestHeaders: HeaderPlan | null
  readonly responseHeaders: HeaderPlan | null
  /** Policies in the order of policies/index.ts; absent ones are absent. */
  readonly filters: readonly FilterPlan[]
  readonly balance: 'LeastConnections' | 'RoundRobin'
  /** Milliseconds; null means none. */
  readonly timeouts: {
    readonly request: number | null
    readonly backendRequest: number
    readonly connect: number
    readonly idle: number
  }
  readonly retry: { readonly attempts: number; readonly onConnectFailure: boolean; readonly backoff: number }
  readonly passiveHealth: {
    readonly consecutiveFailures: number
    readonly ejectFor: number
    readonly maxEjectedPercent: number
  }
}

/** Share of a rule's traffic: weight / sum. A backend that did not resolve keeps its share and answers 503. */
export interface WeightedBackend {
  readonly weight: number
  /** null where the reference did not resolve: its share is answered 503 NoHealthyEndpoint. */
  readonly pool: PoolId | null
  /** For the log and explain: the Service as the Route names it. */
  readonly service: { readonly namespace: string; readonly name: string; readonly port: string }
}

export type PathChange =
  | { readonly type: 'ReplaceFullPath'; readonly value: string }
  | { readonly type: 'ReplacePrefixMatch'; readonly value: string }

export interface RewritePlan {
  readonly hostname: string | null
  readonly path: PathChange | null
}

export interface RedirectPlan {
  readonly scheme: 'http' | 'https' | null
  readonly hostname: string | null
  readonly path: PathChange | null
  readonly port: number | null
  readonly statusCode: number
}

/** Names as written for set and add (compared without case), lower case for remove. */
export interface HeaderPlan {
  readonly set: readonly { readonly name: string; readonly value: string }[]
  readonly add: readonly { readonly name: string; readonly value: string }[]
  readonly remove: readonly string[]
}

/** A policy in force on a rule: its name and the config that its own compile made. */
export interface FilterPlan {
  readonly policy: string
  readonly config: unknown
  /** Where each layer came from, strongest first, for explain: `Tenant acme (override)`, `Policy acme-prod/edge`. */
  readonly origins: readonly string[]
}

/** Identity of a pool. `tls` is '' for plain text (backend TLS is part of the identity once it exists). */
export interface PoolId {
  readonly tenant: string
  readonly namespace: string
  readonly service: string
  /** The Service's port number. */
  readonly port: number
  readonly tls: string
}

/** The endpoints of one Service port, as one tenant may use them. Travels apart from shards. */
export interface Pool {
  readonly id: PoolId
  readonly hash: string
  /** Ordered by address, then port. */
  readonly endpoints: readonly Endpoint[]
}

export interface Endpoint {
  /** IP address in canonical text (RFC 5952 for IPv6). */
  readonly address: string
  readonly port: number
  readonly zone: string
  /** ready: gets traffic. draining: serving but terminating, used only where no ready one is left. */
  readonly state: 'ready' | 'draining'
}

/** Text form of a PoolId for maps. */
export function poolKey(id: PoolId): string {
  return tupleKey([id.tenant, id.namespace, id.service, String(id.port), id.tls])
}

/** Text form of a RouteId for maps and state that outlives a configuration. */
export function routeKey(id: RouteId): string {
  return tupleKey([id.tenant, id.namespace, id.route, id.ruleName === '' ? `#${id.rule}` : `=${id.ruleName}`])
}

/** The tenant of a pool, from its key. '' where the text is no key. */
export function tenantOfPoolKey(key: string): string {
  const colon = key.indexOf(':')
  const length = colon < 0 ? Number.NaN : Number(key.slice(0, colon))
  return Number.isSafeInteger(length) && length >= 0 ? key.slice(colon + 1, colon + 1 + length) : ''
}

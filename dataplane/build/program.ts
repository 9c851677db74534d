// The Program: a snapshot made ready to run. Types only. dataplane/build/build.ts makes it at load time; a request
// reads one TenantProgram once and keeps it; activation swaps the slots that changed in one turn.
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { Head, Hooks, RequestHead } from '../../model/filter.ts'
import type { HostTls, MatchPlan, RouteId, RoutePlan, TenantLimits } from '../../model/snapshot.ts'
import type { EndpointClient } from '../runtime/upstream.ts'
import type { EndpointState, RouteMetrics, TenantState } from '../runtime/pod-state.ts'
import type { Limiter } from '../../model/filter.ts'

/** From host to tenant. Exact names by map, wildcards by the longest suffix of whole labels. */
export interface HostIndex {
  /** `host` is canonical. undefined: nobody serves it. */
  lookup(host: string): HostProgram | undefined
}

/** One host of one tenant, ready to route. */
export interface HostProgram {
  readonly host: string
  readonly tenant: TenantProgram
  readonly tls: HostTls | null
  /** The handler of the first match that holds, or undefined for 404 NoRoute. */
  route(request: RequestHead): RouteProgram | undefined
  /** The same decision with its reasons, for explain; every candidate in precedence order. */
  trace(request: RequestHead): readonly TraceEntry[]
}

export interface TraceEntry {
  readonly match: MatchPlan
  readonly route: RouteProgram
  readonly matchIndex: number
  readonly matched: boolean
  /** Whole words: `PathPrefix /api`, `header x-version: wants "2", absent`. */
  readonly why: string
}

/** All of one tenant on this pod. */
export interface TenantProgram {
  readonly tenant: string
  readonly shardHash: string
  readonly suspended: boolean
  readonly limits: TenantLimits
  readonly state: TenantState
  /** null where the tenant has no rate. */
  readonly requests: Limiter | null
  readonly hosts: readonly HostProgram[]
}

/** A filter's hooks with its place in Exchange.slots. */
export interface Step<Hook> {
  readonly policy: string
  readonly slot: number
  readonly hook: Hook
  readonly hooks: Hooks
}

/** One rule, ready: three flat lists and the upstream. An absent policy is absent from the lists. */
export interface RouteProgram {
  readonly plan: RoutePlan
  readonly id: RouteId
  readonly metrics: RouteMetrics
  readonly slots: number
  readonly onRequest: readonly Step<NonNullable<Hooks['onRequest']>>[]
  readonly onRequestChunk: readonly Step<NonNullable<Hooks['onRequestChunk']>>[]
  readonly onResponse: readonly Step<NonNullable<Hooks['onResponse']>>[]
  readonly onResponseChunk: readonly Step<NonNullable<Hooks['onResponseChunk']>>[]
  readonly onEnd: readonly Step<NonNullable<Hooks['onEnd']>>[]
  /** Applies the rule's RequestHeaderModifier to the request for the backend; null where there is nothing to change. */
  readonly changeRequestHeaders: ((head: Head) => void) | null
  /** Applies the rule's ResponseHeaderModifier to the answer for the client; null where there is nothing to change. */
  readonly changeResponseHeaders: ((head: Head) => void) | null
  /** Path and query to send, given the request and the match that won. Already normalised again after a rewrite. */
  target(request: RequestHead): string | GatewayErrorCode
  /**
   * Location of a redirect, built from configuration and the canonical request. `port` is the one that the client sees:
   * the listener's, or the well-known one of `request.scheme` where a trusted hop spoke for the client.
   */
  location(request: RequestHead, port: number): string
  /** Picks a backend by weight. null: its share has nowhere to go, 503. undefined: the rule forwards nowhere. */
  pickBackend(): BackendProgram | null | undefined
}

/** A backend of a rule: its pool and the balancing of this rule. */
export interface BackendProgram {
  readonly service: { readonly namespace: string; readonly name: string; readonly port: string }
  /** The next endpoint that is not in `tried`, or undefined. `now` in monotonic milliseconds. */
  pick(tried: readonly EndpointHandle[], now: number): EndpointHandle | undefined
  /** Tells passive health what became of an attempt. */
  report(endpoint: EndpointHandle, failed: boolean, now: number): void
}

/** A live endpoint: its state (shared by the pod) and its client (connections of this worker). */
export interface EndpointHandle {
  readonly address: string
  readonly port: number
  /** `address:port` as dialled and logged. */
  readonly label: string
  readonly state: EndpointState
  readonly client: EndpointClient
}

// What a policy's running half looks like: the exchange it sees, its hooks, the services it may use. Types only, pure.
// No type of Fastify, node:http or node:stream appears here, so any codec can carry an exchange.
import type { GatewayAnswer } from './gateway-error.ts'
import type { RouteId } from './snapshot.ts'

declare const HEADER_ID: unique symbol

/** A header name in lower case, made once at load time by `headerId`. */
export type HeaderId = string & { readonly [HEADER_ID]: true }

/** A name for `Head.get`. Call it at load time, never per request. */
export function headerId(name: string): HeaderId {
  return name.toLowerCase() as HeaderId
}

/** Header fields of a request or a response: read in wire order, changed only through set, add and remove. */
export interface Head {
  /** The first value, as received, surrounding white space removed. */
  get(name: HeaderId): string | undefined
  /** All values in wire order, each field line by itself (never joined). */
  getAll(name: HeaderId): readonly string[]
  /** In wire order, names as received. */
  forEach(visit: (name: string, value: string) => void): void
  /** Replaces all fields of that name by one. Values are checked against RFC 9110 5.5 by the codec. */
  set(name: string, value: string): void
  add(name: string, value: string): void
  remove(name: HeaderId): void
}

/** The one canonical request that routing, policies, limits, log and upstream bytes all read. */
export interface RequestHead extends Head {
  readonly method: string
  readonly scheme: 'http' | 'https'
  /** Canonical host: lower case, no port, no trailing dot. */
  readonly host: string
  /** Canonical path: one normalisation (model/target.ts), percent-encodings kept as received. */
  readonly path: string
  /** The query as received, without `?`; '' where there is none. */
  readonly query: string
}

/** A response on its way to the client. */
export interface ResponseHead extends Head {
  status: number
}

/** Where a response comes from: `onResponse` runs for all of them. */
export type ResponseOrigin = 'backend' | 'gateway' | 'cache'

/** Who asks. `address` is resolved through trusted hops only; `peer` is the other end of the socket. Canonical text. */
export interface ClientIdentity {
  readonly address: string
  /** The address as 16 bytes (IPv4 as ::ffff:a.b.c.d), for range checks. */
  readonly bytes: Uint8Array
  /** The key that limits by client use: the IPv4 address, or the /64 of an IPv6 address, as text. */
  readonly limitKey: string
  readonly peer: string
}

/** One request in flight, as a policy sees it. */
export interface Exchange {
  readonly tenant: string
  readonly route: RouteId
  readonly requestId: string
  readonly client: ClientIdentity
  readonly request: RequestHead
  /** Monotonic milliseconds. */
  readonly startedAt: number
  /** One place for each filter of the route, for what it must remember between its hooks. */
  readonly slots: unknown[]
}

/** How an exchange ended. `onEnd` gets it exactly once. */
export interface Outcome {
  /** Status sent, 0 where the client left before any. */
  readonly status: number
  readonly origin: ResponseOrigin
  readonly error: GatewayAnswer['code'] | undefined
  /** The client went before the end. */
  readonly aborted: boolean
}

/** Nothing: go on. An answer: stop, the gateway answers. */
export type StepResult = GatewayAnswer | undefined

/** What a hook says of a chunk: undefined passes it, bytes replace it, an answer stops the exchange. */
export type ChunkResult = Uint8Array | GatewayAnswer | undefined

/** The hooks of one filter on one route. An absent hook is absent from the chain and costs nothing. */
export interface Hooks {
  onRequest?(exchange: Exchange, slot: number): StepResult | Promise<StepResult>
  /** After every policy that establishes an identity. */
  onAuthenticated?(exchange: Exchange, slot: number): StepResult | Promise<StepResult>
  /** The chunk is a view that is valid during the call only. */
  onRequestChunk?(exchange: Exchange, chunk: Uint8Array, slot: number): ChunkResult
  onResponse?(exchange: Exchange, response: ResponseHead, origin: ResponseOrigin, slot: number): void
  onResponseChunk?(exchange: Exchange, chunk: Uint8Array, slot: number): ChunkResult
  /** Exactly once, however the exchange ends. */
  onEnd?(exchange: Exchange, outcome: Outcome, slot: number): void
}

/** What a limiter says. Seconds are not rounded. */
export interface LimitDecision {
  readonly allowed: boolean
  /** Whole requests that could come now. */
  readonly remaining: number
  /** Seconds until the bucket is full again. */
  readonly resetAfter: number
  /** Seconds until one more request would be allowed; 0 when allowed. */
  readonly retryAfter: number
}

/** A bucket per key, bounded, pod-wide exact whatever the number of workers. GCRA on monotonic time. */
export interface Limiter {
  /** Takes one request from the bucket of `key` ('' for the only bucket). */
  take(key: string): LimitDecision
}

/** Names a limiter so that its state outlives a configuration. The tenant comes first. */
export interface LimiterId {
  readonly tenant: string
  /** The object it is written in and its name there, as a tuple. */
  readonly origin: readonly string[]
}

/** What a filter may use. Made for one filter on one route at load time. */
export interface FilterServices {
  readonly tenant: string
  readonly route: RouteId
  limiter(id: LimiterId, rate: { readonly count: number; readonly seconds: number; readonly burst: number }): Limiter
  /** Counts atrium_policy_decisions_total / atrium_limit_decisions_total of this tenant. */
  count(decision: 'allowed' | 'refused'): void
}

/** A policy's second door: config + services → hooks, at load time. */
export type Filter<Config> = (config: Config, services: FilterServices) => Hooks

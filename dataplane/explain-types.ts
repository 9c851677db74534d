// What `explain` is asked and what it says: one JSON shape for the command line, the admin listener and tests. Types
// only. explain.ts fills it, explain-text.ts draws it.
import type { GatewayErrorCode } from '../model/gateway-error.ts'
import type { FieldPath } from '../model/issue.ts'
import type { ObjectRef } from '../model/resources.ts'
import type { RouteId } from '../model/snapshot.ts'

/** A request that nobody sends. */
export interface ExplainQuery {
  /** GET by default. */
  readonly method?: string
  /** Absolute, http or https. A fragment is left out, as every client does. */
  readonly url: string
  /** A Host field among them stands in for the URL's. */
  readonly headers?: readonly (readonly [string, string])[]
  /** The other end of the connection; a trusted hop there is believed. Default 127.0.0.1, which is then said. */
  readonly clientAddress?: string
  /** TLS name; the URL's host by default, '' for none. */
  readonly sni?: string
  /** What the client shows where the host asks. Default `valid`, which is then said. */
  readonly clientCertificate?: 'valid' | 'none'
  /** Bytes of a body; 0 by default. */
  readonly bodyLength?: number
}

/** Whose names may appear in a suggestion, and where things are written. */
export interface ExplainOptions {
  /** Position of an object's field, such as `acme/shop.yaml:12`. */
  readonly locate?: (object: ObjectRef, path: FieldPath) => string | undefined
  /** Bodies that have no effect on a rule, in words: what compile told their owners. */
  readonly overridden?: (route: RouteId, policy: string) => readonly string[]
  /** `all` for the operator, else the one tenant whose hosts may be suggested. Default: none. */
  readonly suggest?: 'all' | { readonly tenant: string }
}

/**
 * Proxied: a backend answers. Redirected: 3xx. Refused: the request, its sender or a limit is in the way (4xx, or the
 * handshake ends). Answered: the gateway answers for what it cannot reach or may not serve (5xx).
 */
export type Decision = 'Proxied' | 'Redirected' | 'Answered' | 'Refused'

/** One match of the host. */
export interface ExplainedCandidate {
  /** `acme-prod/shop rule api`. */
  readonly rule: string
  readonly matched: boolean
  readonly chosen: boolean
  readonly why: string
}

export interface ExplainedLimit {
  readonly name: string
  /** `500/s, burst 1000`. */
  readonly rule: string
  /** What the requests are told apart by; '' for one count of all. */
  readonly key: string
  readonly origin: string
}

export interface ExplainedStep {
  readonly policy: string
  readonly summary: string
  readonly origin: string
  /** Bodies of the same policy that have no effect here. */
  readonly overridden: readonly string[]
  /** null: never asked, because something earlier answered. */
  readonly wouldPass: boolean | null
}

export interface ExplainedEndpoint {
  readonly address: string
  readonly port: number
  readonly zone: string
  readonly state: 'ready' | 'draining'
}

export interface ExplainedBackend {
  readonly service: { readonly namespace: string; readonly name: string; readonly port: string }
  /** Part of the rule's requests, 0 to 1. */
  readonly share: number
  /** Endpoints that get requests: the ready ones, or where there is none the draining ones. */
  readonly endpoints: readonly ExplainedEndpoint[]
}

/** What a backend is sent. */
export interface ExplainedUpstream {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly host: string
  /** Fields that the rule sets, adds and removes. */
  readonly changes: readonly string[]
  readonly balance: string
  /** Milliseconds; null for none. */
  readonly timeouts: { readonly request: number | null; readonly backendRequest: number }
  readonly retries: number
}

/** The whole answer. */
export interface Explanation {
  readonly request: {
    readonly method: string
    readonly url: string
    readonly headers: readonly (readonly [string, string])[]
    readonly clientAddress: string
    readonly sni: string | null
    /** As everything after the codec reads it; null where it was refused before. */
    readonly canonical: { readonly host: string; readonly path: string; readonly query: string } | null
  }
  readonly decision: Decision
  /** Of the gateway's own answer; null where a backend decides it, or where the handshake ends. */
  readonly status: number | null
  readonly error: GatewayErrorCode | null
  /** One sentence. */
  readonly result: string
  readonly tls: { readonly name: string; readonly text: string } | null
  readonly tenant: string | null
  /** The host or wildcard that holds. */
  readonly host: string | null
  readonly route: {
    readonly namespace: string
    readonly name: string
    readonly rule: number
    readonly ruleName: string
    readonly origin: string
  } | null
  /** In order of precedence. */
  readonly candidates: readonly ExplainedCandidate[]
  readonly limits: readonly ExplainedLimit[]
  readonly steps: readonly ExplainedStep[]
  readonly backends: readonly ExplainedBackend[]
  readonly upstream: ExplainedUpstream | null
  readonly location: string | null
  /** Version of the snapshot. */
  readonly snapshot: string
  /** What cannot be known from configuration alone, and what was assumed instead. */
  readonly unknown: readonly string[]
}

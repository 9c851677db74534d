// From what was written to what holds: every default filled in, durations in milliseconds, sizes in bytes. Pure.
// compile calls these once for each object; nothing after it knows of a default.
import { ROUTE_DEFAULTS, TENANT_DEFAULTS } from './default-values.ts'
import { parseDuration, parseRate, parseSize } from './quantity.ts'
import type { BackendRef, RouteMatch, RouteRule, RouteTls } from './route.ts'
import type { HostTls, MatchPlan, RoutePlan, TenantLimits, ValueMatchPlan } from './snapshot.ts'
import type { TenantSpec } from './tenant.ts'

/** A reference with its kind and namespace decided. */
export interface FilledRef {
  readonly kind: 'Service' | 'Secret' | 'ConfigMap'
  readonly namespace: string
  readonly name: string
}

/** The limits of a tenant. A burst left out is one second of the rate, at least 1. */
export function filledLimits(limits: TenantSpec['limits']): TenantLimits {
  const rate = limits?.requests === undefined ? null : parseRate(limits.requests.rate)
  return {
    requests:
      rate === null
        ? null
        : { ...rate, burst: limits?.requests?.burst ?? Math.max(1, Math.ceil(rate.count / rate.seconds)) },
    concurrency: limits?.concurrency ?? null,
    connections: limits?.connections ?? null,
    bodySize: parseSize(limits?.bodySize ?? TENANT_DEFAULTS.bodySize),
  }
}

/** Balancing, timeouts, retry and passive health of a rule. */
export function filledSettings(
  rule: Pick<RouteRule, 'balance' | 'timeouts' | 'retry' | 'healthCheck'>,
): Pick<RoutePlan, 'balance' | 'timeouts' | 'retry' | 'passiveHealth'> {
  const { timeouts, retry } = rule
  const passive = rule.healthCheck?.passive
  const request = timeouts?.request === undefined ? 0 : parseDuration(timeouts.request)
  const retryOn: readonly string[] = retry?.when ?? ROUTE_DEFAULTS.retryOn
  return {
    balance: rule.balance?.algorithm ?? ROUTE_DEFAULTS.algorithm,
    timeouts: {
      // 0s means none (Gateway API, HTTPRouteTimeouts.request).
      request: request === 0 ? null : request,
      backendRequest: parseDuration(timeouts?.backendRequest ?? ROUTE_DEFAULTS.backendRequest),
      connect: parseDuration(timeouts?.connect ?? ROUTE_DEFAULTS.connect),
      idle: parseDuration(timeouts?.idle ?? ROUTE_DEFAULTS.idle),
    },
    retry: {
      attempts: retry?.attempts ?? ROUTE_DEFAULTS.attempts,
      onConnectFailure: retryOn.includes('ConnectFailure'),
      backoff: parseDuration(retry?.backoff ?? ROUTE_DEFAULTS.backoff),
    },
    passiveHealth: {
      consecutiveFailures: passive?.consecutiveFailures ?? ROUTE_DEFAULTS.consecutiveFailures,
      ejectFor: parseDuration(passive?.ejectFor ?? ROUTE_DEFAULTS.ejectFor),
      maxEjectedPercent: passive?.maxEjectedPercent ?? ROUTE_DEFAULTS.maxEjectedPercent,
    },
  }
}

/** The matches of a rule: none given means one that every request meets (Gateway API, HTTPRouteRule.matches). */
export function filledMatches(matches: RouteRule['matches']): readonly RouteMatch[] {
  return matches === undefined || matches.length === 0 ? [{}] : matches
}

/** The condition on the path, as written otherwise. */
export function filledPath(path: RouteMatch['path']): MatchPlan['path'] {
  return { type: path?.type ?? ROUTE_DEFAULTS.pathType, value: path?.value ?? ROUTE_DEFAULTS.pathValue }
}

/** How the value of a header or query parameter is compared. */
export function filledValueType(type: ValueMatchPlan['type'] | undefined): ValueMatchPlan['type'] {
  return type ?? ROUTE_DEFAULTS.valueType
}

/** The weight of a backend. */
export function filledWeight(ref: BackendRef): number {
  return ref.weight ?? ROUTE_DEFAULTS.weight
}

/** Status code of a redirect. */
export function filledStatusCode(statusCode: number | undefined): number {
  return statusCode ?? ROUTE_DEFAULTS.statusCode
}

/** What a Route says of TLS beside its certificates. Call it only where the Route has `tls`. */
export function filledTls(tls: RouteTls): {
  readonly minVersion: HostTls['minVersion']
  readonly plainHTTP: HostTls['plainHTTP']
  readonly mode: 'Require' | 'Optional'
} {
  return {
    minVersion: tls.minVersion ?? ROUTE_DEFAULTS.minVersion,
    plainHTTP: tls.plainHTTP ?? ROUTE_DEFAULTS.plainHTTP,
    mode: tls.clientValidation?.mode ?? ROUTE_DEFAULTS.clientValidationMode,
  }
}

/** A reference as it is meant: `kind` where none is written, the namespace of the object that holds it. */
export function filledRef<Kind extends FilledRef['kind']>(
  ref: { readonly kind?: Kind; readonly namespace?: string; readonly name: string },
  kind: Kind,
  ownNamespace: string,
): FilledRef {
  return { kind: ref.kind ?? kind, namespace: ref.namespace ?? ownNamespace, name: ref.name }
}

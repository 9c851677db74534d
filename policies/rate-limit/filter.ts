// rateLimits, running: takes from each bucket in turn, and tells every client where it stands. Built at load time.
// Headers: draft-ietf-httpapi-ratelimit-headers (structured fields). Buckets live in the state of the pod.
import {
  type Exchange,
  type Filter,
  type HeaderId,
  headerId,
  type LimitDecision,
  type Limiter,
} from '../../model/filter.ts'
import { tupleKey } from '../../model/resources.ts'
import type { LimitConfig, RateLimitsConfig } from './schema.ts'

/** Of a header value, so that a client cannot fill the tables of keys with its own bytes. */
const MAX_VALUE = 256

interface LiveLimit {
  readonly name: string
  readonly limiter: Limiter
  readonly keyOf: (exchange: Exchange) => string
}

/** What a request found: the limit that is nearest to its end. */
interface Standing {
  readonly name: string
  readonly decision: LimitDecision
}

/** The filter of `rateLimits`. */
export const rateLimitFilter: Filter<RateLimitsConfig> = (config, services) => {
  if (config.limits.length === 0) return {}
  const { tenant, route } = services
  const limits = config.limits.map((limit): LiveLimit => {
    const perRoute = limit.key.some((part) => part.type === 'route')
    const place = [route.namespace, route.route, route.ruleName === '' ? `#${route.rule}` : `=${route.ruleName}`]
    const origin = perRoute ? [...limit.origin, ...place] : limit.origin
    return { name: limit.name, limiter: services.limiter({ tenant, origin }, limit), keyOf: keyReader(limit) }
  })
  const policyField = config.limits.map(describePolicy).join(', ')

  return {
    onRequest(exchange, slot) {
      let nearest: Standing | undefined
      for (const limit of limits) {
        const decision = limit.limiter.take(limit.keyOf(exchange))
        if (!decision.allowed) {
          exchange.slots[slot] = { name: limit.name, decision } satisfies Standing
          services.count('refused')
          return {
            code: 'RequestRateExceeded',
            retryAfter: wholeSeconds(decision.retryAfter),
            decidedBy: `rateLimits/${limit.name}`,
          }
        }
        if (nearest === undefined || isNearer(decision, nearest.decision)) nearest = { name: limit.name, decision }
      }
      exchange.slots[slot] = nearest
      services.count('allowed')
      return undefined
    },
    onResponse(exchange, response, _origin, slot) {
      // Nothing there: an earlier policy answered before this one was asked.
      const standing = exchange.slots[slot] as Standing | undefined
      if (standing === undefined) return
      const { remaining, resetAfter } = standing.decision
      response.set('RateLimit-Policy', policyField)
      response.set('RateLimit', `"${standing.name}";r=${remaining};t=${Math.ceil(resetAfter)}`)
    },
  }
}

/** The bucket as a window that a client understands: all of it, and the seconds in which it fills. */
function describePolicy(limit: LimitConfig): string {
  return `"${limit.name}";q=${limit.burst};w=${wholeSeconds((limit.burst * limit.seconds) / limit.count)}`
}

function isNearer(a: LimitDecision, b: LimitDecision): boolean {
  return a.remaining < b.remaining || (a.remaining === b.remaining && a.resetAfter > b.resetAfter)
}

/** RFC 9110 section 10.2.3: whole seconds; rounded up, so that who obeys is let in. */
function wholeSeconds(seconds: number): number {
  return Math.max(1, Math.ceil(seconds))
}

/** Reads the key of a request. The route is part of the limiter's identity, not of the key. */
function keyReader(limit: LimitConfig): (exchange: Exchange) => string {
  const readers = limit.key.flatMap((part): ((exchange: Exchange) => string)[] => {
    if (part.type === 'clientIP') return [(exchange) => exchange.client.limitKey]
    if (part.type === 'route') return []
    const header = headerId(part.name)
    return [(exchange) => headerKey(exchange, header)]
  })
  const [only] = readers
  if (only === undefined) return () => ''
  if (readers.length === 1) return only
  return (exchange) => tupleKey(readers.map((read) => read(exchange)))
}

/** A client that repeats a header cannot choose which value counts: it shares the bucket of those without one. */
function headerKey(exchange: Exchange, header: HeaderId): string {
  const values = exchange.request.getAll(header)
  return values.length === 1 ? (values[0] ?? '').slice(0, MAX_VALUE) : ''
}

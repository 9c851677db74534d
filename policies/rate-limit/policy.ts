// rateLimits: how many requests may come, by what they are told apart. Pure. Door one: schema, places, strictness, compile.
import { definePolicy, type LostField, type PolicyDescription } from '../../model/define-policy.ts'
import { formatRate, parseRate } from '../../model/quantity.ts'
import { compileRateLimits } from './compile.ts'
import { type RateLimit, type RateLimitsBody, type RateLimitsConfig, rateLimitsBody } from './schema.ts'

/** The policy `rateLimits`. */
export const rateLimits = definePolicy({
  name: 'rateLimits',
  body: rateLimitsBody,
  attachesTo: ['TenantDefaults', 'TenantOverrides', 'Namespace', 'Route', 'Rule'],
  looserFields,
  compile: compileRateLimits,
  describe,
})

function describe(config: RateLimitsConfig): PolicyDescription {
  const limits = config.limits.map(({ name, count, seconds, burst, key }) => ({
    name,
    rule: `${formatRate({ count, seconds })}, burst ${burst}`,
    key: key.map((part) => (part.type === 'header' ? `header ${part.name}` : part.type)).join(' and '),
  }))
  return { summary: limits.map((limit) => `${limit.name} ${limit.rule}`).join('; '), limits }
}

/**
 * The limits of `own` that can never refuse anything, because a limit of `override` refuses it first. All layers hold,
 * so nothing of `own` makes the whole looser.
 */
function looserFields(own: RateLimitsBody, override: RateLimitsBody): readonly LostField[] {
  return own.flatMap((limit, index) => {
    const stricter = override.find((other) => neverReached(limit, other))
    if (stricter === undefined) return []
    return [
      { path: [index], because: `allows ${inWords(limit)}, the override's ${stricter.name} ${inWords(stricter)}` },
    ]
  })
}

/** Whether every request that `stricter` lets through, `limit` lets through too, and the two are not the same. */
function neverReached(limit: RateLimit, stricter: RateLimit): boolean {
  const parts = keyParts(limit)
  const stricterParts = keyParts(stricter)
  // A bucket of the coarser key sees all requests that any bucket of the finer key sees.
  if (![...stricterParts].every((part) => parts.has(part))) return false
  const rate = parseRate(limit.rate)
  const stricterRate = parseRate(stricter.rate)
  const speed = rate.count * stricterRate.seconds - stricterRate.count * rate.seconds
  const burst = burstOf(limit) - burstOf(stricter)
  return speed >= 0 && burst >= 0 && (speed > 0 || burst > 0 || parts.size > stricterParts.size)
}

function keyParts(limit: RateLimit): ReadonlySet<string> {
  return new Set(
    (limit.key ?? []).map((part) =>
      part.header === undefined ? Object.keys(part).join() : `=${part.header.toLowerCase()}`,
    ),
  )
}

function burstOf(limit: RateLimit): number {
  return limit.burst ?? parseRate(limit.rate).count
}

function inWords(limit: RateLimit): string {
  const burst = limit.burst === undefined ? '' : `, ${limit.burst} at once`
  const parts = (limit.key ?? []).map((part) => part.header ?? Object.keys(part).join())
  return `${limit.rate}${burst}${parts.length === 0 ? '' : ` by ${parts.join(' and ')}`}`
}

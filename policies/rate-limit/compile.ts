// rateLimits, from bodies to the config of a shard. Pure. The limits of all layers hold, the strongest layer's first.
import type { PolicyLayer } from '../../model/define-policy.ts'
import { parseRate } from '../../model/quantity.ts'
import type { KeyPart, LimitConfig, RateLimit, RateLimitsBody, RateLimitsConfig } from './schema.ts'

/** The config of one rule. */
export function compileRateLimits(layers: readonly PolicyLayer<RateLimitsBody>[]): RateLimitsConfig {
  return { limits: layers.flatMap((layer) => layer.body.map((limit) => limitConfig(limit, layer))) }
}

function limitConfig(limit: RateLimit, layer: PolicyLayer<RateLimitsBody>): LimitConfig {
  const { kind, namespace, name } = layer.origin
  const { count, seconds } = parseRate(limit.rate)
  return {
    // A Tenant holds two bodies, so it needs the place; a Policy is one object wherever it is attached.
    origin: [kind, namespace, name, kind === 'Tenant' ? layer.point : '', limit.name],
    name: limit.name,
    count,
    seconds,
    burst: limit.burst ?? count,
    key: (limit.key ?? []).map(keyPart),
  }
}

function keyPart(part: NonNullable<RateLimit['key']>[number]): KeyPart {
  if (part.header !== undefined) return { type: 'header', name: part.header.toLowerCase() }
  return part.route === undefined ? { type: 'clientIP' } : { type: 'route' }
}

// access, from bodies to the config of a shard. Pure. All layers hold: allow lists add up, denied ranges unite.
import { formatCidr, parseCidr } from '../../model/address.ts'
import { compareText } from '../../model/canonical.ts'
import type { PolicyLayer } from '../../model/define-policy.ts'
import type { AccessBody, AccessConfig } from './schema.ts'

/** The config of one rule. */
export function compileAccess(layers: readonly PolicyLayer<AccessBody>[]): AccessConfig {
  return {
    allow: layers.flatMap(({ body }) => (body.ip?.allow === undefined ? [] : [canonicalRanges(body.ip.allow)])),
    deny: canonicalRanges(layers.flatMap(({ body }) => body.ip?.deny ?? [])),
  }
}

/** One spelling and one order, so that the same ranges give the same shard however they are written. */
function canonicalRanges(texts: readonly string[]): readonly string[] {
  const ranges = new Set<string>()
  for (const text of texts) {
    const cidr = parseCidr(text)
    if (cidr !== undefined) ranges.add(formatCidr(cidr))
  }
  return [...ranges].sort(compareText)
}

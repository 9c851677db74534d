// access: who may come in, by address. Pure. Door one: schema, places, order of strictness, compile.
import { AddressRanges, parseCidr } from '../../model/address.ts'
import { definePolicy, type LostField, type PolicyDescription } from '../../model/define-policy.ts'
import { compileAccess } from './compile.ts'
import { type AccessBody, type AccessConfig, accessBody } from './schema.ts'

/** The policy `access`. */
export const access = definePolicy({
  name: 'access',
  body: accessBody,
  attachesTo: ['TenantDefaults', 'TenantOverrides', 'Namespace', 'Route', 'Rule'],
  looserFields,
  compile: compileAccess,
  describe,
})

/** Allow lists of several layers all hold. */
function describe(config: AccessConfig): PolicyDescription {
  const parts = [
    ...config.allow.map((ranges) => `allow ${ranges.join(', ')}`),
    ...(config.deny.length === 0 ? [] : [`deny ${config.deny.join(', ')}`]),
  ]
  return { summary: parts.length === 0 ? 'everybody' : parts.join('; ') }
}

/** The allowed ranges of `own` that `override` cuts; the whole of `ip` where `own` has no list of them. */
function looserFields(own: AccessBody, override: AccessBody): readonly LostField[] {
  const permitted = admitted(override)
  const denied = rangesOf(own.ip?.deny)
  const lost: LostField[] = []
  own.ip?.allow?.forEach((text, index) => {
    if (permitted.covers(rangesOf([text]).minus(denied))) return
    lost.push({ path: ['ip', 'allow', index], because: `allows ${text}, of which the override refuses a part or all` })
  })
  if (own.ip?.allow === undefined && !permitted.covers(admitted(own))) {
    const path = own.ip === undefined ? [] : ['ip']
    lost.push({ path, because: 'allows every address that it does not deny, the override allows fewer' })
  }
  return lost
}

/** Every address that a body lets in. */
function admitted(body: AccessBody): AddressRanges {
  const allowed = body.ip?.allow === undefined ? AddressRanges.everything() : rangesOf(body.ip.allow)
  return allowed.minus(rangesOf(body.ip?.deny))
}

function rangesOf(texts: readonly string[] | undefined): AddressRanges {
  return new AddressRanges((texts ?? []).flatMap((text) => parseCidr(text) ?? []))
}

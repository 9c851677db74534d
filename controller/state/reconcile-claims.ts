// Claims from what compile wants and what is stored: stamped, released, taken back, expired. Pure; time is a parameter.
// loop.ts calls it after each compile and stores the result before it publishes.
import { compareText } from '../../model/canonical.ts'
import { type Claim, tupleKey } from '../../model/resources.ts'

/** A claim that some tenant wants. */
export type Want = Pick<Claim, 'what' | 'name' | 'tenant'>

/** The claims from now on. */
export interface ReconciledClaims {
  /** Ordered by what, name and tenant. The same list as before where nothing changed. */
  readonly claims: readonly Claim[]
  readonly changed: boolean
  /** A claim is gone that held something: compile again, others may get it. */
  readonly freed: boolean
  /** When the next claim expires, milliseconds since the epoch; undefined where none waits. */
  readonly nextExpiry: number | undefined
}

/**
 * `now` and `delay` in milliseconds. A claim that nobody wants any more holds for `delay` and then goes; its tenant may
 * take it back until then. A new claim is stamped unless another tenant still holds the name.
 */
export function reconcileClaims(
  stored: readonly Claim[],
  wanted: readonly Want[],
  now: number,
  delay: number,
): ReconciledClaims {
  const wants = new Set(wanted.map(claimKey))
  const kept: Claim[] = []
  const held = new Map<string, string>()
  let changed = false
  let freed = false
  let nextExpiry: number | undefined
  for (const claim of stored) {
    const next = wants.has(claimKey(claim)) ? taken(claim) : released(claim, now)
    const expiry = next.releasedAt === undefined ? undefined : next.releasedAt + delay
    if (claim.expired === true || (expiry !== undefined && expiry <= now)) {
      changed = true
      freed ||= claim.expired !== true
      continue
    }
    if (expiry !== undefined) nextExpiry = Math.min(nextExpiry ?? expiry, expiry)
    changed ||= next !== claim
    held.set(nameKey(next), next.tenant)
    kept.push(next)
  }
  for (const want of wanted) {
    if (held.has(nameKey(want))) continue
    held.set(nameKey(want), want.tenant)
    kept.push({ what: want.what, name: want.name, tenant: want.tenant, since: now })
    changed = true
  }
  return { claims: changed ? kept.sort(compareClaims) : stored, changed, freed, nextExpiry }
}

/** Claims without those whose delay is over; the same list where none is. Compile never sees the others. */
export function expireClaims(stored: readonly Claim[], now: number, delay: number): readonly Claim[] {
  const standing = stored.filter(
    (claim) => claim.expired !== true && !(claim.releasedAt !== undefined && claim.releasedAt + delay <= now),
  )
  return standing.length === stored.length ? stored : standing
}

function taken(claim: Claim): Claim {
  if (claim.releasedAt === undefined) return claim
  const { releasedAt: _releasedAt, ...rest } = claim
  return rest
}

// A clock that went back must not hold a name for ever.
function released(claim: Claim, now: number): Claim {
  if (claim.releasedAt !== undefined && claim.releasedAt <= now) return claim
  return { ...claim, releasedAt: now }
}

function claimKey(claim: Want): string {
  return tupleKey([claim.what, claim.name, claim.tenant])
}

function nameKey(claim: Want): string {
  return tupleKey([claim.what, claim.name])
}

function compareClaims(a: Claim, b: Claim): number {
  return compareText(a.what, b.what) || compareText(a.name, b.name) || compareText(a.tenant, b.tenant)
}

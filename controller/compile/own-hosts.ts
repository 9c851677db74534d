// The third pass, global: which hosts each Tenant owns. Pure. Works on what Tenants ask for and on claims, never on
// Routes. Two Tenants contest the narrower of two patterns that overlap, unless the wider one carved it out: whoever holds
// it keeps it, and where nobody holds it neither gets it.
//
// The dataplane finds a host by its exact name, then by the longest wildcard. So that a wildcard never serves what its
// tenant does not own, the owner of a name under a foreign wildcard always has it in its shard (`anchors`), and the owner
// of the wildcard has an empty entry for what nobody owns (`holes`).
import { compareText } from '../../model/canonical.ts'
import { patternCovers } from '../../model/host.ts'
import type { Issue } from '../../model/issue.ts'
import { type TenantForm, tenantSubject } from './admit-tenants.ts'
import { type ClaimIndex, Handovers } from './claim-index.ts'
import type { CrossEffect, WantedClaim } from './compile-types.ts'
import { createIssue } from './issues.ts'

/** What a tenant may serve. All lists ordered. */
export interface OwnedHosts {
  readonly patterns: readonly OwnedPattern[]
  /** Hosts that the Tenant asked for and did not get, whole. */
  readonly refused: readonly string[]
  readonly anchors: readonly string[]
  readonly holes: readonly string[]
}

export interface OwnedPattern {
  readonly pattern: string
  /** Hosts under it that the Tenant itself carved out. */
  readonly carved: readonly string[]
  /** Patterns under it that another holds or asks for. */
  readonly lost: readonly string[]
}

export interface HostOwnership {
  readonly byTenant: ReadonlyMap<string, OwnedHosts>
  readonly issues: readonly Issue[]
  readonly claims: readonly WantedClaim[]
  readonly effects: readonly CrossEffect[]
}

/** owned: the tenant may serve all of it. contested: it asked for it and another has it or wants it. foreign: neither. */
export type HostStanding = 'owned' | 'contested' | 'foreign'

/** Whether a tenant may serve a hostname of a Route. */
export function hostStanding(hosts: OwnedHosts, hostname: string): HostStanding {
  let contested = hosts.refused.some((pattern) => patternCovers(pattern, hostname))
  for (const { pattern, carved, lost } of hosts.patterns) {
    if (!patternCovers(pattern, hostname)) continue
    const isLost = lost.some((each) => patternCovers(each, hostname))
    if (!isLost && !carved.includes(hostname)) return 'owned'
    contested ||= isLost
  }
  return contested ? 'contested' : 'foreign'
}

/** One tenant's wish for one pattern. */
interface Want {
  readonly tenant: TenantForm
  readonly pattern: string
  readonly index: number
  /** What it loses, and to whom: the pattern itself, or patterns under it. */
  readonly lost: Map<string, Loss>
}

interface Loss {
  /** undefined: nobody holds it, so nobody gets it. */
  readonly holder: string | undefined
  readonly rivals: Set<string>
}

/** Deals out hosts. */
export function ownHosts(forms: readonly TenantForm[], claims: ClaimIndex): HostOwnership {
  return new HostDealer(forms, claims).deal()
}

class HostDealer {
  readonly #forms: readonly TenantForm[]
  readonly #held: ClaimIndex
  readonly #wants = new Map<string, Want[]>()
  readonly #exceptions = new Map<string, ReadonlySet<string>>()
  readonly #handovers = new Handovers('HostHandedOver')
  readonly #issues: Issue[] = []
  /** Pattern to the tenant that got it. */
  readonly #granted = new Map<string, string>()

  constructor(forms: readonly TenantForm[], claims: ClaimIndex) {
    this.#forms = forms
    this.#held = claims
  }

  deal(): HostOwnership {
    const wants = this.#forms.map((tenant) => this.#collect(tenant))
    for (const list of wants) for (const want of list) this.#contestWant(want)
    for (const { name, tenant } of this.#held.hosts()) this.#contestClaim(name, tenant)
    for (const want of wants.flat()) {
      if (!isRefused(want)) this.#granted.set(want.pattern, want.tenant.name)
      for (const [region, loss] of want.lost) this.#issues.push(lossIssue(want, region, loss))
    }
    const byTenant = new Map(
      this.#forms.map((tenant, index) => [tenant.name, this.#owned(tenant.name, wants[index] ?? [])]),
    )
    const claims = wants.flatMap((list) => this.#claims(list))
    return { byTenant, issues: this.#issues, claims, effects: this.#handovers.effects() }
  }

  #claims(wants: readonly Want[]): readonly WantedClaim[] {
    const disputed = wants.flatMap((want) => [...want.lost].filter(([, loss]) => loss.holder === undefined))
    return wants
      .filter((want) => {
        if (this.#held.hostHolder(want.pattern) === want.tenant.name) return true
        // Over a contest that nobody has won nothing is claimed: storing the claim would decide the contest.
        return !isRefused(want) && !disputed.some(([region]) => patternCovers(want.pattern, region))
      })
      .map((want) => ({ what: 'host', name: want.pattern, tenant: want.tenant.name }))
  }

  #collect(tenant: TenantForm): readonly Want[] {
    const { hostnames = [], hostnameExceptions = [] } = tenant.form.value
    this.#exceptions.set(tenant.name, new Set(hostnameExceptions))
    hostnameExceptions.forEach((exception, index) => {
      if (hostnames.some((pattern) => pattern !== exception && patternCovers(pattern, exception))) return
      const message = `${exception} is under no wildcard of this Tenant, so the exception has no effect. Remove it.`
      const path = ['spec', 'hostnameExceptions', index]
      this.#issues.push(createIssue(tenantSubject(tenant.name, tenant.indexed), 'warns', 'Invalid', message, { path }))
    })
    return hostnames.map((pattern, index) => {
      const want: Want = { tenant, pattern, index, lost: new Map() }
      const list = this.#wants.get(pattern)
      if (list === undefined) this.#wants.set(pattern, [want])
      else list.push(want)
      return want
    })
  }

  /** Contests of `want` with every wish and every claim for the same pattern or a wider one. */
  #contestWant(want: Want): void {
    const own = want.tenant.name
    for (const name of coveringPatterns(want.pattern)) {
      for (const wide of this.#wants.get(name) ?? []) {
        const rival = wide.tenant.name
        if (rival === own || (name === want.pattern && compareText(own, rival) > 0)) continue
        this.#handovers.relate(own, rival)
        if (!this.#carvedOut(rival, name, want.pattern)) this.#contest(want, wide)
      }
      const bare = this.#bareHolder(name)
      if (bare === undefined || bare === own) continue
      // Its Tenant may still exist, and what it carves out now counts.
      this.#handovers.relate(own, bare)
      if (this.#carvedOut(bare, name, want.pattern)) continue
      const holder = this.#holderOf(want.pattern)
      if (holder !== own) lose(want, want.pattern, bare, holder)
    }
  }

  #contest(narrow: Want, wide: Want): void {
    const region = narrow.pattern
    const holder = this.#holderOf(region)
    if (holder !== narrow.tenant.name) lose(narrow, region, wide.tenant.name, holder)
    if (holder !== wide.tenant.name) lose(wide, region, narrow.tenant.name, holder)
  }

  /** What a holder no longer asks for still keeps out those who ask for something wider. */
  #contestClaim(name: string, holder: string): void {
    if (this.#bareHolder(name) === undefined) return
    for (const wider of coveringPatterns(name)) {
      if (wider === name) continue
      for (const want of this.#wants.get(wider) ?? []) {
        if (want.tenant.name === holder) continue
        this.#handovers.relate(want.tenant.name, holder)
        if (this.#carvedOut(want.tenant.name, wider, name)) continue
        lose(want, name, holder, holder)
      }
    }
  }

  /** Who holds exactly this pattern without asking for it any more. */
  #bareHolder(name: string): string | undefined {
    const holder = this.#held.hostHolder(name)
    const asks = (this.#wants.get(name) ?? []).some((want) => want.tenant.name === holder)
    return asks ? undefined : holder
  }

  /** Who holds a pattern: the most specific claim on it or above it. */
  #holderOf(pattern: string): string | undefined {
    for (const name of coveringPatterns(pattern)) {
      const holder = this.#held.hostHolder(name)
      if (holder !== undefined && !this.#carvedOut(holder, name, pattern)) return holder
    }
    return undefined
  }

  /** Whether `tenant` carved `narrow` out of its own wildcard `wide`. */
  #carvedOut(tenant: string, wide: string, narrow: string): boolean {
    return wide !== narrow && (this.#exceptions.get(tenant)?.has(narrow) ?? false)
  }

  #owned(tenant: string, wants: readonly Want[]): OwnedHosts {
    const exceptions = [...(this.#exceptions.get(tenant) ?? [])]
    const patterns: OwnedPattern[] = []
    const anchors = new Set<string>()
    const holes = new Set<string>()
    for (const want of wants) {
      if (isRefused(want)) continue
      const carved = exceptions.filter((host) => host !== want.pattern && patternCovers(want.pattern, host))
      const lost = [...want.lost.keys()]
      patterns.push({ pattern: want.pattern, carved: carved.sort(compareText), lost: lost.sort(compareText) })
      if (this.#underForeignWildcard(want.pattern, tenant)) anchors.add(want.pattern)
      for (const pattern of [...carved, ...lost]) if (this.#grantedAbove(pattern, true) === tenant) holes.add(pattern)
    }
    for (const pattern of holes) if (this.#granted.has(pattern)) holes.delete(pattern)
    return {
      patterns: patterns.sort((a, b) => compareText(a.pattern, b.pattern)),
      refused: wants
        .filter(isRefused)
        .map((want) => want.pattern)
        .sort(compareText),
      anchors: [...anchors].sort(compareText),
      holes: [...holes].sort(compareText),
    }
  }

  #underForeignWildcard(pattern: string, tenant: string): boolean {
    const above = this.#grantedAbove(pattern, false)
    return above !== undefined && above !== tenant
  }

  /** Tenant of the longest granted pattern that covers `pattern`, itself included or not. */
  #grantedAbove(pattern: string, itself: boolean): string | undefined {
    for (const name of coveringPatterns(pattern)) {
      if (name === pattern && !itself) continue
      const tenant = this.#granted.get(name)
      if (tenant !== undefined) return tenant
    }
    return undefined
  }
}

function isRefused(want: Want): boolean {
  return want.lost.has(want.pattern)
}

function lose(want: Want, region: string, rival: string, holder: string | undefined): void {
  const loss = want.lost.get(region)
  if (loss === undefined) want.lost.set(region, { holder, rivals: new Set([rival]) })
  else loss.rivals.add(rival)
}

/** The tenant reads that somebody has it, the platform reads who. */
function lossIssue(want: Want, region: string, loss: Loss): Issue {
  const { tenant, index } = want
  const message =
    loss.holder === undefined
      ? `${region} is asked for by another Tenant too and held by none, so neither gets it. Remove it from one of them, or carve it out with hostnameExceptions.`
      : `${region} is held by another Tenant, so this one does not get it. Remove it here, carve it out with hostnameExceptions, or have the holder release it.`
  const platformNote =
    loss.holder === undefined
      ? `asked for by ${[...loss.rivals].sort(compareText).join(', ')}`
      : `held by ${loss.holder}`
  return createIssue(tenantSubject(tenant.name, tenant.indexed), 'degrades', 'HostInUse', message, {
    path: ['spec', 'hostnames', index],
    platformNote,
  })
}

/** The pattern itself, then every wildcard above it, the longest first. */
function* coveringPatterns(pattern: string): Generator<string> {
  yield pattern
  const name = pattern.startsWith('*.') ? pattern.slice(2) : pattern
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) yield `*${name.slice(dot)}`
}

// Claims by what they hold, and the pairs of tenants between which something may pass from hand to hand. Pure. The two
// global passes (admit-tenants, own-hosts) ask who holds a name; nobody else looks at claims.
import { compareText } from '../../model/canonical.ts'
import type { Claim } from '../../model/resources.ts'
import type { CrossEffect } from './compile-types.ts'

/** Who holds what. Claims that the loop marked expired are gone; one that is only released still holds. */
export class ClaimIndex {
  readonly #hosts = new Map<string, Claim>()
  readonly #namespaces = new Map<string, Claim>()

  constructor(claims: readonly Claim[]) {
    for (const claim of claims) {
      if (claim.expired === true) continue
      const holders = claim.what === 'host' ? this.#hosts : claim.what === 'namespace' ? this.#namespaces : undefined
      const other = holders?.get(claim.name)
      if (other === undefined || comesFirst(claim, other)) holders?.set(claim.name, claim)
    }
  }

  hostHolder(name: string): string | undefined {
    return this.#hosts.get(name)?.tenant
  }

  namespaceHolder(name: string): string | undefined {
    return this.#namespaces.get(name)?.tenant
  }

  /** Every host that is held, with its holder. */
  *hosts(): Generator<{ readonly name: string; readonly tenant: string }> {
    yield* this.#hosts.values()
  }
}

function comesFirst(a: Claim, b: Claim): boolean {
  return a.since !== b.since ? a.since < b.since : compareText(a.tenant, b.tenant) < 0
}

/** Pairs of tenants that ask for the same thing, or where one carved something out for the other. */
export class Handovers {
  readonly #cause: CrossEffect['cause']
  readonly #others = new Map<string, Set<string>>()

  constructor(cause: 'HostHandedOver' | 'NamespaceHandedOver') {
    this.#cause = cause
  }

  /** An edit of either may change the other's shard. */
  relate(a: string, b: string): void {
    this.#add(a, b)
    this.#add(b, a)
  }

  /** One entry for each tenant, ordered. */
  effects(): readonly CrossEffect[] {
    return [...this.#others]
      .sort(([a], [b]) => compareText(a, b))
      .map(([tenant, others]) => ({
        tenant,
        cause: this.#cause,
        objects: [...others].sort(compareText).map((name) => ({ kind: 'Tenant', namespace: '', name })),
      }))
  }

  #add(tenant: string, other: string): void {
    const others = this.#others.get(tenant)
    if (others === undefined) this.#others.set(tenant, new Set([other]))
    else others.add(other)
  }
}

// The host table: which tenant serves a host. In memory, one per worker. Activation replaces the tenants that changed
// in one turn; an exchange looks its host up once and keeps the program that it found.
import { NameIndex } from './name-index.ts'
import type { HostIndex, HostProgram, TenantProgram } from './program.ts'

/** From canonical host to the program of the tenant that serves it. */
export class HostTable implements HostIndex {
  readonly #names = new NameIndex<HostProgram>()
  readonly #tenants = new Map<string, TenantProgram>()

  /** `host` is canonical (model/host.ts). undefined: nobody serves it. */
  lookup(host: string): HostProgram | undefined {
    return this.#names.lookup(host)
  }

  /** Puts a tenant's new program in place of the one it had, or takes the tenant out. Costs the tenant's own hosts. */
  replace(tenant: string, program: TenantProgram | undefined): void {
    this.#names.replace(this.#tenants.get(tenant)?.hosts ?? [], program?.hosts ?? [])
    if (program === undefined) this.#tenants.delete(tenant)
    else this.#tenants.set(tenant, program)
  }

  /** The program of a tenant that is active now. */
  tenant(name: string): TenantProgram | undefined {
    return this.#tenants.get(name)
  }

  /** All active programs. */
  tenants(): IterableIterator<TenantProgram> {
    return this.#tenants.values()
  }
}

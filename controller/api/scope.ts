// What part of the world a caller is shown: everything, or one tenant. A tenant's answer is the same whether another
// tenant has a thing or nobody has it (threats I-25). server.ts asks before every answer.
import type { ApiAccess, Caller, Denial, Right } from './access.ts'

/** Everything, or one tenant. */
export type Scope = { readonly all: true } | { readonly all: false; readonly tenant: string }

/** Namespaces of a tenant that are asked about, so that one call never becomes hundreds of reviews. */
const MAX_ASKED = 16

export interface ScopeQuestion {
  /** The tenant that was asked for; undefined for all. */
  readonly tenant: string | undefined
  /** The right in a namespace of the tenant that lets its members in. */
  readonly inNamespace: Pick<Right, 'verb' | 'resource' | 'subresource'>
  /** Namespaces that the tenant holds. */
  readonly namespacesOf: (tenant: string) => readonly string[]
}

/** The scope that a caller has for a question. Rejects where nobody can be asked. */
export async function scopeOf(access: ApiAccess, caller: Caller, question: ScopeQuestion): Promise<Scope | Denial> {
  const { tenant, inNamespace, namespacesOf } = question
  if (await access.may(caller, { verb: 'list', resource: 'tenants' })) {
    return tenant === undefined ? { all: true } : { all: false, tenant }
  }
  if (tenant === undefined) {
    return { status: 403, message: 'say which tenant: seeing all needs the right to list tenants.atrium.dev' }
  }
  if (await access.may(caller, { verb: 'get', resource: 'tenants', name: tenant })) return { all: false, tenant }
  for (const namespace of namespacesOf(tenant).slice(0, MAX_ASKED)) {
    if (await access.may(caller, { ...inNamespace, namespace })) return { all: false, tenant }
  }
  return { status: 403, message: 'there is no such tenant that this token may see' }
}

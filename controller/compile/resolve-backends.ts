// The pass from backendRefs to pools: which Service port each one means, and whether the Route may refer to it. Pure.
// Called by plan-routes for each rule; the endpoints behind a pool come later (resolve-endpoints), because they churn.
import { filledRef, filledWeight } from '../../model/defaults.ts'
import type { ServiceBody } from '../../model/core.ts'
import type { FieldPath, Issue } from '../../model/issue.ts'
import { type PoolId, poolKey, type WeightedBackend } from '../../model/snapshot.ts'
import type { Indexed } from './indexed.ts'
import { createIssue, type Subject } from './issues.ts'
import type { PreparedRule } from './prepared.ts'
import type { TenantView } from './world.ts'

/** A pool that a shard refers to, and who wants it: what resolve-endpoints needs. */
export interface BackendNeed {
  readonly key: string
  readonly id: PoolId
  /** Name of the Service port, '' for a nameless one: slices are joined by it. */
  readonly portName: string
  /** Namespaces whose pods may hold the endpoints. */
  readonly namespacesBehind: readonly string[]
  readonly uses: readonly BackendUse[]
}

/** Where a Route asks for the pool: missing and refused endpoints are told there. */
export interface BackendUse {
  readonly subject: Subject
  readonly path: FieldPath
}

/** The pools of one tenant, collected over its rules. */
export class BackendNeeds {
  readonly #needs = new Map<string, BackendNeed & { readonly uses: BackendUse[] }>()

  add(id: PoolId, portName: string, namespacesBehind: readonly string[], use: BackendUse): void {
    const key = poolKey(id)
    const need = this.#needs.get(key)
    if (need === undefined) this.#needs.set(key, { key, id, portName, namespacesBehind, uses: [use] })
    else need.uses.push(use)
  }

  all(): readonly BackendNeed[] {
    return [...this.#needs.values()]
  }
}

/** Resolves the backends of a rule. A reference that leads nowhere keeps its weight with `pool: null`, and is told. */
export function resolveBackends(
  rule: PreparedRule,
  path: FieldPath,
  subject: Subject,
  view: TenantView,
  needs: BackendNeeds,
  issues: Issue[],
): readonly WeightedBackend[] {
  // Gateway API, BackendRef.weight: share = weight / sum; a sum of 0 means that nobody gets anything.
  const sum = rule.backendRefs.reduce((total, ref) => total + filledWeight(ref), 0)
  return rule.backendRefs.map((ref, index) => {
    const namespace = ref.namespace ?? subject.object.namespace
    const service = { namespace, name: ref.name, port: String(ref.port) }
    const weight = filledWeight(ref)
    const refPath = [...path, 'backendRefs', index]
    const found = findPort(ref, refPath, subject, view)
    if (!('portName' in found)) {
      issues.push(found)
      return { weight, pool: null, service }
    }
    const id: PoolId = { tenant: subject.tenant, namespace, service: ref.name, port: found.port, tls: '' }
    if (sum === 0) return { weight, pool: null, service }
    needs.add(id, found.portName, view.namespacesBehind(namespace), { subject, path: refPath })
    return { weight, pool: id, service }
  })
}

type BackendRef = PreparedRule['backendRefs'][number]

function findPort(
  ref: BackendRef,
  path: FieldPath,
  subject: Subject,
  view: TenantView,
): { readonly port: number; readonly portName: string } | Issue {
  const to = filledRef(ref, 'Service', subject.object.namespace)
  const label = `Service ${to.namespace}/${to.name}`
  const config = view.resolve({ kind: 'Route', namespace: subject.object.namespace }, to)
  if (config === 'NotPermitted') {
    const message = `${label} is in another namespace and no ReferenceGrant there permits Routes of ${subject.object.namespace}. Ask its owner for one.`
    return createIssue(subject, 'degrades', 'RefNotPermitted', message, { path })
  }
  const indexed = config?.services.get(to.name)
  const causes = indexed === undefined ? [] : [indexed.ref]
  const service = bodyOf(indexed)
  if (service === undefined) {
    const why = indexed === undefined ? 'does not exist' : 'cannot be read'
    const message = `${label} ${why}, so its share is answered 503. Create it or correct the name.`
    return createIssue(subject, 'degrades', 'BackendNotFound', message, { path, causes })
  }
  if (service.spec?.type === 'ExternalName') {
    const message = `${label} is of type ExternalName, which is never a backend. Use a Service with endpoints.`
    return createIssue(subject, 'degrades', 'InvalidKind', message, { path, causes })
  }
  const ports = service.spec?.ports ?? []
  const port = ports.find((each) => isPort(each, ref.port))
  if (port === undefined || (port.protocol ?? 'TCP') !== 'TCP' || port.port === 0) {
    const known = ports.map((each) => (each.name === undefined ? `${each.port}` : `${each.port} (${each.name})`))
    const what = port === undefined ? `has no port ${ref.port}` : `has no TCP port ${ref.port}`
    const message = `${label} ${what}; it has ${known.slice(0, 16).join(', ') || 'none'}.`
    return createIssue(subject, 'degrades', 'BackendNotFound', message, { path: [...path, 'port'], causes })
  }
  return { port: port.port, portName: port.name ?? '' }
}

/** The body in use: the newest, or the last good one of a Service that became malformed. */
function bodyOf(indexed: Indexed<ServiceBody> | undefined): ServiceBody | undefined {
  return indexed?.newest?.value ?? indexed?.good?.value
}

/** By number, by name, or by a number in quotes. Two ports of one number differ in protocol, and TCP is asked for. */
function isPort(
  port: { readonly port: number; readonly name?: string; readonly protocol?: string },
  wanted: number | string,
): boolean {
  const isTcp = (port.protocol ?? 'TCP') === 'TCP'
  if (typeof wanted === 'number') return port.port === wanted && isTcp
  return port.name === wanted || (String(port.port) === wanted && isTcp)
}

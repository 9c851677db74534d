// Policy bodies that became looser, object by object, by each policy's own order of strictness. Pure. A body counts
// where the same object held it before; one that is gone from a rule altogether shows up in the comparison of shards.
import type { Decoders } from '../../model/decode.ts'
import type { PolicyDefinition } from '../../model/define-policy.ts'
import { formatPath } from '../../model/issue.ts'
import { objectKey, objectLabel, type ObjectRef, type ResourceSet } from '../../model/resources.ts'

interface Body {
  readonly policy: string
  readonly where: string
  readonly object: ObjectRef
  readonly body: unknown
}

/** `Policy acme-prod/edge: access.ip.deny no longer …`, one for each field that is looser than before. */
export function loosenedBodies(
  before: ResourceSet,
  after: ResourceSet,
  decoders: Decoders,
  policies: readonly PolicyDefinition[],
): readonly { readonly namespace: string; readonly text: string }[] {
  const now = new Map([...bodiesOf(after, decoders)].map((each) => [bodyKey(each), each]))
  const found: { namespace: string; text: string }[] = []
  for (const old of bodiesOf(before, decoders)) {
    const next = now.get(bodyKey(old))
    const definition = policies.find((each) => each.name === old.policy)
    if (next === undefined || definition === undefined) continue
    for (const field of looser(definition, next.body, old.body)) {
      const path = formatPath([...old.where.split('.').filter(Boolean), old.policy, ...field.path])
      // The policy speaks of an override and a body under it; here the two are the old and the new form of one body.
      const because = field.because.replace(/the (tenant's )?override/g, 'the old form')
      found.push({ namespace: old.object.namespace, text: `${objectLabel(old.object)}: ${path} ${because}` })
    }
  }
  return found
}

function looser(definition: PolicyDefinition, own: unknown, override: unknown) {
  const same = JSON.stringify(own) === JSON.stringify(override)
  return same ? [] : definition.looserFields(own as never, override as never)
}

function bodyKey(body: Body): string {
  return JSON.stringify([objectKey(body.object), body.where, body.policy])
}

function* bodiesOf(resources: ResourceSet, decoders: Decoders): Generator<Body> {
  for (const partition of resources.partitions.values()) {
    for (const { kind, metadata, body } of partition.objects.get('Policy')?.values() ?? []) {
      const decoded = decoders.policy(body)
      const object = { kind, namespace: metadata.namespace, name: metadata.name }
      if (decoded.ok) yield* entries(decoded.value.bodies, object, '')
    }
    for (const { kind, metadata, body } of partition.objects.get('Tenant')?.values() ?? []) {
      const decoded = decoders.tenant(body)
      const object = { kind, namespace: '', name: metadata.name }
      if (!decoded.ok) continue
      yield* entries(decoded.value.policies?.defaults ?? {}, object, 'policies.defaults')
      yield* entries(decoded.value.policies?.overrides ?? {}, object, 'policies.overrides')
    }
  }
}

function* entries(bodies: Readonly<Record<string, unknown>>, object: ObjectRef, where: string): Generator<Body> {
  for (const [policy, body] of Object.entries(bodies)) yield { policy, where, object, body }
}

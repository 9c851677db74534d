// Puts what all passes have to say into one result, in one order: rejected Tenants, then tenants, then namespaces. Pure.
// Lists of tenants that did not change are joined as they are; nothing is sorted twice.
import type { Issue } from '../../model/issue.ts'
import { type LastGood, type ObjectRef, objectKey } from '../../model/resources.ts'
import type { TenantResult } from './compile-tenant.ts'
import type { CompileResult, CrossEffect, ObjectResult } from './compile-types.ts'
import { compareRefs } from './issues.ts'
import type { Memo } from './memo.ts'

/** Collects the result of a compile. Lists that came out the same keep the identity they had in `previous`. */
export function collectResult(memo: Memo, previous: CompileResult | undefined): CompileResult {
  const issues: Issue[] = []
  const objects: ObjectResult[] = []
  const lastGood: LastGood[] = [...memo.admission.lastGood]
  const crossEffects: CrossEffect[] = [...memo.admission.effects]
  for (const { indexed, issues: told } of memo.admission.rejected) {
    appendAll(issues, told)
    const { ref, generation } = indexed
    objects.push({ object: ref, generation, tenant: ref.name, accepted: false, servingGeneration: null, count: 0 })
  }
  for (const result of memo.tenants.values()) {
    appendAll(issues, result.issues)
    appendAll(objects, result.plan.objects)
    appendAll(lastGood, result.plan.lastGood)
    appendAll(crossEffects, result.plan.effects)
    if (result.endpoints.held.length > 0) crossEffects.push(heldEffect(result, memo))
  }
  for (const verdict of memo.verdicts.values()) {
    appendAll(issues, verdict.issues)
    appendAll(objects, verdict.objects)
    appendAll(lastGood, verdict.lastGood)
  }
  const kept = onePerObject(lastGood)
  const before = previous?.lastGood
  return {
    snapshot: memo.snapshot,
    issues,
    objects,
    claims: memo.admission.claims,
    lastGood: before !== undefined && sameItems(before, kept) ? before : kept,
    crossEffects,
    memo,
  }
}

/** Pods of strangers that hold addresses which slices of the tenant name: moving one changes a pool of the tenant. */
function heldEffect(result: TenantResult, memo: Memo): CrossEffect {
  const objects: ObjectRef[] = []
  for (const address of result.endpoints.held) {
    for (const namespace of memo.holders.namespacesOf(address)) {
      for (const name of memo.index.namespaces.get(namespace)?.pods.holders.get(address) ?? []) {
        objects.push({ kind: 'Pod', namespace, name })
      }
    }
  }
  return { tenant: result.plan.tenant.name, cause: 'PodAddress', objects: objects.sort(compareRefs) }
}

function appendAll<Item>(target: Item[], items: readonly Item[]): void {
  for (const item of items) target.push(item)
}

function onePerObject(list: readonly LastGood[]): readonly LastGood[] {
  if (list.length < 2) return list
  const unique = new Map(list.map((entry) => [objectKey(entry.object), entry]))
  return [...unique.values()].sort((a, b) => compareRefs(a.object, b.object))
}

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}

// Puts what all passes have to say into one result, in one order: rejected Tenants, then tenants, then namespaces. Pure.
// Lists to which no change contributes are handed on as they are.
import { type LastGood, type ObjectRef, objectKey } from '../../model/resources.ts'
import type { TenantChange, TenantResult } from './compile-tenant.ts'
import type { CompileResult, CrossEffect, ObjectResult } from './compile-types.ts'
import { compareRefs } from './issues.ts'
import type { NamespaceVerdict, VerdictChange } from './judge-namespace.ts'
import { Memo, type Remembered, type ResultLists } from './memo.ts'
import { OrderedTable } from './ordered-table.ts'

/** What the passes made, with the changes since `before`. */
type Made = Omit<Remembered, 'verdicts' | 'borrowers' | 'lists'> & {
  readonly tenantChanges: readonly TenantChange[]
  readonly verdictChanges: readonly VerdictChange[]
}

/** Collects the result of a compile and what the next one may remember. */
export function collectResult(before: Memo | undefined, made: Made): CompileResult {
  const { tenantChanges, verdictChanges, ...rest } = made
  const verdicts = (before?.verdicts ?? OrderedTable.empty<NamespaceVerdict>()).with(
    verdictChanges.map(({ name, after }) => [name, after] as const),
  )
  const collected = { ...rest, verdicts }
  const lists = collectLists(before, made, collected)
  const memo = new Memo({ ...collected, borrowers: findBorrowers(before, tenantChanges), lists })
  return { snapshot: made.snapshot, claims: made.admission.claims, ...lists, memo }
}

type Collected = Omit<Remembered, 'borrowers' | 'lists'>

function collectLists(before: Memo | undefined, made: Made, now: Collected): ResultLists {
  const { tenantChanges, verdictChanges } = made
  const sameAdmission = before?.admission === now.admission
  /** Whether nothing that changed says, or said, anything in one of the lists. */
  const keeps = (
    ofTenant: (result: TenantResult) => readonly unknown[],
    ofVerdict: (verdict: NamespaceVerdict) => readonly unknown[],
  ) => sameAdmission && keepsAll(tenantChanges, ofTenant) && keepsAll(verdictChanges, ofVerdict)
  const known = before?.lists
  const sayIssues = (each: { readonly issues: ResultLists['issues'] }) => each.issues
  return {
    issues:
      known !== undefined && keeps(sayIssues, sayIssues)
        ? known.issues
        : [...now.admission.rejected.flatMap(sayIssues), ...join(now, sayIssues, sayIssues)],
    objects:
      known !== undefined &&
      keeps(
        (result) => result.plan.objects,
        (verdict) => verdict.objects,
      )
        ? known.objects
        : [
            ...now.admission.rejected.map(rejectedTenant),
            ...join<ObjectResult>(
              now,
              (result) => result.plan.objects,
              (verdict) => verdict.objects,
            ),
          ],
    lastGood:
      known !== undefined &&
      keeps(
        (result) => result.plan.lastGood,
        (verdict) => verdict.lastGood,
      )
        ? known.lastGood
        : onePerObject([
            ...now.admission.lastGood,
            ...join<LastGood>(
              now,
              (result) => result.plan.lastGood,
              (verdict) => verdict.lastGood,
            ),
          ]),
    crossEffects:
      known !== undefined && keeps(hasEffects, () => []) && !known.crossEffects.some(isHeld)
        ? known.crossEffects
        : [
            ...now.admission.effects,
            ...join<CrossEffect>(
              now,
              (result) => tenantEffects(result, now),
              () => [],
            ),
          ],
  }
}

function keepsAll<Each>(
  changes: readonly { readonly before: Each | undefined; readonly after: Each | undefined }[],
  list: (each: Each) => readonly unknown[],
): boolean {
  return changes.every(({ before, after }) => {
    const former = before === undefined ? [] : list(before)
    const now = after === undefined ? [] : list(after)
    return former === now || (former.length === 0 && now.length === 0)
  })
}

/** In the order of tenants, then of namespaces. */
function join<Item>(
  now: Collected,
  ofTenant: (result: TenantResult) => readonly Item[],
  ofVerdict: (verdict: NamespaceVerdict) => readonly Item[],
): Item[] {
  const items: Item[] = []
  for (const result of now.tenants.values) for (const item of ofTenant(result)) items.push(item)
  for (const verdict of now.verdicts.values) for (const item of ofVerdict(verdict)) items.push(item)
  return items
}

function rejectedTenant({ indexed }: { readonly indexed: { readonly ref: ObjectRef; readonly generation: number } }) {
  const { ref, generation } = indexed
  return { object: ref, generation, tenant: ref.name, accepted: false, servingGeneration: null, count: 0 }
}

function onePerObject(list: readonly LastGood[]): readonly LastGood[] {
  if (list.length < 2) return list
  const unique = new Map(list.map((entry) => [objectKey(entry.object), entry]))
  return [...unique.values()].sort((a, b) => compareRefs(a.object, b.object))
}

/** Such an effect names Pods of others, which change without any change of the tenant. */
function isHeld(effect: CrossEffect): boolean {
  return effect.cause === 'PodAddress'
}

/** What tenantEffects makes something of; empty for almost every tenant. */
function hasEffects({ plan, endpoints }: TenantResult): readonly unknown[] {
  return endpoints.held.length === 0 ? plan.effects : [...plan.effects, ...endpoints.held]
}

/** Grants in use, and Pods of strangers that hold addresses which slices of the tenant name. */
function tenantEffects(result: TenantResult, now: Collected): readonly CrossEffect[] {
  const { plan, endpoints } = result
  if (endpoints.held.length === 0) return plan.effects
  const objects: ObjectRef[] = []
  for (const address of endpoints.held) {
    for (const namespace of now.holders.namespacesOf(address)) {
      for (const name of now.index.namespaces.get(namespace)?.pods.holders.get(address) ?? []) {
        objects.push({ kind: 'Pod', namespace, name })
      }
    }
  }
  return [...plan.effects, { tenant: plan.tenant.name, cause: 'PodAddress', objects: objects.sort(compareRefs) }]
}

function findBorrowers(before: Memo | undefined, changes: readonly TenantChange[]): ReadonlySet<string> {
  let borrowers: ReadonlySet<string> = before?.borrowers ?? new Set()
  let copy: Set<string> | undefined
  for (const { name, after } of changes) {
    const borrows = after !== undefined && after.plan.foreign.size > 0
    if (borrows === borrowers.has(name)) continue
    if (copy === undefined) {
      copy = new Set(borrowers)
      borrowers = copy
    }
    if (borrows) copy.add(name)
    else copy.delete(name)
  }
  return borrowers
}

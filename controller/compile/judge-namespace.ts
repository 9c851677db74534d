// What is said of the objects of a namespace that no tenant's passes judge: malformed core objects everywhere, and all
// Routes and Policies where the namespace belongs to no tenant. Pure. compile.ts keeps the outcome by identity.
import type { FieldProblem } from '../../model/decode.ts'
import type { Issue } from '../../model/issue.ts'
import type { LastGood, Material } from '../../model/resources.ts'
import { keptMessage } from './admit-tenants.ts'
import type { ObjectResult } from './compile-types.ts'
import type { ByName, Indexed, IndexedNamespace } from './indexed.ts'
import { compareIssues, compareRefs, createIssue, type Subject } from './issues.ts'

export interface NamespaceVerdict {
  readonly indexed: IndexedNamespace
  /** '' where the namespace belongs to none. */
  readonly tenant: string
  readonly issues: readonly Issue[]
  readonly objects: readonly ObjectResult[]
  readonly lastGood: readonly LastGood[]
}

/** A namespace about which something else is said than before. */
export interface VerdictChange {
  readonly name: string
  readonly before: NamespaceVerdict | undefined
  readonly after: NamespaceVerdict | undefined
}

/** Judges a namespace; `tenant` is '' for none. Hands `previous` back where it is the same. */
export function judgeNamespace(
  indexed: IndexedNamespace,
  tenant: string,
  previous: NamespaceVerdict | undefined,
): NamespaceVerdict {
  if (previous !== undefined && previous.indexed === indexed && previous.tenant === tenant) return previous
  const issues: Issue[] = []
  const objects: ObjectResult[] = []
  const lastGood: LastGood[] = []
  const { config } = indexed
  judgeCore([...config.services.values()], tenant, issues, lastGood)
  judgeCore([...config.grants.values()], tenant, issues, lastGood)
  judgeCore(
    [...indexed.allSlices.values()].map((slice) => slice.indexed),
    tenant,
    issues,
    lastGood,
  )
  for (const [name, pod] of indexed.podObjects) {
    const object = { kind: 'Pod', namespace: indexed.namespace, name } as const
    tellProblems({ object, generation: pod.source.metadata.generation, tenant }, pod.problems, issues)
  }
  keepMaterial(config.secrets, lastGood)
  keepMaterial(config.configMaps, lastGood)
  if (tenant === '') {
    judgeOrphans([...config.routes.values()], issues, objects, lastGood)
    judgeOrphans([...config.policies.values()], issues, objects, lastGood)
  }
  return {
    indexed,
    tenant,
    issues: issues.sort(compareIssues),
    objects,
    lastGood: lastGood.sort((a, b) => compareRefs(a.object, b.object)),
  }
}

function judgeCore(list: readonly Indexed<unknown>[], tenant: string, issues: Issue[], lastGood: LastGood[]): void {
  for (const indexed of list) {
    if (indexed.newest !== undefined) continue
    const subject: Subject = { object: indexed.ref, generation: indexed.generation, tenant }
    tellProblems(subject, indexed.problems, issues)
    if (indexed.good === undefined || indexed.ref.kind === 'ReferenceGrant') continue
    lastGood.push(indexed.good.entry)
    issues.push(createIssue(subject, 'degrades', 'KeptLastGood', keptMessage(indexed.good.generation)))
  }
}

function tellProblems(subject: Subject, problems: readonly FieldProblem[], issues: Issue[]): void {
  for (const { path, message } of problems) {
    issues.push(createIssue(subject, 'rejects', 'Invalid', message, { path }))
  }
}

/** Keeps the last good material of Secrets and ConfigMaps that cannot be read now; those who refer to them are told. */
function keepMaterial(objects: ByName<Material>, lastGood: LastGood[]): void {
  for (const { newest, good } of objects.values()) {
    if (good === undefined || newest === undefined) continue
    const { certificate, authorities } = newest.value
    const keepsCertificate = certificate?.problem !== undefined && isUsable(good.value.certificate)
    const keepsAuthorities = authorities?.problem !== undefined && isUsable(good.value.authorities)
    if (keepsCertificate || keepsAuthorities) lastGood.push(good.entry)
  }
}

function isUsable(facts: { readonly problem?: string } | undefined): boolean {
  return facts !== undefined && facts.problem === undefined
}

function judgeOrphans(
  list: readonly Indexed<unknown>[],
  issues: Issue[],
  objects: ObjectResult[],
  lastGood: LastGood[],
): void {
  for (const indexed of list) {
    const { ref, generation } = indexed
    const subject: Subject = { object: ref, generation, tenant: '' }
    tellProblems(subject, indexed.problems, issues)
    const message = `Namespace ${ref.namespace} belongs to no Tenant, so nothing in it serves. Ask the platform team to add it to one.`
    issues.push(createIssue(subject, 'rejects', 'NamespaceNotInTenant', message))
    objects.push({ object: ref, generation, tenant: '', accepted: false, servingGeneration: null, count: 0 })
    if (indexed.good !== undefined) lastGood.push(indexed.good.entry)
  }
}

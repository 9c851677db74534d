// The list of last good forms that compile needs beside the objects. Pure. The loop calls it before each compile:
//   const resources = { ...source.read().resources, claims, lastGood: lastGoodFor(partitions, previous, stored) }
// and stores `result.lastGood` before it publishes.
import { canonicalText, compareText } from '../../model/canonical.ts'
import { type Kind, type LastGood, type ObjectRef, objectKey, type Partition } from '../../model/resources.ts'
import type { CompileResult } from './compile-types.ts'

/** What was compiled last, and what came of it. */
export interface Compiled {
  readonly resources: { readonly partitions: ReadonlyMap<string, Partition> }
  readonly result: Pick<CompileResult, 'lastGood' | 'objects'>
}

/** Kinds that keep a last good form. Grants, Pods and Namespaces give permissions: a broken one gives none. */
const KEPT_KINDS: readonly Kind[] = ['Tenant', 'Route', 'Policy', 'Service', 'EndpointSlice', 'Secret', 'ConfigMap']

/** Kinds whose acceptance is more than their shape, so that it stands in CompileResult.objects. */
const JUDGED_KINDS: ReadonlySet<Kind> = new Set<Kind>(['Tenant', 'Route', 'Policy'])

/**
 * The last good forms for the next compile: those of the previous result (at the start: `stored`), and for every object
 * that changed since, the form it had where that was accepted. Costs the changed partitions and one look at `objects`.
 */
export function lastGoodFor(
  partitions: ReadonlyMap<string, Partition>,
  previous: Compiled | undefined,
  stored: readonly LastGood[],
): readonly LastGood[] {
  if (previous === undefined) return stored
  const kept = previous.result.lastGood
  const known = new Set(kept.map((entry) => objectKey(entry.object)))
  const candidates = changedForms(previous.resources.partitions, partitions).filter(
    (entry) => !known.has(objectKey(entry.object)),
  )
  if (candidates.length === 0) return kept
  const refused = refusedAmong(candidates, previous.result.objects)
  return [...kept, ...candidates.filter((entry) => !refused.has(objectKey(entry.object)))]
}

/** The former forms of objects that still exist in another form. */
function changedForms(before: ReadonlyMap<string, Partition>, after: ReadonlyMap<string, Partition>): LastGood[] {
  const forms: LastGood[] = []
  for (const [namespace, partition] of after) {
    const former = before.get(namespace)
    if (former === undefined || former === partition) continue
    for (const kind of KEPT_KINDS) {
      const objects = partition.objects.get(kind)
      const formerObjects = former.objects.get(kind)
      if (objects === undefined || formerObjects === undefined || objects === formerObjects) continue
      for (const [name, object] of objects) {
        const old = formerObjects.get(name)
        if (old === undefined || old === object) continue
        const { material } = old
        forms.push({
          object: { kind, namespace, name },
          generation: old.metadata.generation,
          body: old.body,
          ...(material === undefined ? {} : { material }),
        })
      }
    }
  }
  return forms
}

function refusedAmong(candidates: readonly LastGood[], objects: CompileResult['objects']): ReadonlySet<string> {
  const judged = candidates.some((entry) => JUDGED_KINDS.has(entry.object.kind))
  if (!judged) return new Set()
  const namespaces = new Set(candidates.map((entry) => entry.object.namespace))
  const refused = new Set<string>()
  for (const { object, accepted } of objects) {
    if (!accepted && namespaces.has(object.namespace)) refused.add(objectKey(object))
  }
  return refused
}

/** Last good forms by namespace, then by object: one for each object, the newest where there are several. */
export type LastGoodIndex = ReadonlyMap<string, ReadonlyMap<string, LastGood>>

/** Groups the list. Whatever its order, the same forms come out. */
export function groupLastGood(list: readonly LastGood[]): LastGoodIndex {
  const index = new Map<string, Map<string, LastGood>>()
  for (const entry of list) {
    const { namespace } = entry.object
    let group = index.get(namespace)
    if (group === undefined) {
      group = new Map()
      index.set(namespace, group)
    }
    const key = objectKey(entry.object)
    const other = group.get(key)
    if (other === undefined || isNewer(entry, other)) group.set(key, entry)
  }
  return index
}

function isNewer(entry: LastGood, other: LastGood): boolean {
  if (entry.generation !== other.generation) return entry.generation > other.generation
  return compareText(formText(entry), formText(other)) > 0
}

function formText(entry: LastGood): string {
  const { certificate, authorities } = entry.material ?? {}
  return canonicalText([entry.body, certificate?.fingerprint ?? '', authorities?.fingerprint ?? ''])
}

/** The entry of one object. */
export function findLastGood(group: ReadonlyMap<string, LastGood> | undefined, ref: ObjectRef): LastGood | undefined {
  return group?.get(objectKey(ref))
}

// Indexing the objects of one kind: each decoded inside its own fence, taken over where object and last good form are
// the same as before. Pure. index-objects and index-endpoints call it.
import { compareText } from '../../model/canonical.ts'
import type { DecodeResult, Decoders } from '../../model/decode.ts'
import type { PolicyDefinition } from '../../model/define-policy.ts'
import type { Kind, LastGood, Material, Partition, SourceObject } from '../../model/resources.ts'
import type { EndpointRule } from './endpoint-rule.ts'
import type { ByName, Form, Indexed } from './indexed.ts'
import { findLastGood } from './last-good.ts'

/** What indexing needs beside the objects. */
export interface IndexTools {
  readonly decoders: Decoders
  readonly policies: readonly PolicyDefinition[]
  readonly endpointRule: EndpointRule
}

/** Turns the body of one kind into the value that the passes use. */
export type Prepare<Value> = (body: Readonly<Record<string, unknown>>, material?: Material) => DecodeResult<Value>

/** Last good forms of one namespace. */
export type Group = ReadonlyMap<string, LastGood> | undefined

/** All objects of a kind, ordered by name. Returns `before` itself where nothing of it changed. */
export function indexKind<Value>(
  kind: Kind,
  namespace: string,
  partition: Partition | undefined,
  group: Group,
  before: ByName<Value> | undefined,
  prepare: Prepare<Value>,
): ByName<Value> {
  const objects = partition?.objects.get(kind)
  if (objects === undefined || objects.size === 0) {
    return before !== undefined && before.size === 0 ? before : new Map()
  }
  let changed = before === undefined || before.size !== objects.size
  const index = new Map<string, Indexed<Value>>()
  for (const name of inOrder([...objects.keys()])) {
    const source = objects.get(name)
    if (source === undefined) continue
    const known = before?.get(name)
    const good = group === undefined ? undefined : findLastGood(group, { kind, namespace, name })
    if (known !== undefined && known.source === source && known.good?.entry === good) {
      index.set(name, known)
      continue
    }
    changed = true
    index.set(name, indexObject(kind, namespace, name, source, good, prepare))
  }
  return changed || before === undefined ? index : before
}

function indexObject<Value>(
  kind: Kind,
  namespace: string,
  name: string,
  source: SourceObject,
  good: LastGood | undefined,
  prepare: Prepare<Value>,
): Indexed<Value> {
  const newest = fenced(prepare, source.body, source.material)
  const { generation } = source.metadata
  const former = good === undefined ? undefined : fenced(prepare, good.body, good.material)
  return {
    ref: { kind, namespace, name },
    source,
    generation,
    newest: newest.ok ? ({ generation, value: newest.value } satisfies Form<Value>) : undefined,
    problems: newest.ok ? [] : newest.problems,
    good:
      good !== undefined && former?.ok === true
        ? { generation: good.generation, value: former.value, entry: good }
        : undefined,
  }
}

/** One poison object harms only itself: whatever it makes a decoder do, the others are decoded. */
export function fenced<Value>(
  prepare: Prepare<Value>,
  body: Readonly<Record<string, unknown>>,
  material?: Material,
): DecodeResult<Value> {
  try {
    return prepare(body, material)
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown'
    return { ok: false, problems: [{ path: [], message: `The object cannot be read: ${why}` }] }
  }
}

/** Sorting 10,000 names that are sorted already is most of the cost of an edit, so it is looked at first. */
export function inOrder(names: string[]): readonly string[] {
  for (let index = 1; index < names.length; index += 1) {
    if (compareText(names[index - 1] ?? '', names[index] ?? '') > 0) return names.sort(compareText)
  }
  return names
}

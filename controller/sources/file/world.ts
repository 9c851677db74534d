// All files together: which definition of an object holds, its generation, and the partitions that compile reads.
// No file system, no clock. file-source tells it what each file defines; what did not change keeps its identity.
import { compareText } from '../../../model/canonical.ts'
import {
  type Kind,
  type ObjectRef,
  objectKey,
  objectLabel,
  type Partition,
  type SourceObject,
} from '../../../model/resources.ts'
import type { SourceProblem } from '../source.ts'
import type { Definition } from './define-objects.ts'

/** A definition with the rank of its file. Whatever ranks lower holds. */
interface Ranked {
  readonly definition: Definition
  readonly file: WorldFile
}

/** How World knows a file. */
export interface WorldFile {
  /** Position of its folder on the command line. */
  readonly folder: number
  /** Path inside that folder. */
  readonly path: string
  /** Seen to be gone and waiting to be sure: any other file that defines the same object holds already. */
  leaving: boolean
}

interface Current {
  readonly object: SourceObject
  readonly definition: Definition
}

interface Generation {
  readonly number: number
  readonly bodyDigest: string
}

// Generations of objects that are gone, so that an object that comes back is not taken for the one that went.
const MAX_REMEMBERED = 10_000

/** Turns definitions into partitions, incrementally. */
export class World {
  readonly #byFile = new Map<WorldFile, readonly Definition[]>()
  readonly #byKey = new Map<string, Ranked[]>()
  readonly #current = new Map<string, Current>()
  readonly #generations = new Map<string, Generation>()
  readonly #duplicates = new Map<string, readonly SourceProblem[]>()
  readonly #touched = new Set<string>()
  readonly #changed = new Set<string>()
  #partitions: ReadonlyMap<string, Partition> = new Map()

  /** What a file defines from now on; nothing when it is gone. */
  define(file: WorldFile, definitions: readonly Definition[]): void {
    for (const definition of this.#byFile.get(file) ?? []) this.#drop(file, definition.key)
    if (definitions.length === 0) this.#byFile.delete(file)
    else this.#byFile.set(file, definitions)
    for (const definition of definitions) {
      const ranked = this.#byKey.get(definition.key)
      if (ranked === undefined) this.#byKey.set(definition.key, [{ definition, file }])
      else ranked.push({ definition, file })
      this.#touched.add(definition.key)
    }
  }

  /** `leaving` of a file has changed. */
  rerank(file: WorldFile): void {
    for (const definition of this.#byFile.get(file) ?? []) this.#touched.add(definition.key)
  }

  definitionsOf(file: WorldFile): readonly Definition[] {
    return this.#byFile.get(file) ?? []
  }

  /** Brings the partitions up to date. Returns whether any object changed. */
  settle(): boolean {
    const edits = new Map<string, Map<Kind, Map<string, SourceObject | undefined>>>()
    for (const key of this.#touched) this.#settleKey(key, edits)
    this.#touched.clear()
    if (edits.size === 0) return false
    const partitions = new Map(this.#partitions)
    for (const [namespace, kinds] of edits) {
      const partition = applyEdits(namespace, partitions.get(namespace), kinds)
      if (partition === undefined) partitions.delete(namespace)
      else partitions.set(namespace, partition)
      this.#changed.add(namespace)
    }
    this.#partitions = partitions
    return true
  }

  get partitions(): ReadonlyMap<string, Partition> {
    return this.#partitions
  }

  /** Namespaces that changed since this was last asked. */
  takeChanged(): ReadonlySet<string> {
    const changed = new Set(this.#changed)
    this.#changed.clear()
    return changed
  }

  /** The definition that holds, for positions. */
  definition(ref: ObjectRef): Definition | undefined {
    return this.#current.get(objectKey(ref))?.definition
  }

  /** The generation that an object has now; 0 where there is none. */
  generation(ref: ObjectRef): number {
    return this.#current.get(objectKey(ref))?.object.metadata.generation ?? 0
  }

  *duplicates(): Generator<SourceProblem> {
    for (const problems of this.#duplicates.values()) yield* problems
  }

  #drop(file: WorldFile, key: string): void {
    const ranked = this.#byKey.get(key)?.filter((each) => each.file !== file) ?? []
    if (ranked.length === 0) this.#byKey.delete(key)
    else this.#byKey.set(key, ranked)
    this.#touched.add(key)
  }

  #settleKey(key: string, edits: Map<string, Map<Kind, Map<string, SourceObject | undefined>>>): void {
    const ranked = this.#byKey.get(key)
    ranked?.sort(compareRanked)
    const winner = ranked?.[0]
    this.#noteDuplicates(key, ranked ?? [])
    const current = this.#current.get(key)
    if (winner === undefined) {
      if (current === undefined) return
      this.#current.delete(key)
      record(edits, current.definition.ref, undefined)
      return
    }
    const { definition } = winner
    if (current !== undefined && current.definition.digest === definition.digest) {
      this.#current.set(key, { object: current.object, definition })
      return
    }
    const object = this.#object(key, definition)
    this.#current.set(key, { object, definition })
    record(edits, definition.ref, object)
  }

  #object(key: string, definition: Definition): SourceObject {
    const { ref, metadata } = definition
    const { generation: given, ...rest } = metadata
    const generation = this.#nextGeneration(key, definition.bodyDigest, given)
    return Object.freeze({
      kind: ref.kind,
      metadata: Object.freeze({ name: ref.name, namespace: ref.namespace, generation, ...rest }),
      body: definition.body,
      ...(definition.material === undefined ? {} : { material: definition.material }),
    })
  }

  // Rises whenever the body changes, as the API server does it, whatever number a copied file carries along.
  #nextGeneration(key: string, bodyDigest: string, given: number | undefined): number {
    const last = this.#generations.get(key)
    const number =
      last === undefined
        ? (given ?? 1)
        : last.bodyDigest === bodyDigest
          ? Math.max(last.number, given ?? 0)
          : Math.max(last.number + 1, given ?? 0)
    this.#generations.delete(key)
    this.#generations.set(key, { number, bodyDigest })
    if (this.#generations.size > this.#current.size + MAX_REMEMBERED) this.#forgetOldest()
    return number
  }

  #forgetOldest(): void {
    for (const key of this.#generations.keys()) {
      if (this.#current.has(key)) continue
      this.#generations.delete(key)
      return
    }
  }

  #noteDuplicates(key: string, ranked: readonly Ranked[]): void {
    const staying = ranked.filter((each) => !each.file.leaving)
    const first = staying[0]
    if (first === undefined || staying.length < 2) {
      this.#duplicates.delete(key)
      return
    }
    const { file, line, column } = first.definition.origin
    this.#duplicates.set(
      key,
      staying.slice(1).map(({ definition }) => ({
        position: { file: definition.origin.file, line: definition.origin.line, column: definition.origin.column },
        object: definition.ref,
        message: `${objectLabel(definition.ref)} stands at ${file}:${line}:${column} already; that one is used, this one is not`,
      })),
    )
  }
}

function compareRanked(a: Ranked, b: Ranked): number {
  return (
    Number(a.file.leaving) - Number(b.file.leaving) ||
    a.file.folder - b.file.folder ||
    compareText(a.file.path, b.file.path) ||
    a.definition.origin.line - b.definition.origin.line ||
    a.definition.origin.column - b.definition.origin.column
  )
}

function record(
  edits: Map<string, Map<Kind, Map<string, SourceObject | undefined>>>,
  ref: ObjectRef,
  object: SourceObject | undefined,
): void {
  const kinds = edits.get(ref.namespace) ?? new Map<Kind, Map<string, SourceObject | undefined>>()
  edits.set(ref.namespace, kinds)
  const names = kinds.get(ref.kind) ?? new Map<string, SourceObject | undefined>()
  kinds.set(ref.kind, names)
  names.set(ref.name, object)
}

// A fresh partition that shares the maps of the kinds that did not change.
function applyEdits(
  namespace: string,
  before: Partition | undefined,
  kinds: ReadonlyMap<Kind, ReadonlyMap<string, SourceObject | undefined>>,
): Partition | undefined {
  const objects = new Map(before?.objects)
  for (const [kind, names] of kinds) {
    const next = new Map(objects.get(kind))
    for (const [name, object] of names) {
      if (object === undefined) next.delete(name)
      else next.set(name, object)
    }
    if (next.size === 0) objects.delete(kind)
    else objects.set(kind, next)
  }
  return objects.size === 0 ? undefined : Object.freeze({ namespace, objects })
}

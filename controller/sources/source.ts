// The contract of a source: it yields ResourceSets and says where in its input an object stands. Types only.
// controller/sources/file and, later, controller/sources/kubernetes implement it; test/contracts/source.ts is the suite.
import type { FieldPath, Issue } from '../../model/issue.ts'
import type { ObjectRef, ResourceSet } from '../../model/resources.ts'

/** Where something stands in the input of the file source. Lines and columns count from 1. */
export interface Position {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** A problem of the input itself (not YAML, too large, twice the same object): there may be no object to blame. */
export interface SourceProblem {
  readonly position?: Position
  readonly object?: ObjectRef
  readonly message: string
  /** The problem as an issue where an object is to blame. */
  readonly issue?: Issue
}

export interface SourceState {
  /** Objects only: claims and lastGood are added by the loop. */
  readonly resources: Omit<ResourceSet, 'claims' | 'lastGood'>
  readonly problems: readonly SourceProblem[]
  /** Worth a line but no mistake: kinds that Atrium does not read, folders that cannot be watched. */
  readonly notes?: readonly SourceProblem[]
  /** Namespaces whose partition changed since the last state handed out; a hint that only saves time. */
  readonly changed: ReadonlySet<string>
}

export interface Source {
  /** Resolves when the first complete state is there. Rejects only where nothing can ever come (no such folder). */
  start(onChange: () => void): Promise<void>
  /** The newest state; cheap. Never throws. */
  read(): SourceState
  /** Where a field of an object stands; the nearest parent where the field itself is missing. */
  locate(object: ObjectRef, path: FieldPath): Position | undefined
  stop(): Promise<void>
}

// From folders of YAML to a compiled result, once: what compile, explain and diff have in common. Reads the clock and
// the disk; opens no socket and writes nothing.
import { relative } from 'node:path'
import { compile } from '../controller/compile/compile.ts'
import type { CompileResult } from '../controller/compile/compile-types.ts'
import { createFileSource } from '../controller/sources/file/file-source.ts'
import type { Position, SourceProblem } from '../controller/sources/source.ts'
import type { FieldPath, Issue } from '../model/issue.ts'
import type { ObjectRef, ResourceSet } from '../model/resources.ts'
import { createDigest } from '../peer/digest.ts'
import { POLICIES } from '../policies/index.ts'
import { usageFailure } from './exit.ts'

/** A folder, read and compiled. */
export interface Loaded {
  readonly resources: ResourceSet
  readonly problems: readonly SourceProblem[]
  /** What was passed over on purpose: kinds that Atrium does not read. */
  readonly notes: readonly SourceProblem[]
  readonly result: CompileResult
  /** Milliseconds, reading included. */
  readonly took: number
  locate(object: ObjectRef, path: FieldPath): Position | undefined
}

/** Reads and compiles folders as one world without claims or history. */
export async function loadFolders(folders: readonly string[], allowEndpoints: readonly string[]): Promise<Loaded> {
  if (folders.length === 0) throw usageFailure('Say which folder: --config DIR')
  const started = performance.now()
  const source = createFileSource({ folders, live: false })
  await source.start(() => undefined)
  const { resources, problems, notes = [] } = source.read()
  await source.stop()
  const whole: ResourceSet = { ...resources, claims: [], lastGood: [] }
  const result = compile(whole, { digest: createDigest(), policies: POLICIES, allowEndpoints, ownAddresses: [] })
  return {
    resources: whole,
    problems,
    notes,
    result,
    took: performance.now() - started,
    locate: (object, path) => source.locate(object, path),
  }
}

/** Issues that hold at `now`: those about time (an ending certificate) carry the span they hold in. */
export function issuesAt(issues: readonly Issue[], now: number): readonly Issue[] {
  return issues.filter((issue) => (issue.from ?? 0) <= now && now < (issue.until ?? Number.POSITIVE_INFINITY))
}

/** `acme/shop.yaml:6:7`, relative to where the person stands when that is shorter. */
export function positionText(position: Position | undefined, withColumn = true): string {
  if (position === undefined) return ''
  const near = relative(process.cwd(), position.file)
  const file = near !== '' && near.length < position.file.length ? near : position.file
  return withColumn ? `${file}:${position.line}:${position.column}` : `${file}:${position.line}`
}

// Turns what is wrong with files and folders into SourceProblems, in the order of their places. Pure.
// file-source calls it after each look.
import { compareText } from '../../../model/canonical.ts'
import { type Issue, MAX_MESSAGE } from '../../../model/issue.ts'
import type { SourceProblem } from '../source.ts'
import type { FileProblem } from './define-objects.ts'
import type { FileRecord } from './file-record.ts'
import type { Root } from './walk-folder.ts'
import type { World } from './world.ts'

/** Everything that may be wrong. */
export interface Sources {
  readonly records: Iterable<FileRecord>
  readonly roots: readonly Root[]
  readonly refusedFolders: readonly { readonly root: Root; readonly path: string; readonly message: string }[]
  readonly overLimit: string | undefined
  readonly unwatched: string | undefined
  readonly world: World
}

/** Problems, and notes that are worth a line but are nobody's mistake. */
export interface Described {
  readonly problems: readonly SourceProblem[]
  readonly notes: readonly SourceProblem[]
}

/** Collects all problems and notes, ordered by file, line and column. */
export function describeProblems(sources: Sources): Described {
  const problems: SourceProblem[] = []
  const notes: SourceProblem[] = []
  for (const record of sources.records) {
    if (record.leaving || record.shadowed || (record.problems.length === 0 && record.notes.length === 0)) continue
    for (const problem of record.problems) problems.push(sourceProblem(record, problem, sources.world))
    for (const note of record.notes) notes.push(sourceProblem(record, note, sources.world))
  }
  for (const { root, path, message } of sources.refusedFolders) {
    problems.push(atFolder(path === '' ? root.given : `${root.given}/${path}`, `the folder ${message}`))
  }
  const given = sources.roots[0]?.given ?? ''
  if (sources.overLimit !== undefined) problems.push(atFolder(given, `the folder ${sources.overLimit}`))
  if (sources.unwatched !== undefined) {
    const hint = sources.unwatched === 'ENOSPC' ? ' (raise fs.inotify.max_user_watches)' : ''
    notes.push(
      atFolder(given, `cannot be watched: ${sources.unwatched}${hint}; changes are found by looking twice a second`),
    )
  }
  problems.push(...sources.world.duplicates())
  return { problems: problems.sort(comparePlaces), notes: notes.sort(comparePlaces) }
}

function sourceProblem(record: FileRecord, problem: FileProblem, world: World): SourceProblem {
  const position = { file: record.shown, line: problem.line, column: problem.column }
  if (problem.object === undefined) return { position, message: problem.message }
  const issue: Issue = {
    object: problem.object,
    // The form that was refused would have been the next one.
    generation: world.generation(problem.object) + 1,
    tenant: '',
    causes: [],
    condition: 'Accepted',
    reason: 'Invalid',
    severity: 'rejects',
    message: problem.message.slice(0, MAX_MESSAGE),
    path: problem.path,
  }
  return { position, object: problem.object, message: problem.message, issue }
}

function atFolder(file: string, message: string): SourceProblem {
  return { position: { file, line: 1, column: 1 }, message }
}

function comparePlaces(a: SourceProblem, b: SourceProblem): number {
  return (
    compareText(a.position?.file ?? '', b.position?.file ?? '') ||
    (a.position?.line ?? 0) - (b.position?.line ?? 0) ||
    (a.position?.column ?? 0) - (b.position?.column ?? 0)
  )
}

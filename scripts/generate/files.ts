// Every generated file of the repository, as text in memory. generate.ts writes them, check.ts compares them with the
// ones that stand there. Nothing here depends on the machine or the time.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createProgram } from '../../bin/program.ts'
import { commandLineReference } from '../../bin/reference.ts'
import { customKinds } from '../../model/custom-kinds.ts'
import { POLICIES } from '../../policies/index.ts'
import { chartFiles } from './chart.ts'
import { crdFile } from './crds.ts'
import { editorSchemaFile } from './editor-schema.ts'
import { errorFiles } from './errors.ts'
import { referenceFiles } from './reference.ts'

/** Folders that hold generated files only: whatever else stands in them is stale. */
export const GENERATED_FOLDERS = ['crds', 'charts/atrium/files/crds', 'docs/errors', 'docs/reference'] as const

const VALUES = join(import.meta.dirname, '..', '..', 'charts', 'atrium', 'values.yaml')

/** From path to text, ordered by path. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const kinds = customKinds(POLICIES)
  const crds = kinds.map((kind) => crdFile(kind))
  const files = new Map<string, string>([
    ...crds,
    ...chartFiles(readFileSync(VALUES, 'utf8'), crds),
    ...kinds.map((kind) => editorSchemaFile(kind)),
    ...referenceFiles(kinds),
    ['docs/reference/cli.md', `${commandLineReference(createProgram()).trimEnd()}\n`],
    ...errorFiles(),
  ])
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)))
}

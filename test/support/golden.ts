// Golden cases: where they are, and what each comes to. test/golden/golden.test.ts compares, scripts/golden.ts rewrites.
import { globSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { compile } from '../../controller/compile/compile.ts'
import type { CompileResult } from '../../controller/compile/compile-types.ts'
import { loadGolden } from './golden-load.ts'
import { printSnapshot, printStatus } from './golden-print.ts'

const ROOT = join(import.meta.dirname, '..', '..')

/** What a case compiles to. */
export interface GoldenOutcome {
  readonly result: CompileResult
  readonly snapshot: string
  readonly status: string
}

/** Folders of all cases, relative to the repository: test/golden and those of the policies. */
export function goldenFolders(): readonly string[] {
  return globSync('{test/golden,policies/*/golden}/*/in.yaml', { cwd: ROOT })
    .map((file) => dirname(file))
    .sort()
}

/** The absolute path of a file of a case. */
export function goldenFile(folder: string, file: string): string {
  return join(ROOT, folder, file)
}

/** Compiles a case and prints it. */
export function runGolden(folder: string): GoldenOutcome {
  const { resources, settings } = loadGolden(join(ROOT, folder))
  const result = compile(resources, settings)
  return { result, snapshot: printSnapshot(result), status: printStatus(resources, result) }
}

// What can be known to fail before anything starts: places that flags name and that cannot be written. serve.ts asks; a
// gateway that begins and then loses its log or its claims would be noticed too late.
import { accessSync, closeSync, constants, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { usageFailure } from './exit.ts'

/** Makes the folder of `--state` where it is missing. Throws a usage failure where nothing can be kept in it. */
export function checkStateFolder(folder: string): void {
  try {
    makeFolder(folder)
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw usageFailure(`--state ${folder}: nothing can be kept there (${codeOf(error)}).`)
  }
}

/** Throws a usage failure where the file of `--access-log` cannot be written. Makes it where it is missing. */
export function checkAccessLog(where: string): void {
  if (where === 'stdout' || where === 'off') return
  try {
    closeSync(openSync(where, 'a', 0o640))
  } catch (error) {
    throw usageFailure(
      `--access-log ${where} cannot be written (${codeOf(error)}); stdout and off are the other choices.`,
    )
  }
}

// One folder after the other: a recursive mkdir never returns where the system forbids folders altogether, as in /proc.
function makeFolder(folder: string): void {
  const found = statSync(folder, { throwIfNoEntry: false })
  if (found?.isDirectory() === true) return
  const parent = dirname(folder)
  if (parent !== folder) makeFolder(parent)
  mkdirSync(folder, { mode: 0o700 })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'
}

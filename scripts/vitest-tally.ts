// Runs vitest in this terminal and counts: test.ts and e2e.ts end with the same line.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')

export interface Tally {
  readonly passed: number
  readonly failed: number
}

/** Runs the tests; `args` are vitest's. */
export async function runVitest(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Tally> {
  const folder = mkdtempSync(join(tmpdir(), 'atrium-test-'))
  const file = join(folder, 'results.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
  const code = await runNode([vitest, 'run', ...reporters, ...args], environment)
  const tally = readTally(file, code)
  rmSync(folder, { recursive: true, force: true })
  return tally
}

/** Runs a script on this Node in this terminal; its exit code. */
export function runNode(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<number> {
  return new Promise((settle) => {
    const env = { ...process.env, ...environment }
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit', env })
    child.on('error', () => settle(1))
    child.on('exit', (code) => settle(code ?? 1))
  })
}

/** Vitest's own counts. A file that could not even be loaded has no tests: it counts as one failure. */
function readTally(path: string, code: number): Tally {
  try {
    const result: unknown = JSON.parse(readFileSync(path, 'utf8'))
    const { numPassedTests, numFailedTests, testResults } = result as {
      numPassedTests: number
      numFailedTests: number
      testResults: { status: string; assertionResults: { status: string }[] }[]
    }
    const broken = testResults.filter(
      ({ status, assertionResults }) =>
        status === 'failed' && !assertionResults.some((each) => each.status === 'failed'),
    ).length
    const failed = numFailedTests + broken
    return { passed: numPassedTests, failed: failed === 0 && code !== 0 ? 1 : failed }
  } catch {
    return { passed: 0, failed: 1 }
  }
}

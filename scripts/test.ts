// `npm test`: everything that needs no cluster, then `npm run check`; the last line says how many passed and failed.
// Run through scripts/run.mjs, so on the locked Node.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')

interface Tally {
  readonly passed: number
  readonly failed: number
}

const folder = mkdtempSync(join(tmpdir(), 'atrium-test-'))
const file = join(folder, 'results.json')
const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
const only = process.argv.slice(2)
const testsCode = await run([vitest, 'run', ...reporters, ...only])
const tests = readTally(file, testsCode)
rmSync(folder, { recursive: true, force: true })

const checkCode = only.length > 0 ? 0 : await run([join(ROOT, 'scripts', 'check.ts')])
const checks = only.length > 0 ? 0 : 1
const passed = tests.passed + (checkCode === 0 ? checks : 0)
const failed = tests.failed + (checkCode === 0 ? 0 : 1)
console.log(`\n${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

/** Runs a script on this Node in this terminal; its exit code. */
function run(args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit' })
    child.on('error', () => resolve(1))
    child.on('exit', (code) => resolve(code ?? 1))
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

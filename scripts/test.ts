// `npm test`: everything that needs no cluster, then `npm run check`; the last line says how many passed and failed.
// Run through scripts/run.mjs, so on the locked Node.
import { join } from 'node:path'
import { runNode, runVitest } from './vitest-tally.ts'

const only = process.argv.slice(2)
const tests = await runVitest(only)
const checkCode = only.length > 0 ? 0 : await runNode([join(import.meta.dirname, 'check.ts')])
const checks = only.length > 0 ? 0 : 1
const passed = tests.passed + (checkCode === 0 ? checks : 0)
const failed = tests.failed + (checkCode === 0 ? 0 : 1)
console.log(`\n${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

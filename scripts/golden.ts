// `npm run golden`: rewrites snapshot.yaml and status.yaml of every golden case from its input; the test that compares
// them does it. Read the difference before you commit it. Requests are written by hand: one that does not come out as
// expected fails here too.
import { spawn } from 'node:child_process'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')

const child = spawn(process.execPath, [vitest, 'run', 'test/golden/golden.test.ts'], {
  cwd: ROOT,
  stdio: 'inherit',
  env: { ...process.env, GOLDEN: 'rewrite' },
})
child.on('exit', (code) => {
  process.exitCode = code ?? 1
})

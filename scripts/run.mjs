// Runs a TypeScript file on the Node that the lock file brings: node scripts/run.mjs FILE [ARGUMENT …]. Plain JavaScript
// for any Node from 18 on. Signals and the exit code pass through, so it can stand in front of everything.
import { run } from './launch.mjs'

const [file, ...args] = process.argv.slice(2)
if (file === undefined) {
  console.error('usage: node scripts/run.mjs FILE [ARGUMENT …]')
  process.exit(2)
}
run(file, args)

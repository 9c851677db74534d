#!/usr/bin/env node
// The `atrium` command: starts bin/atrium.ts on the Node that the lock file brings. Plain JavaScript, because an older
// Node may be what runs it.
import { join } from 'node:path'
import { run } from './launch.mjs'
import { ROOT } from './locked.mjs'

run(join(ROOT, 'bin', 'atrium.ts'), process.argv.slice(2))

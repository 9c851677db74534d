// `npm run build`: compiles Atrium to `dist`, as the image holds it. Running from source needs no build; compiled it
// starts faster, and the image needs no TypeScript.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')
const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')

// Whatever is not compiled any more would stay in there.
rmSync(join(ROOT, 'dist'), { recursive: true, force: true })
const { status } = spawnSync(process.execPath, [TSC, '-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: 'inherit' })
process.exitCode = status ?? 1

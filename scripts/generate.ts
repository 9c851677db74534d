// Writes every generated file: CRDs, reference pages, error pages, schemas for editors. `npm run generate`.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { GENERATED_FOLDERS, generatedFiles } from './generate/files.ts'

/** Brings the generated files under `root` up to date. Returns what was written and what was removed. */
export function writeGenerated(root: string): readonly string[] {
  const changes: string[] = []
  const wanted = generatedFiles()
  for (const difference of differences(root)) {
    const text = wanted.get(difference.path)
    const path = join(root, difference.path)
    if (text === undefined) rmSync(path)
    else {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    }
    changes.push(difference.path)
  }
  return changes
}

/** Where the files under `root` are not what they should be. */
export function differences(root: string): readonly { readonly path: string; readonly what: string }[] {
  const wanted = generatedFiles()
  const present = new Set(GENERATED_FOLDERS.flatMap((folder) => filesUnder(root, folder)))
  const found: { path: string; what: string }[] = []
  for (const [path, text] of wanted) {
    if (!existsSync(join(root, path))) found.push({ path, what: 'is missing' })
    else if (readFileSync(join(root, path), 'utf8') !== text) found.push({ path, what: 'is out of date' })
  }
  for (const path of present) if (!wanted.has(path)) found.push({ path, what: 'is not generated any more' })
  return found
}

function filesUnder(root: string, folder: string): readonly string[] {
  try {
    return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

if (import.meta.main) {
  const changes = writeGenerated(resolve(import.meta.dirname, '..'))
  for (const path of changes) console.log(path)
  console.log(changes.length === 0 ? 'Everything is up to date.' : `${changes.length} files changed.`)
}

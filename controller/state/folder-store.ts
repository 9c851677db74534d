// Claims and last good forms in a folder (`--state DIR`): one file each, replaced whole, so that a crash leaves the old or
// the new one. controller/main.ts makes it. A file that cannot be read is put aside, never overwritten in silence.
import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { StateStore, StoredState } from './state-store.ts'
import { claimsText, lastGoodText, parseClaims, parseLastGood } from './stored-text.ts'

const CLAIMS = 'claims.json'
const LAST_GOOD = 'last-good.json'

/** A store in a folder, which is made where it does not exist. Files are for their owner only. */
export function createFolderStore(folder: string): StateStore {
  const written = new Map<string, string>()
  return {
    async load() {
      const warnings: string[] = []
      const claims = await loadFile(
        folder,
        CLAIMS,
        parseClaims,
        warnings,
        'Claims begin anew: two Tenants that ask for one host both go without it.',
      )
      const lastGood = await loadFile(
        folder,
        LAST_GOOD,
        parseLastGood,
        warnings,
        'Objects that are wrong now serve nothing until they are corrected.',
      )
      return { claims, lastGood, warnings }
    },
    async save(state: StoredState) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      for (const [name, text] of [
        [CLAIMS, claimsText(state.claims)],
        [LAST_GOOD, lastGoodText(state.lastGood)],
      ] as const) {
        if (written.get(name) === text) continue
        await replaceFile(folder, name, text)
        written.set(name, text)
      }
    },
  }
}

async function loadFile<Entry>(
  folder: string,
  name: string,
  parse: (text: string) => readonly Entry[],
  warnings: string[],
  consequence: string,
): Promise<readonly Entry[]> {
  const file = join(folder, name)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') warnings.push(`${file} cannot be read (${codeOf(error)}). ${consequence}`)
    return []
  }
  try {
    return parse(text)
  } catch (error) {
    const reason =
      error instanceof SyntaxError ? 'it is no JSON' : error instanceof Error ? error.message : String(error)
    const aside = await putAside(file)
    warnings.push(`${file} cannot be used: ${reason}. ${aside} ${consequence}`)
    return []
  }
}

async function putAside(file: string): Promise<string> {
  try {
    await copyFile(file, `${file}.bad`)
    return `It is kept as ${file}.bad.`
  } catch (error) {
    return `It could not be copied aside (${codeOf(error)}).`
  }
}

// Written aside, flushed, renamed, and the name flushed too: nobody ever reads half of it, even after a power cut.
async function replaceFile(folder: string, name: string, text: string): Promise<void> {
  const temporary = join(folder, `.${name}.${randomBytes(6).toString('hex')}`)
  try {
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, join(folder, name))
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(folder)
}

async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open a folder; there a rename is all there is.
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
}

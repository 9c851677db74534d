// Names for completion, read from the folders on the command line: tenants, and the addresses that routes serve. Only
// reads metadata and hostnames out of the YAML, so it works on files that do not compile. Gives up after two seconds.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'

const GIVE_UP_MS = 1500
const MOST_FILES = 2000
const LARGEST_BYTES = 1_000_000

/** Names of a kind (`tenants`, `urls`) in `folders`, ordered; what was found by the deadline. */
export async function knownNames(what: string, folders: readonly string[]): Promise<readonly string[]> {
  const names = new Set<string>()
  const deadline = performance.now() + GIVE_UP_MS
  for (const folder of folders) {
    for (const file of await yamlFiles(folder)) {
      if (performance.now() > deadline) break
      const text = await readFile(file, 'utf8').catch(() => '')
      if (text.length < LARGEST_BYTES) for (const name of namesIn(text, what)) names.add(name)
    }
  }
  return [...names].sort()
}

async function yamlFiles(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name))
    .slice(0, MOST_FILES)
    .map((entry) => join(entry.parentPath, entry.name))
}

function namesIn(text: string, what: string): readonly string[] {
  try {
    return parseAllDocuments(text).flatMap((document) => namesOf(document.toJS({ maxAliasCount: 10 }), what))
  } catch {
    return []
  }
}

function namesOf(object: unknown, what: string): readonly string[] {
  if (!isRecord(object) || !isRecord(object['metadata']) || !isRecord(object['spec'])) return []
  const { kind, metadata, spec } = object
  if (what === 'tenants' && kind === 'Tenant') return [String(metadata['name'])]
  if (what !== 'urls' || kind !== 'Route' || !Array.isArray(spec['hostnames'])) return []
  const scheme = isRecord(spec['tls']) ? 'https' : 'http'
  return spec['hostnames'].filter((host) => typeof host === 'string').map((host) => `${scheme}://${host}/`)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

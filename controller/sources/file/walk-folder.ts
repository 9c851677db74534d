// Finds the files of a folder: regular files and links that stay inside, nothing else. Reads names only, never content.
// file-source runs it for everything at the start and as a safety net, and for a subtree when something in it changed.
import { type BigIntStats, type Dirent, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { join, sep } from 'node:path'
import { compareText } from '../../../model/canonical.ts'

/** A folder given on the command line. */
export interface Root {
  readonly folder: number
  /** As given, for people. */
  readonly given: string
  /** Without links. Paths inside are checked against it. */
  readonly real: string
}

/** What tells one content of a file from another without reading it. */
export interface Identity {
  readonly device: bigint
  readonly inode: bigint
  readonly size: bigint
  readonly modified: bigint
  readonly changed: bigint
}

/** What a walk comes across. `path` is relative to the root, with `/`; '' is the root itself. */
export type Found =
  | {
      readonly what: 'file'
      readonly path: string
      readonly real: string
      readonly linked: boolean
      readonly identity: Identity
    }
  | {
      readonly what: 'folder'
      readonly path: string
      readonly real: string
      readonly linked: boolean
      readonly inode: bigint
    }
  /** Something by a name that we would read, and why we do not. For a folder: what it held is unknown. */
  | { readonly what: 'refused'; readonly path: string; readonly folder: boolean; readonly message: string }

const READ = /\.(ya?ml|json)$/i
const MAX_FOLDER_DEPTH = 64

/** Whether a file of this name is read. Names that begin with a dot belong to editors, git and mounts. */
function isReadName(name: string): boolean {
  return READ.test(name) && !name.startsWith('.')
}

/** Walks everything at or below `path`. Never throws; a name that vanishes meanwhile is not there. */
export function* walkFolder(root: Root, path: string): Generator<Found, void> {
  yield* visit(root, path, { absolute: join(root.real, path), linked: false, inside: [] })
}

/** How a walk came to a name. */
interface Way {
  /** Without links, but for the name itself. */
  readonly absolute: string
  /** Through a link. */
  readonly linked: boolean
  /** Folders on the way, without links. */
  readonly inside: readonly string[]
}

function* visit(root: Root, path: string, way: Way): Generator<Found, void> {
  const { absolute, linked } = way
  let stat: BigIntStats
  try {
    stat = lstatSync(absolute, { bigint: true })
  } catch (error) {
    if (path === '' || codeOf(error) !== 'ENOENT') yield refused(path, path === '', `cannot be read (${codeOf(error)})`)
    return
  }
  if (stat.isSymbolicLink()) yield* visitLink(root, path, way)
  else if (stat.isDirectory()) yield* visitFolder(root, path, stat.ino, way)
  else if (!isReadName(nameOf(path))) return
  else if (stat.isFile()) yield { what: 'file', path, real: absolute, linked, identity: identityOf(stat) }
  else yield refused(path, false, `is ${specialName(stat)}, so it is not read`)
}

function* visitLink(root: Root, path: string, way: Way): Generator<Found, void> {
  const readName = isReadName(nameOf(path))
  let real: string
  let stat: BigIntStats
  try {
    real = realpathSync(way.absolute)
    stat = statSync(real, { bigint: true })
  } catch (error) {
    if (readName) yield refused(path, false, `is a link that leads nowhere (${codeOf(error)})`)
    return
  }
  if (!stat.isDirectory() && !readName) return
  if (real !== root.real && !real.startsWith(root.real + sep)) {
    yield refused(path, stat.isDirectory(), 'is a link that leads out of the folder, so it is not read')
  } else if (stat.isDirectory()) {
    yield* visitFolder(root, path, stat.ino, { ...way, absolute: real, linked: true })
  } else if (stat.isFile()) {
    yield { what: 'file', path, real, linked: true, identity: identityOf(stat) }
  } else {
    yield refused(path, false, `is a link to ${specialName(stat)}, so it is not read`)
  }
}

function* visitFolder(root: Root, path: string, inode: bigint, way: Way): Generator<Found, void> {
  const { absolute: real, linked, inside } = way
  // A link to a folder that we are in already would never end.
  const ancestors = linked ? [root.real, ...inside] : []
  if (ancestors.includes(real) || ancestors.some((folder) => folder.startsWith(real + sep))) return
  if (inside.length >= MAX_FOLDER_DEPTH) {
    yield refused(path, true, `is more than ${MAX_FOLDER_DEPTH} folders deep, so it is not read`)
    return
  }
  // Told before its names are read: whoever watches it misses nothing that comes afterwards.
  yield { what: 'folder', path, real, linked, inode }
  let entries: Dirent[]
  try {
    entries = readdirSync(real, { withFileTypes: true })
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') yield refused(path, true, `cannot be read (${codeOf(error)})`)
    return
  }
  entries.sort((a, b) => compareText(a.name, b.name))
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue
    if (!entry.isDirectory() && !entry.isSymbolicLink() && !isReadName(entry.name)) continue
    yield* visit(root, path === '' ? entry.name : `${path}/${entry.name}`, {
      absolute: join(real, entry.name),
      linked,
      inside: [...inside, real],
    })
  }
}

/** The identity of a file from its status. */
export function identityOf(stat: BigIntStats): Identity {
  return { device: stat.dev, inode: stat.ino, size: stat.size, modified: stat.mtimeNs, changed: stat.ctimeNs }
}

/** Whether two identities stand for the same content. */
export function sameIdentity(a: Identity | undefined, b: Identity | undefined): boolean {
  return (
    a !== undefined &&
    b !== undefined &&
    a.inode === b.inode &&
    a.device === b.device &&
    a.size === b.size &&
    a.modified === b.modified &&
    a.changed === b.changed
  )
}

/** The code of a file system error, for people. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
}

/** What a name is that is neither a file nor a folder. */
export function specialName(stat: BigIntStats): string {
  if (stat.isFIFO()) return 'a FIFO'
  if (stat.isSocket()) return 'a socket'
  if (stat.isDirectory()) return 'a folder'
  return 'a device'
}

function refused(path: string, folder: boolean, message: string): Found {
  return { what: 'refused', path, folder, message }
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

// The files that are known and what they hold: takes over what a walk finds, lets go of what it no longer finds, and
// counts a file by two names once. Reads contents. file-source walks the folders and tells it what stands where.
import { join } from 'node:path'
import { compareText } from '../../../model/canonical.ts'
import { Hidden } from '../../../model/hidden.ts'
import { tupleKey } from '../../../model/resources.ts'
import { defineObjects, type FileContent } from './define-objects.ts'
import { FileRecord, SETTLE_MS } from './file-record.ts'
import { readText } from './read-text.ts'
import { type Found, type Root, sameIdentity } from './walk-folder.ts'
import type { World } from './world.ts'

/** A folder that could not be read or followed: what it held is unknown, so it is kept. */
export interface RefusedFolder {
  readonly root: Root
  readonly path: string
  readonly message: string
}

/** How the shelf looks at a file. */
export interface Look {
  /** At the start there is nothing to lose: every content is believed. */
  readonly first: boolean
  /** An event told of this file: read it, whatever its status says. */
  readonly touched: boolean
  /** It came into its place by a rename. */
  readonly placed: boolean
}

/** All files of all folders. */
export class FileShelf {
  /** By recordKey. */
  readonly #records = new Map<string, FileRecord>()
  readonly #world: World
  readonly #turn: () => Promise<void>
  #refusedFolders: readonly RefusedFolder[] = []

  /** `turn` is awaited now and then during long work, so that others get theirs. */
  constructor(world: World, turn: () => Promise<void>) {
    this.#world = world
    this.#turn = turn
  }

  get size(): number {
    return this.#records.size
  }

  get refusedFolders(): readonly RefusedFolder[] {
    return this.#refusedFolders
  }

  records(): Iterable<FileRecord> {
    return this.#records.values()
  }

  record(root: Root, path: string): FileRecord | undefined {
    return this.#records.get(recordKey(root, path))
  }

  /** Forgets which folders could not be read, where `concerns` says so: they are about to be looked at again. */
  forgetRefusals(concerns: (refused: RefusedFolder) => boolean): void {
    this.#refusedFolders = this.#refusedFolders.filter((each) => !concerns(each))
  }

  /** Takes over what a walk found. Returns the file that it is about. */
  async take(root: Root, found: Found, look: Look): Promise<FileRecord | undefined> {
    if (found.what === 'folder') return undefined
    if (found.what === 'refused' && found.folder) {
      this.#refusedFolders = [...this.#refusedFolders, { root, path: found.path, message: found.message }]
      return undefined
    }
    const record = this.#recordAt(root, found.path)
    this.#stay(record)
    if (found.what === 'refused') {
      record.refuse(found.message)
      return record
    }
    record.real = found.real
    record.linked = found.linked
    if (!look.touched && record.hold === undefined && sameIdentity(record.identity, found.identity)) return record
    const read = readText(found.real)
    if ('gone' in read) {
      this.leave(record)
    } else if ('refused' in read) {
      record.refuse(read.refused)
    } else if (read.text === record.text?.reveal()) {
      record.identity = read.identity
      record.hold = undefined
    } else {
      const content = await this.#parse(record, read.text)
      const doubtful = !look.first && record.doubts(read.text, content, read.identity, look.placed)
      if (doubtful && record.waits(read.text, read.identity, performance.now())) return record
      record.accept(new Hidden(read.text), content, read.identity)
      this.#world.define(record, record.definitions)
    }
    return record
  }

  async #parse(record: FileRecord, text: string): Promise<FileContent> {
    const reading = defineObjects(record.shown, text)
    for (;;) {
      const step = reading.next()
      if (step.done === true) return step.value
      await this.#turn()
    }
  }

  #recordAt(root: Root, path: string): FileRecord {
    const key = recordKey(root, path)
    const known = this.#records.get(key)
    if (known !== undefined) return known
    const record = new FileRecord(root.folder, path, path === '' ? root.given : join(root.given, path))
    this.#records.set(key, record)
    return record
  }

  #stay(record: FileRecord): void {
    if (!record.leaving) return
    record.leaving = false
    this.#world.rerank(record)
  }

  /** Gone for good only after a moment: editors remove a file and put the new one there. */
  leave(record: FileRecord): void {
    const now = performance.now()
    if (!record.leaving) {
      record.leaving = true
      record.leaveAt = now + SETTLE_MS
      this.#world.rerank(record)
    } else if (now >= record.leaveAt) {
      this.#records.delete(recordKey(record, record.path))
      this.#world.define(record, [])
    }
  }

  /** Lets go of what a walk did not see, where `concerns` says that it should have. */
  dropUnseen(seen: ReadonlySet<FileRecord>, concerns: (record: FileRecord) => boolean): void {
    for (const record of this.#records.values()) {
      if (seen.has(record) || !concerns(record)) continue
      const refused = this.#refusedFolders.some(
        ({ root, path }) => root.folder === record.folder && (path === '' || record.path.startsWith(`${path}/`)),
      )
      if (!refused) this.leave(record)
    }
  }

  /** The same file by two names counts once: by its own name, or else by the first. */
  settleLinks(): void {
    const firsts = new Map<string, FileRecord>()
    const ordered = [...this.#records.values()].sort(
      (a, b) => Number(a.linked) - Number(b.linked) || a.folder - b.folder || compareText(a.path, b.path),
    )
    for (const record of ordered) {
      const first = record.leaving ? record : (firsts.get(record.real) ?? record)
      if (!record.leaving) firsts.set(record.real, first)
      record.shadowed = first !== record
      const wanted = record.shadowed ? [] : record.definitions
      const known = this.#world.definitionsOf(record)
      if (known !== wanted && (wanted.length > 0 || known.length > 0)) this.#world.define(record, wanted)
    }
  }

  /** When the next doubtful content or absence may be believed; infinite where there is none. */
  nextDue(): number {
    let due = Number.POSITIVE_INFINITY
    for (const record of this.#records.values()) due = Math.min(due, record.dueAt)
    return due
  }
}

/** The text form of a file's place. */
function recordKey(root: { readonly folder: number }, path: string): string {
  return tupleKey([String(root.folder), path])
}

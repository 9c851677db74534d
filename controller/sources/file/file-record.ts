// What is known of one file: the content that holds, what stands in it now, and whether to believe that yet.
// No file system, no clock of its own. file-source keeps one for each path.
import type { Hidden } from '../../../model/hidden.ts'
import type { Definition, FileContent, FileProblem } from './define-objects.ts'
import { type Identity, sameIdentity } from './walk-folder.ts'
import type { WorldFile } from './world.ts'

/** Time without a write after which a doubtful content is believed, in milliseconds. */
export const SETTLE_MS = 25
/** A file that never rests is believed after this time all the same. */
const MAX_HOLD_MS = 1_000
/** Text of this length may have been written in several pieces. */
const ONE_WRITE = 4_096

/** A content that is not believed yet, because the file may be half written. */
interface Hold {
  readonly since: number
  readonly lookAt: number
  readonly text: string
  readonly identity: Identity
}

/** One file by its path in its folder. */
export class FileRecord implements WorldFile {
  readonly folder: number
  readonly path: string
  /** As people write it: the folder as given, and the path. */
  readonly shown: string
  real = ''
  linked = false
  leaving = false
  /** When to be sure that it is gone. */
  leaveAt = 0
  identity: Identity | undefined
  text: Hidden<string> | undefined
  /** Objects of the content that holds, with those of an earlier content that a mistake hides. */
  definitions: readonly Definition[] = []
  problems: readonly FileProblem[] = []
  notes: readonly FileProblem[] = []
  hold: Hold | undefined

  /** Another name of a file that counts by its own. */
  shadowed = false

  constructor(folder: number, path: string, shown: string) {
    this.folder = folder
    this.path = path
    this.shown = shown
  }

  /** When what is doubtful about it may be believed; infinite where nothing is. Monotonic milliseconds. */
  get dueAt(): number {
    return this.leaving ? this.leaveAt : (this.hold?.lookAt ?? Number.POSITIVE_INFINITY)
  }

  /**
   * Whether a content must be seen twice before it is believed. `placed`: the file came into its place whole, by a
   * rename; nothing was written to it since.
   */
  doubts(text: string, content: FileContent, identity: Identity, placed: boolean): boolean {
    if (!content.complete || content.problems.length > 0) return true
    const defined = new Set(content.definitions.map((definition) => definition.key))
    if (this.definitions.some((definition) => !defined.has(definition.key))) return true
    if (placed && this.hold === undefined) return false
    if (!text.endsWith('\n') && !text.trimStart().startsWith('{')) return true
    return (
      text.length > ONE_WRITE ||
      (this.text !== undefined && text.length < this.text.reveal().length && this.identity?.inode === identity.inode)
    )
  }

  /** Waits for the file to rest. Returns false where it has rested long enough: believe it. */
  waits(text: string, identity: Identity, now: number): boolean {
    const hold = this.hold
    if (hold !== undefined) {
      if (now - hold.since >= MAX_HOLD_MS) return false
      // At rest since the last look.
      if (hold.text === text && sameIdentity(hold.identity, identity)) return now < hold.lookAt
    }
    this.hold = { since: hold?.since ?? now, lookAt: now + SETTLE_MS, text, identity }
    return true
  }

  /** Takes a content over. What a mistake hides stays as it was. */
  accept(text: Hidden<string>, content: FileContent, identity: Identity): void {
    const given = new Map(content.definitions.map((definition) => [definition.key, definition]))
    const hidden = new Set(content.problems.flatMap(({ key }) => (key === undefined ? [] : [key])))
    const kept = this.definitions.filter(({ key }) => !given.has(key) && (!content.complete || hidden.has(key)))
    this.definitions = kept.length === 0 ? content.definitions : [...content.definitions, ...kept]
    this.problems = content.problems
    this.notes = content.notes
    this.text = text
    this.identity = identity
    this.hold = undefined
  }

  /** Keeps what it holds and says why nothing newer is read. */
  refuse(message: string): void {
    this.problems = [{ line: 1, column: 1, message: `the file ${message}`, path: [] }]
    this.identity = undefined
    this.text = undefined
    this.hold = undefined
  }
}

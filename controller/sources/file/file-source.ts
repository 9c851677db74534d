// The file source: a folder of the YAML that `kubectl apply` takes, live. Reads names and contents, believes what has
// come to rest, keeps what a mistake hides. controller/main.ts and the command line make one; the loop reads it.
import { realpathSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { setImmediate as giveWay } from 'node:timers/promises'
import type { FieldPath } from '../../../model/issue.ts'
import type { ObjectRef } from '../../../model/resources.ts'
import type { Position, Source, SourceState } from '../source.ts'
import type { FileRecord } from './file-record.ts'
import { describeProblems } from './file-problems.ts'
import { FileShelf } from './file-shelf.ts'
import { Locator } from './locate-field.ts'
import { codeOf, type Found, type Root, walkFolder } from './walk-folder.ts'
import { FolderWatch } from './watch-folders.ts'
import { World } from './world.ts'

/** How to read folders. Only `folders` must be given. */
export interface FileSourceOptions {
  readonly folders: readonly string[]
  /** Without: read once, as `compile` and `explain` do. Default true. */
  readonly live?: boolean
  /** Milliseconds between two looks at everything, in case an event was lost. Default 5000. */
  readonly rescanEvery?: number
  /** More files than this are refused. Default 20,000. */
  readonly maxFiles?: number
}

const RESCAN_MS = 5_000
// While a folder cannot be watched or is gone, looking is all there is.
const BLIND_RESCAN_MS = 500
const MAX_FILES = 20_000
/** Work on the main thread before others get their turn, in milliseconds. */
const TURN_MS = 8

/** A source over folders. `start` rejects where a folder does not exist; everything later is a problem, not an error. */
export function createFileSource(options: FileSourceOptions): Source {
  return new FileSource(options)
}

class FileSource implements Source {
  readonly #options: FileSourceOptions
  readonly #world = new World()
  readonly #locator = new Locator()
  readonly #shelf = new FileShelf(this.#world, () => this.#turn())
  readonly #watch = new FolderWatch((absolute, replaced) => this.#touched(absolute, replaced))
  #roots: readonly Root[] = []
  #touches = new Map<string, boolean>()
  #lookAtAll = true
  #links = false
  #overLimit: string | undefined
  #revision = 0
  #problemsText = ''
  #fault: string | undefined
  #state: SourceState = {
    resources: { revision: 'file-0', partitions: new Map() },
    problems: [],
    notes: [],
    changed: new Set(),
  }
  #stateIsNew = false
  #onChange: (() => void) | undefined
  #running: Promise<void> | undefined
  #scheduled = false
  #stopped = false
  #dueTimer: NodeJS.Timeout | undefined
  #rescanTimer: NodeJS.Timeout | undefined
  #lastScanMs = 0
  #turnEnds = 0

  constructor(options: FileSourceOptions) {
    this.#options = options
  }

  async start(onChange: () => void): Promise<void> {
    if (this.#options.folders.length === 0) throw new Error('no folder is given')
    this.#roots = this.#options.folders.map((given, folder) => ({ folder, given, real: realFolder(given) }))
    await this.#pass(true)
    if (this.#stopped || this.#options.live === false) return
    this.#onChange = onChange
    this.#plan()
    if (this.#touches.size > 0) this.#schedule()
  }

  read(): SourceState {
    if (this.#stateIsNew) this.#stateIsNew = false
    else if (this.#state.changed.size > 0) this.#state = { ...this.#state, changed: new Set() }
    return this.#state
  }

  locate(object: ObjectRef, path: FieldPath): Position | undefined {
    const definition = this.#world.definition(object)
    return definition === undefined ? undefined : this.#locator.locate(definition.origin, path)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#onChange = undefined
    clearTimeout(this.#dueTimer)
    clearTimeout(this.#rescanTimer)
    this.#watch.close()
    await this.#running
  }

  #touched(absolute: string | undefined, replaced: boolean): void {
    if (this.#stopped) return
    if (absolute === undefined) this.#lookAtAll = true
    else this.#touches.set(absolute, (this.#touches.get(absolute) ?? true) && replaced)
    this.#schedule()
  }

  // At once, but after the events that are already here: a burst of writes is one pass.
  #schedule(): void {
    if (this.#scheduled || this.#stopped || this.#onChange === undefined || this.#running !== undefined) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      if (!this.#stopped) this.#running = this.#work()
    })
  }

  async #work(): Promise<void> {
    do {
      let changed = false
      try {
        changed = await this.#pass(false)
        this.#fault = undefined
      } catch (error) {
        // A defect here must not end the gateway: what was read goes on serving, the safety net tries again.
        changed = this.#noteFault(error)
      }
      if (changed && !this.#stopped) this.#onChange?.()
    } while (!this.#stopped && (this.#touches.size > 0 || this.#lookAtAll))
    this.#running = undefined
    this.#plan()
  }

  #noteFault(error: unknown): boolean {
    const fault = error instanceof Error ? error.message : String(error)
    if (this.#fault === fault) return false
    this.#fault = fault
    const file = this.#roots[0]?.given ?? ''
    const problem = { position: { file, line: 1, column: 1 }, message: `reading stopped unexpectedly: ${fault}` }
    this.#state = { ...this.#state, problems: [...this.#state.problems, problem] }
    this.#stateIsNew = true
    this.#problemsText = ''
    return true
  }

  // One look: at everything, or at what was touched and what is due.
  async #pass(first: boolean): Promise<boolean> {
    const touches = this.#touches
    this.#touches = new Map()
    const started = performance.now()
    this.#turnEnds = started + TURN_MS
    const everything = this.#lookAtAll || this.#links || [...touches.keys()].some((path) => this.#needsFullLook(path))
    this.#lookAtAll = false
    if (everything) {
      await this.#lookAtEverything(touches, first)
      // The first look reads every file; those after it hardly any.
      if (!first) this.#lastScanMs = performance.now() - started
    } else {
      for (const [absolute, placed] of touches) await this.#lookAt(absolute, placed)
      await this.#lookAtDue()
    }
    return this.#stopped ? false : this.#publish()
  }

  #needsFullLook(absolute: string): boolean {
    return this.#rootOf(absolute) === undefined || this.#roots.some((root) => root.real === absolute)
  }

  #rootOf(absolute: string): Root | undefined {
    return this.#roots.find((root) => absolute === root.real || absolute.startsWith(root.real + sep))
  }

  async #lookAtEverything(touches: ReadonlyMap<string, boolean>, first: boolean): Promise<void> {
    const limit = this.#options.maxFiles ?? MAX_FILES
    this.#refreshRoots()
    const found: { root: Root; found: Found }[] = []
    const folders = new Set<string>()
    let files = 0
    for (const root of this.#roots) {
      if (this.#options.live !== false) for (const path of [root.real, resolve(root.given)]) this.#watch.addName(path)
      for (const each of walkFolder(root, '')) {
        for (const folder of watchedFor(each)) {
          folders.add(folder.real)
          if (this.#options.live !== false) this.#watch.add(folder.real, folder.inode)
        }
        found.push({ root, found: each })
        if (each.what !== 'folder' && ++files > limit) {
          this.#overLimit = `holds more than ${limit} files, so nothing new is read until there are fewer`
          return
        }
        await this.#turn()
      }
    }
    this.#overLimit = undefined
    this.#watch.keepOnly((folder) => folders.has(folder))
    this.#shelf.forgetRefusals(() => true)
    this.#links = found.some(({ found: each }) => each.what !== 'refused' && each.linked)
    const seen = new Set<FileRecord>()
    for (const { root, found: each } of found) {
      const placed = each.what === 'file' ? touches.get(each.real) : undefined
      const record = await this.#shelf.take(root, each, {
        first,
        touched: placed !== undefined,
        placed: placed === true,
      })
      if (record !== undefined) seen.add(record)
      await this.#turn()
    }
    this.#shelf.dropUnseen(seen, () => true)
  }

  // The operator may replace a folder whole, or the link that leads to it.
  #refreshRoots(): void {
    this.#roots = this.#roots.map((root) => {
      try {
        const real = realpathSync(root.given)
        return real === root.real ? root : { ...root, real }
      } catch {
        return root
      }
    })
  }

  async #lookAt(absolute: string, placed: boolean): Promise<void> {
    const root = this.#rootOf(absolute)
    if (root === undefined) return
    const path = relative(root.real, absolute).split(sep).join('/')
    if (path.split('/').some((name) => name.startsWith('.'))) return
    const isBelow = (other: string) => other === path || other.startsWith(`${path}/`)
    this.#shelf.forgetRefusals((each) => each.root === root && isBelow(each.path))
    const seen = new Set<FileRecord>()
    for (const found of walkFolder(root, path)) {
      if (found.what === 'folder') this.#watch.add(found.real, found.inode)
      if ((found.what !== 'refused' && found.linked) || this.#shelf.size >= (this.#options.maxFiles ?? MAX_FILES)) {
        this.#lookAtAll = true
        return
      }
      const exact = found.path === path
      const record = await this.#shelf.take(root, found, { first: false, touched: exact, placed: exact && placed })
      if (record !== undefined) seen.add(record)
      await this.#turn()
    }
    const itself = this.#shelf.record(root, path)
    // A file has nothing below it: no need to ask every record.
    if (itself !== undefined) {
      if (!seen.has(itself)) this.#shelf.leave(itself)
      return
    }
    this.#shelf.dropUnseen(seen, (record) => record.folder === root.folder && isBelow(record.path))
  }

  // Contents and absences that were doubtful, once they have rested.
  async #lookAtDue(): Promise<void> {
    const now = performance.now()
    for (const record of [...this.#shelf.records()]) {
      if (record.dueAt > now) continue
      const root = this.#roots[record.folder]
      if (root !== undefined) await this.#lookAt(join(root.real, record.path), false)
    }
  }

  // Returns whether there is a new state.
  #publish(): boolean {
    if (this.#links || this.#roots.length > 1) this.#shelf.settleLinks()
    const changed = this.#world.settle()
    if (changed) this.#revision++
    const { problems, notes } = describeProblems({
      records: this.#shelf.records(),
      roots: this.#roots,
      refusedFolders: this.#shelf.refusedFolders,
      overLimit: this.#overLimit,
      unwatched: this.#watch.failed,
      world: this.#world,
    })
    const text = JSON.stringify([problems, notes])
    if (!changed && text === this.#problemsText) return false
    this.#problemsText = text
    const pending = this.#stateIsNew ? this.#state.changed : []
    this.#state = {
      resources: changed
        ? { revision: `file-${this.#revision}`, partitions: this.#world.partitions }
        : this.#state.resources,
      problems,
      notes,
      changed: new Set([...pending, ...this.#world.takeChanged()]),
    }
    this.#stateIsNew = true
    return true
  }

  // Timers only for what is doubtful, and for the safety net.
  #plan(): void {
    if (this.#stopped || this.#onChange === undefined) return
    if (this.#touches.size > 0 || this.#lookAtAll) this.#schedule()
    const due = this.#shelf.nextDue()
    clearTimeout(this.#dueTimer)
    if (due !== Number.POSITIVE_INFINITY) {
      const wait = Math.max(1, Math.ceil(due - performance.now()))
      this.#dueTimer = setTimeout(() => this.#schedule(), wait)
    }
    clearTimeout(this.#rescanTimer)
    const blind = this.#watch.failed !== undefined || this.#shelf.refusedFolders.length > 0
    const every = this.#options.rescanEvery ?? (blind ? BLIND_RESCAN_MS : RESCAN_MS)
    // Never more than a few per cent of the time, however large the folder is.
    this.#rescanTimer = setTimeout(() => this.#touched(undefined, false), Math.max(every, this.#lastScanMs * 30))
    this.#rescanTimer.unref()
  }

  async #turn(): Promise<void> {
    if (performance.now() < this.#turnEnds) return
    await giveWay()
    this.#turnEnds = performance.now() + TURN_MS
  }
}

/** Folders in which a change of what was found shows. The target of a link may stand in one that is not walked. */
function watchedFor(found: Found): readonly { readonly real: string; readonly inode?: bigint }[] {
  if (found.what === 'folder') return [found]
  return found.what === 'file' && found.linked ? [{ real: dirname(found.real) }] : []
}

function realFolder(given: string): string {
  try {
    const real = realpathSync(given)
    if (statSync(real).isDirectory()) return real
  } catch (error) {
    throw new Error(`${given}: no such folder (${codeOf(error)})`, { cause: error })
  }
  throw new Error(`${given}: not a folder`)
}

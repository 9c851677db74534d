// Watches folders for changed names: one watch for each folder, since watches that recurse miss new folders and links.
// It judges nothing; file-source looks at what is there. Without watches the safety net of file-source is all there is.
import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** A name in a folder that changed. `replaced`: created, removed or renamed; else written in place. */
export type Touch = (absolute: string | undefined, replaced: boolean) => void

/** Keeps one watch for each folder it is told of. */
export class FolderWatch {
  readonly #watches = new Map<string, FSWatcher>()
  readonly #inodes = new Map<string, bigint>()
  readonly #names = new Map<string, FSWatcher>()
  readonly #touch: Touch
  #failed: string | undefined

  constructor(touch: Touch) {
    this.#touch = touch
  }

  /** Why a folder could not be watched (the system's bound on watches, above all), once it happened. */
  get failed(): string | undefined {
    return this.#failed
  }

  /** Watches a folder, which is given without links. A watch follows its inode, so a new one needs a new watch. */
  add(folder: string, inode?: bigint): void {
    if (inode !== undefined && this.#inodes.get(folder) !== inode) {
      this.#watches.get(folder)?.close()
      this.#watches.delete(folder)
      this.#inodes.set(folder, inode)
    }
    this.#open(this.#watches, folder, folder, (name) => join(folder, name))
  }

  /** Watches a name in its parent folder, so that the replacement of a root is seen. */
  addName(absolute: string): void {
    const parent = dirname(absolute)
    if (parent === absolute) return
    this.#open(this.#names, absolute, parent, (name) => (name === basename(absolute) ? absolute : undefined))
  }

  /** Ends the watches of folders that are no longer wanted. */
  keepOnly(wanted: (folder: string) => boolean): void {
    for (const [folder, watcher] of this.#watches) {
      if (wanted(folder)) continue
      watcher.close()
      this.#watches.delete(folder)
      this.#inodes.delete(folder)
    }
  }

  close(): void {
    for (const watches of [this.#watches, this.#names]) {
      for (const watcher of watches.values()) watcher.close()
      watches.clear()
    }
  }

  #open(
    watches: Map<string, FSWatcher>,
    key: string,
    folder: string,
    absoluteOf: (name: string) => string | undefined,
  ): void {
    if (watches.has(key)) return
    try {
      const watcher = watch(folder, (event, name) => {
        if (watches.get(key) !== watcher) return
        const absolute = name === null ? undefined : absoluteOf(name)
        if (name === null || absolute !== undefined) this.#touch(absolute, event === 'rename')
        // The folder itself was moved or removed: its watch follows the inode, which is no longer ours to read.
        if (name === basename(folder) && event === 'rename') this.#forget(watches, key, folder)
      })
      watcher.on('error', () => this.#forget(watches, key, folder))
      watches.set(key, watcher)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
      if (code !== 'ENOENT') this.#failed = code
    }
  }

  #forget(watches: Map<string, FSWatcher>, key: string, folder: string): void {
    watches.get(key)?.close()
    watches.delete(key)
    this.#touch(folder, true)
  }
}

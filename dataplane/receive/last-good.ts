// The set that serves, kept for a restart of the container: a journal of lines that ends in a commit after every
// activation. What comes after the last commit was cut off by a crash and does not count. The folder is memory (an
// emptyDir), the file for its owner only: it holds private keys. receiver.ts writes it and reads it at the start.
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { canonicalText, type Digest } from '../../model/canonical.ts'
import { type Position, PUSH_LIMITS, type SetName } from '../../model/push.ts'
import { type ContentLine, poolLine, readContentLine, shardLine } from '../../model/push-shard.ts'
import type { EntryKind } from '../../model/root-hash.ts'
import { applyChange, isChange } from '../../model/shard-change.ts'
import { type Pool, poolKey, type TenantShard } from '../../model/snapshot.ts'
import { BadLines, readJsonLines } from '../../peer/lines.ts'
import type { Received } from './staged.ts'
import type { ActivatedSet } from './staging.ts'

/** What a line says, and the line. */
export type KeptLine = ContentLine & { readonly text: string }

/** What was kept. */
export interface KeptSet {
  readonly position: Position
  readonly version: string
  readonly endpointsRevision: string
  readonly format: number
  /** Shards and pools, each with its line. */
  readonly received: readonly KeptLine[]
}

export interface LastGoodOptions {
  readonly folder: string
  readonly release: string
  readonly formats: readonly number[]
  /** SHA-256 in hexadecimal. */
  readonly digest: Digest
  /** What serves now: the journal is written anew from it. */
  readonly whole: () => { readonly shards: Iterable<TenantShard>; readonly pools: Iterable<Pool> }
  /** One sentence, when the set cannot be kept or read. */
  readonly warn: (message: string) => void
}

/** The end of an entry: what it removes, and what the set is then. */
interface Commit {
  readonly release: string
  readonly format: number
  readonly name: SetName
  readonly removedTenants: readonly string[]
  readonly removedPools: readonly string[]
  /** Digest of all the rest, so that half a commit is none. */
  readonly check: string
}

const FILE = 'last-good.ndjson'
/** The journal is written anew when it is so many times as long as what it says, and longer than this. Characters. */
const GROWTH = 2
const SMALL = 4 * 1024 * 1024
const PIECE = 262_144
/** Each change is applied again at the start, in the time of the whole shard. */
const MOST_CHANGES = 16

/** See the head of this file. */
export class LastGood {
  readonly #options: LastGoodOptions
  readonly #file: string
  /** Characters of the lines of the set, by kind and name. */
  readonly #sizes = { shard: new Map<string, number>(), pool: new Map<string, number>() }
  /** Characters of all of those, and of the journal. */
  #live = 0
  /** What the journal says of a tenant: the hash, and how many changes lead to it since the last whole shard. */
  readonly #written = new Map<string, { readonly hash: string; readonly changes: number }>()
  #length = 0
  #handle: FileHandle | undefined
  #writing: Promise<void> = Promise.resolve()
  #broken = true

  constructor(options: LastGoodOptions) {
    this.#options = options
    this.#file = join(options.folder, FILE)
  }

  /** What was kept, undefined where there is nothing that can be used. Never rejects. */
  async load(): Promise<KeptSet | undefined> {
    try {
      return await this.#read()
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) {
        this.#options.warn(`the last good set cannot be read: ${messageOf(error)}`)
      }
      return undefined
    }
  }

  /** Keeps what became active. Writes after the call returns, one after the other. */
  keep(set: ActivatedSet): void {
    this.#writing = this.#writing.then(() => this.#append(set)).catch((error: unknown) => this.#fail(error))
  }

  /** Resolves when everything is written. */
  async close(): Promise<void> {
    await this.#writing
    await this.#handle?.close()
    this.#handle = undefined
  }

  async #append({ name, format, received, removedTenants, removedPools }: ActivatedSet): Promise<void> {
    for (const tenant of removedTenants) {
      this.#size('shard', tenant, 0)
      this.#written.delete(tenant)
    }
    for (const key of removedPools) this.#size('pool', key, 0)
    const lines = received.map((line) => this.#lineOf(line))
    const commit = this.#commit({ release: this.#options.release, format, name, removedTenants, removedPools })
    const rewrite = this.#broken || (this.#length > SMALL && this.#length > GROWTH * this.#live)
    if (rewrite) await this.#rewrite(this.#commit({ ...commit, removedTenants: [], removedPools: [] }))
    else await this.#write([...lines, commitLine(commit)])
  }

  /** The line to write: a change where the journal has what it changes, else the whole. */
  #lineOf(line: Received): string {
    const [kind, name] = nameOf(line)
    if (kind === 'pool') {
      this.#size(kind, name, line.text.length + 1)
      return line.text
    }
    const { hash = undefined, changes = 0 } = this.#written.get(name) ?? {}
    if (line.base !== undefined && line.base === hash && changes < MOST_CHANGES) {
      this.#written.set(name, { hash: line.hash, changes: changes + 1 })
      return line.text
    }
    const text = line.base !== undefined && line.type === 'shard' ? shardLine(line.shard) : line.text
    this.#written.set(name, { hash: line.hash, changes: 0 })
    this.#size(kind, name, text.length + 1)
    return text
  }

  /** A new file takes the place of the old one only when it is whole. */
  async #rewrite(commit: Commit): Promise<void> {
    const { folder } = this.#options
    this.#broken = true
    await this.#handle?.close()
    this.#handle = undefined
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const temporary = `${this.#file}.new`
    await rm(temporary, { force: true })
    const handle = await open(temporary, 'wx', 0o600)
    this.#length = 0
    try {
      this.#handle = handle
      // As it is at this moment: what changes while it is written is appended afterwards.
      const { pools, shards } = this.#options.whole()
      const now = { pools: [...pools], shards: [...shards] }
      this.#live = 0
      this.#sizes.pool.clear()
      this.#sizes.shard.clear()
      this.#written.clear()
      for (const { tenant, hash } of now.shards) this.#written.set(tenant, { hash, changes: 0 })
      await this.#writeAll('pool', now.pools, ({ id }) => poolKey(id), poolLine)
      await this.#writeAll('shard', now.shards, ({ tenant }) => tenant, shardLine)
      await this.#write([commitLine(commit)])
      await rename(temporary, this.#file)
      this.#broken = false
    } catch (error) {
      this.#handle = undefined
      await handle.close()
      await rm(temporary, { force: true })
      throw error
    }
  }

  async #writeAll<Item>(
    kind: EntryKind,
    items: readonly Item[],
    nameOf: (item: Item) => string,
    lineOf: (item: Item) => string,
  ): Promise<void> {
    let lines: string[] = []
    let length = 0
    for (const item of items) {
      const line = lineOf(item)
      this.#size(kind, nameOf(item), line.length + 1)
      lines.push(line)
      length += line.length
      if (length < PIECE) continue
      await this.#write(lines)
      lines = []
      length = 0
    }
    await this.#write(lines)
  }

  async #write(lines: readonly string[]): Promise<void> {
    const handle = this.#handle
    if (handle === undefined) throw new Error('the file is not open')
    let piece = ''
    for (const [index, line] of lines.entries()) {
      piece += `${line}\n`
      if (piece.length < PIECE && index < lines.length - 1) continue
      await handle.appendFile(piece)
      this.#length += piece.length
      piece = ''
    }
  }

  /** Where writing failed, the file ends in something torn: the next set is written anew. */
  #fail(error: unknown): void {
    this.#broken = true
    this.#options.warn(`the last good set cannot be kept: ${messageOf(error)}`)
  }

  async #read(): Promise<KeptSet | undefined> {
    const { digest, release, formats } = this.#options
    const stream = createReadStream(this.#file, { highWaterMark: PIECE })
    const limits = { line: PUSH_LIMITS.line, total: PUSH_LIMITS.content }
    const received = { shard: new Map<string, ReadLine>(), pool: new Map<string, ReadLine>() }
    let pending: ReadLine[] = []
    let last: Commit | undefined
    try {
      for await (const { text, value } of readJsonLines(stream, limits)) {
        const { commit } = value as { readonly commit?: Commit }
        if (commit === undefined && isChange(value)) {
          const known = (tenant: string) => shardIn(received.shard.get(tenant))
          const applied = applyChange(value, known, digest)
          if (applied === undefined) throw new Error('a change of what is not there')
          const { tenant, hash } = applied.shard
          pending.push({ type: 'shard', tenant, hash, shard: applied.shard, text: undefined })
          continue
        }
        if (commit === undefined) {
          const read = readContentLine(value, digest)
          if (typeof read === 'string') throw new Error(read)
          pending.push({ ...read, text })
          continue
        }
        if (commit.check !== this.#checkOf(commit)) throw new Error('a commit that is damaged')
        if (commit.release !== release || !formats.includes(commit.format)) throw new Error('it is of another release')
        for (const tenant of commit.removedTenants) received.shard.delete(tenant)
        for (const key of commit.removedPools) received.pool.delete(key)
        for (const line of pending) {
          const [kind, name] = nameOf(line)
          received[kind].set(name, line)
        }
        pending = []
        last = commit
      }
    } catch (error) {
      // A crash cuts the end off, which is no reason to forget what was whole before it.
      if (last === undefined) throw error
      if (!(error instanceof BadLines)) this.#options.warn(`the newest part of the last good set: ${messageOf(error)}`)
    }
    if (last === undefined) return undefined
    const { fence, sequence, version, endpointsRevision } = last.name
    return {
      position: { fence, sequence },
      version,
      endpointsRevision,
      format: last.format,
      received: [...received.pool.values(), ...received.shard.values()].map(withText),
    }
  }

  #size(kind: EntryKind, name: string, size: number): void {
    const sizes = this.#sizes[kind]
    this.#live += size - (sizes.get(name) ?? 0)
    if (size === 0) sizes.delete(name)
    else sizes.set(name, size)
  }

  #commit(rest: Omit<Commit, 'check'>): Commit {
    return { ...rest, check: this.#checkOf(rest) }
  }

  #checkOf({ release, format, name, removedTenants, removedPools }: Omit<Commit, 'check'>): string {
    return this.#options.digest(canonicalText({ release, format, name, removedTenants, removedPools }))
  }
}

/** A line that was read, without its text where it was told as a change. */
type ReadLine = ContentLine & { readonly text: string | undefined }

function withText(line: ReadLine): KeptLine {
  if (line.text !== undefined) return { ...line, text: line.text }
  return { ...line, text: line.type === 'shard' ? shardLine(line.shard) : '' }
}

function shardIn(line: ContentLine | undefined): TenantShard | undefined {
  return line?.type === 'shard' ? line.shard : undefined
}

function nameOf(line: ContentLine): [EntryKind, string] {
  if (line.type === 'unknown') return [line.kind, line.name]
  return line.type === 'shard' ? ['shard', line.tenant] : ['pool', line.key]
}

function commitLine(commit: Commit): string {
  return JSON.stringify({ commit })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

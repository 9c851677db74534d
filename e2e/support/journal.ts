// Every set that was ever active in a dataplane pod, in order, from the journal that the pod keeps for a restart of its
// container. A set of which half was active has another root than it was announced with; time that goes back shows in
// fences and sequences. The tests that stop and kill the leader use it.
import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { EMPTY_ROOT, type EntryKind, RootHash } from '../../model/root-hash.ts'
import { type Pool, poolKey } from '../../model/snapshot.ts'
import { fileOf } from './processes.ts'

interface SetLine {
  readonly shard?: { readonly tenant: string; readonly hash: string }
  /** What changed since the shard with the hash `base`. */
  readonly change?: { readonly tenant: string; readonly base: string; readonly hash: string }
  readonly pool?: Pick<Pool, 'id' | 'hash'>
  readonly commit?: {
    readonly name: { readonly fence: number; readonly sequence: number; readonly root: string }
    readonly removedTenants: readonly string[]
    readonly removedPools: readonly string[]
  }
}

const PATH = '/tmp/state/last-good.ndjson'

/** See the head of this file. */
export class Journal {
  /** What was wrong, in words. */
  readonly problems: string[] = []
  readonly #pod: string
  readonly #path: string
  readonly #held = { shard: new Map<string, string>(), pool: new Map<string, string>() }
  #file = 0
  #offset = 0
  #rest = Buffer.alloc(0)
  #pending: { readonly kind: EntryKind; readonly name: string; readonly hash: string }[] = []
  #afterRewrite = true
  #sets = 0
  #fence = 0
  #sequence = 0

  /** Sets before this one is made do not count. @param pid the pod's process. */
  constructor(pod: string, pid: number) {
    this.#pod = pod
    this.#path = fileOf(pid, PATH)
    this.poll()
    this.#sets = 0
  }

  /** How many sets became active. */
  get sets(): number {
    return this.#sets
  }

  /** Under which term the present one was pushed. */
  get fence(): number {
    return this.#fence
  }

  get sequence(): number {
    return this.#sequence
  }

  /** Reads what came since. */
  poll(): void {
    const file = openSync(this.#path, 'r')
    try {
      const { ino } = fstatSync(file)
      if (ino !== this.#file) this.#beginAnew(ino)
      const buffer = Buffer.alloc(262_144)
      for (;;) {
        const length = readSync(file, buffer, 0, buffer.length, this.#offset)
        if (length === 0) break
        this.#offset += length
        this.#take(buffer.subarray(0, length))
      }
    } finally {
      closeSync(file)
    }
  }

  /** The pod writes its journal anew when it is long: first all that serves, then as before. */
  #beginAnew(ino: number): void {
    this.#file = ino
    this.#offset = 0
    this.#rest = Buffer.alloc(0)
    this.#pending = []
    this.#held.shard.clear()
    this.#held.pool.clear()
    this.#afterRewrite = true
  }

  #take(chunk: Buffer): void {
    let rest = Buffer.concat([this.#rest, chunk])
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      this.#line(JSON.parse(rest.subarray(0, end).toString()) as SetLine)
      rest = rest.subarray(end + 1)
    }
    this.#rest = Buffer.from(rest)
  }

  #line({ shard, change, pool, commit }: SetLine): void {
    if (change !== undefined) {
      if (this.#held.shard.get(change.tenant) !== change.base) this.#complain('a change of what is not there')
      this.#pending.push({ kind: 'shard', name: change.tenant, hash: change.hash })
    }
    if (shard !== undefined) this.#pending.push({ kind: 'shard', name: shard.tenant, hash: shard.hash })
    if (pool !== undefined) this.#pending.push({ kind: 'pool', name: poolKey(pool.id), hash: pool.hash })
    if (commit === undefined) return
    for (const tenant of commit.removedTenants) this.#held.shard.delete(tenant)
    for (const key of commit.removedPools) this.#held.pool.delete(key)
    for (const { kind, name, hash } of this.#pending) this.#held[kind].set(name, hash)
    this.#pending = []
    const { fence, sequence, root } = commit.name
    // What is written anew is newer than its commit, where a set became active meanwhile.
    if (!this.#afterRewrite) {
      this.#sets++
      if (this.#root() !== root) this.#complain(`a set that is not the one announced, at ${fence}/${sequence}`)
    }
    this.#afterRewrite = false
    if (fence < this.#fence || (fence === this.#fence && sequence < this.#sequence)) {
      this.#complain(`back from ${this.#fence}/${this.#sequence} to ${fence}/${sequence}`)
    }
    this.#fence = fence
    this.#sequence = sequence
  }

  #root(): string {
    const root = new RootHash((text) => createHash('sha256').update(text).digest('hex'), EMPTY_ROOT)
    for (const kind of ['shard', 'pool'] as const) {
      for (const [name, hash] of this.#held[kind]) root.put(kind, name, hash)
    }
    return root.toString()
  }

  #complain(what: string): void {
    this.problems.push(`${this.#pod}: ${what}`)
  }
}

// What one compile remembers for the next: everything it made, by identity of what it was made from. Pure; never changed
// once made, so any number of compiles may start from one result. Only compile.ts and its last passes look inside.
import type { Issue } from '../../model/issue.ts'
import type { LastGood } from '../../model/resources.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { Admission } from './admission.ts'
import type { TenantResult } from './compile-tenant.ts'
import type { CompileSettings, CrossEffect, ObjectResult } from './compile-types.ts'
import type { IndexTools } from './index-kind.ts'
import type { WorldIndex } from './indexed.ts'
import type { NamespaceVerdict } from './judge-namespace.ts'
import type { OrderedTable } from './ordered-table.ts'
import type { PodHolders } from './pod-holders.ts'
import type { RootHash } from './seal.ts'

/** The lists of a result, joined over all tenants and namespaces. */
export interface ResultLists {
  readonly issues: readonly Issue[]
  readonly objects: readonly ObjectResult[]
  readonly lastGood: readonly LastGood[]
  readonly crossEffects: readonly CrossEffect[]
}

/** What there is to remember. */
export interface Remembered {
  readonly settings: CompileSettings
  readonly tools: IndexTools
  readonly index: WorldIndex
  readonly admission: Admission
  readonly holders: PodHolders
  readonly tenants: OrderedTable<TenantResult>
  readonly verdicts: OrderedTable<NamespaceVerdict>
  /** Tenants that looked at a namespace of another. */
  readonly borrowers: ReadonlySet<string>
  readonly shardRoot: RootHash
  readonly poolRoot: RootHash
  readonly snapshot: Snapshot
  readonly lists: ResultLists
}

/** The memory of one compile. */
export class Memo implements Remembered {
  readonly settings: CompileSettings
  readonly tools: IndexTools
  readonly index: WorldIndex
  readonly admission: Admission
  readonly holders: PodHolders
  readonly tenants: OrderedTable<TenantResult>
  readonly verdicts: OrderedTable<NamespaceVerdict>
  readonly borrowers: ReadonlySet<string>
  readonly shardRoot: RootHash
  readonly poolRoot: RootHash
  readonly snapshot: Snapshot
  readonly lists: ResultLists

  constructor(made: Remembered) {
    this.settings = made.settings
    this.tools = made.tools
    this.index = made.index
    this.admission = made.admission
    this.holders = made.holders
    this.tenants = made.tenants
    this.verdicts = made.verdicts
    this.borrowers = made.borrowers
    this.shardRoot = made.shardRoot
    this.poolRoot = made.poolRoot
    this.snapshot = made.snapshot
    this.lists = made.lists
  }

  /** The memory in a result, where it was made with these very settings. */
  static of(previous: { readonly memo: unknown } | undefined, settings: CompileSettings): Memo | undefined {
    const memo = previous?.memo
    return memo instanceof Memo && memo.settings === settings ? memo : undefined
  }
}

// What one compile remembers for the next: everything it made, by identity of what it was made from. Pure; never changed
// once made, so any number of compiles may start from one result. Only compile.ts and collect-result.ts look inside.
import type { Snapshot } from '../../model/snapshot.ts'
import type { Admission } from './admission.ts'
import type { TenantResult } from './compile-tenant.ts'
import type { CompileSettings } from './compile-types.ts'
import type { IndexTools } from './index-kind.ts'
import type { WorldIndex } from './indexed.ts'
import type { NamespaceVerdict } from './judge-namespace.ts'
import type { PodHolders } from './pod-holders.ts'
import type { RootHash } from './seal.ts'

interface Made {
  readonly settings: CompileSettings
  readonly tools: IndexTools
  readonly index: WorldIndex
  readonly admission: Admission
  readonly holders: PodHolders
  readonly tenants: ReadonlyMap<string, TenantResult>
  readonly verdicts: ReadonlyMap<string, NamespaceVerdict>
  readonly shardRoot: RootHash
  readonly poolRoot: RootHash
  readonly snapshot: Snapshot
}

/** The memory of one compile. */
export class Memo implements Made {
  readonly settings: CompileSettings
  readonly tools: IndexTools
  readonly index: WorldIndex
  readonly admission: Admission
  readonly holders: PodHolders
  readonly tenants: ReadonlyMap<string, TenantResult>
  readonly verdicts: ReadonlyMap<string, NamespaceVerdict>
  readonly shardRoot: RootHash
  readonly poolRoot: RootHash
  readonly snapshot: Snapshot

  constructor(made: Made) {
    this.settings = made.settings
    this.tools = made.tools
    this.index = made.index
    this.admission = made.admission
    this.holders = made.holders
    this.tenants = made.tenants
    this.verdicts = made.verdicts
    this.shardRoot = made.shardRoot
    this.poolRoot = made.poolRoot
    this.snapshot = made.snapshot
  }

  /** The memory in a result, where it was made with these very settings. */
  static of(previous: { readonly memo: unknown } | undefined, settings: CompileSettings): Memo | undefined {
    const memo = previous?.memo
    return memo instanceof Memo && memo.settings === settings ? memo : undefined
  }
}

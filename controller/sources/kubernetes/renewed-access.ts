// Access that ends and is read anew: one reading at a time, shared by all who wait; a failed reading leaves the old one
// in use, because a token may be good for longer than its file can be read. in-cluster and kubeconfig use it.
import type { Access } from './access.ts'

/** What was read, and until when it may be used, in the milliseconds of `performance.now()`. */
export interface ReadAccess {
  readonly access: Access
  readonly until: number
}

/** Keeps access fresh. */
export class RenewedAccess {
  readonly #read: () => Promise<ReadAccess>
  #current: ReadAccess | undefined
  #reading: Promise<Access> | undefined

  constructor(read: () => Promise<ReadAccess>) {
    this.#read = read
  }

  /** The newest access. `refused` forces a reading where it is still the newest. Rejects where none was ever read. */
  async get(refused?: Access): Promise<Access> {
    const current = this.#current
    const fresh = current !== undefined && performance.now() < current.until && current.access !== refused
    if (fresh) return current.access
    this.#reading ??= this.#renew().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #renew(): Promise<Access> {
    try {
      this.#current = await this.#read()
    } catch (error) {
      if (this.#current === undefined) throw error
    }
    return this.#current.access
  }
}

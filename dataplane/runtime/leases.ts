// Requests that live long: tunnels, and answers that have streamed for 10 s. They let go of the program they started
// with and hold a lease instead, which activation ends when it takes away what they stand on. One registry per worker.
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { RouteId } from '../../model/snapshot.ts'

/** An exchange in flight, as activation sees it. */
export interface Lease extends LeasePlace {
  readonly tenant: string
  /** Canonical host that was asked for. */
  readonly leaseHost: string
  readonly route: RouteId
  /** Monotonic milliseconds. */
  readonly startedAt: number
  /** Lets go of the program; the exchange is long from now on. */
  settleIn(): void
  /**
   * Ends it: a close frame 1001 in a WebSocket tunnel, a cut where an answer has begun, else the answer `reason`, which
   * the log shows in any case.
   */
  endLease(reason: GatewayErrorCode): void
}

/**
 * A place in a list of leases, which each lease carries itself. Not a Set: V8 leaves a table that a Set has outgrown
 * pointing at the next one, so that once one of them is old, whatever was ever in flight is kept until the whole heap is
 * gone through, and every scavenge copies a fifth of what it finds (12 ms in place of 1).
 */
export class LeasePlace {
  list: LeaseList | undefined = undefined
  older: Lease | undefined = undefined
  younger: Lease | undefined = undefined
}

/** Leases in order of age. */
class LeaseList {
  size = 0
  oldest: Lease | undefined = undefined
  #youngest: Lease | undefined = undefined

  add(lease: Lease): void {
    const before = this.#youngest
    lease.list = this
    lease.older = before
    if (before === undefined) this.oldest = lease
    else before.younger = lease
    this.#youngest = lease
    this.size += 1
  }

  /** Whoever left points at nobody: see LeasePlace. */
  remove(lease: Lease): void {
    const { older, younger } = lease
    if (older === undefined) this.oldest = younger
    else older.younger = younger
    if (younger === undefined) this.#youngest = older
    else younger.older = older
    lease.list = undefined
    lease.older = undefined
    lease.younger = undefined
    this.size -= 1
  }

  /** Those that `concerns` holds for. */
  filter(concerns: (lease: Lease) => boolean): Lease[] {
    const found: Lease[] = []
    for (let lease = this.oldest; lease !== undefined; lease = lease.younger) if (concerns(lease)) found.push(lease)
    return found
  }
}

/** An exchange becomes long after this many milliseconds. */
const LONG_AFTER = 10_000
/** Those that were short when their tenant lost something are looked at again this much later; promised are 30 s. */
const SECOND_LOOK = 20_000
const SWEEP_EVERY = 1_000

/** All exchanges of one worker. */
export class LeaseRegistry {
  readonly #young = new LeaseList()
  readonly #long = new LeaseList()
  readonly #now: () => number
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #sweep: NodeJS.Timeout

  /** @param now the monotonic clock that exchanges are stamped with. */
  constructor(now: () => number) {
    this.#now = now
    this.#sweep = setInterval(() => this.#settleOld(), SWEEP_EVERY)
    this.#sweep.unref()
  }

  /** Requests in flight. */
  get size(): number {
    return this.#young.size + this.#long.size
  }

  /** Of them, those that hold a lease. */
  get long(): number {
    return this.#long.size
  }

  open(lease: Lease): void {
    this.#young.add(lease)
  }

  /** At once, without waiting for its age: a tunnel stands. */
  lengthen(lease: Lease): void {
    if (lease.list !== this.#young) return
    this.#young.remove(lease)
    this.#long.add(lease)
    lease.settleIn()
  }

  close(lease: Lease): void {
    lease.list?.remove(lease)
  }

  /**
   * Ends a tenant's long exchanges that `concerns` holds for; the short ones get 20 s to end by themselves. Returns how
   * many were ended at once.
   */
  end(tenant: string, concerns: (lease: Lease) => boolean, reason: GatewayErrorCode): number {
    const concerned = (lease: Lease) => lease.tenant === tenant && concerns(lease)
    const long = this.#long.filter(concerned)
    for (const lease of long) lease.endLease(reason)
    const waiting = this.#young.filter(concerned)
    if (waiting.length > 0) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        for (const lease of waiting) if (lease.list !== undefined) lease.endLease(reason)
      }, SECOND_LOOK)
      timer.unref()
      this.#timers.add(timer)
    }
    return long.length
  }

  /** Ends everything that is in flight: the deadline of a drain has passed. */
  endEvery(): void {
    for (const list of [this.#long, this.#young])
      for (const lease of list.filter(() => true)) lease.endLease('Draining')
  }

  /** Stops the timers. */
  stop(): void {
    clearInterval(this.#sweep)
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }

  #settleOld(): void {
    const before = this.#now() - LONG_AFTER
    for (let lease = this.#young.oldest; lease !== undefined; lease = this.#young.oldest) {
      if (lease.startedAt > before) return
      this.lengthen(lease)
    }
  }
}

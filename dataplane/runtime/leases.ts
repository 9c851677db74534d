// Requests that live long: tunnels, and answers that have streamed for 10 s. They let go of the program they started
// with and hold a lease instead, which activation ends when it takes away what they stand on. One registry per worker.
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { RouteId } from '../../model/snapshot.ts'

/** An exchange in flight, as activation sees it. */
export interface Lease {
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

/** An exchange becomes long after this many milliseconds. */
const LONG_AFTER = 10_000
/** Those that were short when their tenant lost something are looked at again this much later; promised are 30 s. */
const SECOND_LOOK = 20_000
const SWEEP_EVERY = 1_000

/** All exchanges of one worker. */
export class LeaseRegistry {
  // Insertion order is order of age, so a sweep stops at the first one that is young.
  readonly #young = new Set<Lease>()
  readonly #long = new Set<Lease>()
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
    if (!this.#young.delete(lease)) return
    this.#long.add(lease)
    lease.settleIn()
  }

  close(lease: Lease): void {
    if (!this.#young.delete(lease)) this.#long.delete(lease)
  }

  /**
   * Ends a tenant's long exchanges that `concerns` holds for; the short ones get 20 s to end by themselves. Returns how
   * many were ended at once.
   */
  end(tenant: string, concerns: (lease: Lease) => boolean, reason: GatewayErrorCode): number {
    const long = [...this.#long].filter((lease) => lease.tenant === tenant && concerns(lease))
    for (const lease of long) lease.endLease(reason)
    const waiting = new Set([...this.#young].filter((lease) => lease.tenant === tenant && concerns(lease)))
    if (waiting.size > 0) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        for (const lease of waiting) if (this.#young.has(lease) || this.#long.has(lease)) lease.endLease(reason)
      }, SECOND_LOOK)
      timer.unref()
      this.#timers.add(timer)
    }
    return long.length
  }

  /** Ends everything that is in flight: the deadline of a drain has passed. */
  endEvery(): void {
    for (const lease of [...this.#long, ...this.#young]) lease.endLease('Draining')
  }

  /** Stops the timers. */
  stop(): void {
    clearInterval(this.#sweep)
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }

  #settleOld(): void {
    const before = this.#now() - LONG_AFTER
    for (const lease of this.#young) {
      if (lease.startedAt > before) return
      this.lengthen(lease)
    }
  }
}

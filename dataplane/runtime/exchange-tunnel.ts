// Two directions of bytes after 101, joined: backpressure, half close, an idle limit, and a polite end. exchange.ts
// makes one pair for each upgraded request; it ends when either side is gone.
import type { Tunnel } from './carrier.ts'
import { FrameBoundary, GOING_AWAY } from './websocket-frames.ts'

/** What a pair tells its exchange. */
export interface TunnelOwner {
  /** Bytes that went through, for the log. */
  onTunnelBytes(fromClient: number, fromBackend: number): void
  /** Once, when both sides are gone. */
  onTunnelClosed(): void
  fault(error: unknown): void
}

/** A close frame is on its way: this long the client has to answer it. */
const GOODBYE_TIME = 1_000

/** One side has ended: this long without a byte the other may take to end too. A client that left says no more. */
const HALF_CLOSED_TIME = 10_000

/** See the head of this file. */
export class TunnelPair {
  readonly #owner: TunnelOwner
  readonly #client: Tunnel
  readonly #backend: Tunnel
  readonly #frames = new FrameBoundary()
  #idleAfter: number
  #lastByteAt: number
  readonly #now: () => number
  #timer: NodeJS.Timeout
  /** Sides that are neither gone nor cut by us. A side that was cut need not tell that it is gone. */
  readonly #open: Set<Tunnel>
  #leaving = false
  #closed = false

  /** @param idleAfter milliseconds without a byte either way after which both ends are closed. */
  constructor(owner: TunnelOwner, client: Tunnel, backend: Tunnel, idleAfter: number, now: () => number) {
    this.#owner = owner
    this.#client = client
    this.#backend = backend
    this.#open = new Set([client, backend])
    this.#idleAfter = idleAfter
    this.#now = now
    this.#lastByteAt = now()
    this.#timer = setTimeout(() => this.#checkIdle(), idleAfter)
    backend.listen(this.#from(backend, client, (chunk) => this.#onBackendBytes(chunk)))
    client.listen(this.#from(client, backend, (chunk) => this.#onClientBytes(chunk)))
  }

  /** Tells a WebSocket client that we go away, between two frames if one stands open nowhere, and ends both sides. */
  goAway(): void {
    if (this.#leaving || this.#closed) return
    this.#leaving = true
    this.#cut(this.#backend)
    if (!this.#frames.between) {
      this.#cut(this.#client)
      return
    }
    this.#client.write(GOING_AWAY)
    this.#client.end()
    this.#cutLater(this.#client)
  }

  /** Cuts both sides. */
  destroy(): void {
    this.#cut(this.#client)
    this.#cut(this.#backend)
  }

  #from(source: Tunnel, target: Tunnel, count: (chunk: Uint8Array) => void): Parameters<Tunnel['listen']>[0] {
    return {
      onChunk: (chunk) => {
        try {
          if (this.#leaving) return
          count(chunk)
          if (!target.write(chunk)) source.pause()
        } catch (error) {
          this.#owner.fault(error)
        }
      },
      onEnd: () => {
        if (this.#leaving) return
        target.end()
        if (this.#idleAfter <= HALF_CLOSED_TIME) return
        this.#idleAfter = HALF_CLOSED_TIME
        clearTimeout(this.#timer)
        this.#checkIdle()
      },
      // Room at this side lets the other one go on.
      onDrain: () => {
        target.resume()
      },
      onClose: () => {
        // A side that is gone takes the other with it; what was written before the close has been handed over.
        if (!this.#leaving) target.end()
        this.#gone(source)
        // The rest of what the closed side sent gets a moment to flow out, then nothing holds the other side open.
        if (this.#open.has(target) && !this.#leaving) this.#cutLater(target)
      },
    }
  }

  #onClientBytes(chunk: Uint8Array): void {
    this.#lastByteAt = this.#now()
    this.#owner.onTunnelBytes(chunk.length, 0)
  }

  #onBackendBytes(chunk: Uint8Array): void {
    this.#lastByteAt = this.#now()
    this.#frames.push(chunk)
    this.#owner.onTunnelBytes(0, chunk.length)
  }

  #cut(side: Tunnel): void {
    side.destroy()
    this.#gone(side)
  }

  #cutLater(side: Tunnel): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#cut(side), GOODBYE_TIME)
  }

  /** Called for each side at least once. */
  #gone(side: Tunnel): void {
    this.#open.delete(side)
    if (this.#open.size > 0 || this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    this.#owner.onTunnelClosed()
  }

  #checkIdle(): void {
    const quiet = this.#now() - this.#lastByteAt
    if (quiet >= this.#idleAfter) {
      this.goAway()
      return
    }
    this.#timer = setTimeout(() => this.#checkIdle(), this.#idleAfter - quiet)
  }
}

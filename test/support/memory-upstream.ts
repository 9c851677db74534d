// An EndpointClient without a backend: each request to it becomes an UpstreamScript that the test answers, fails or
// leaves alone. Used by the exchange's and the carriers' tests; remembers what it was sent.
import type { Tunnel } from '../../dataplane/runtime/carrier.ts'
import type {
  AttemptTimeouts,
  EndpointClient,
  UpstreamCall,
  UpstreamEvents,
  UpstreamFailure,
  UpstreamRequest,
} from '../../dataplane/runtime/upstream.ts'

type Flat = readonly string[]

/** One attempt, from the backend's side. */
export class UpstreamScript implements UpstreamCall {
  readonly request: UpstreamRequest
  readonly timeouts: AttemptTimeouts
  /** The body so far, latin1. */
  body = ''
  bodyEnded = false
  trailers: Flat = []
  aborted = false
  /** What `write` says: false until `drain`. */
  room = true
  /** The gateway asked to hold. */
  held = false
  resumed = 0
  readonly #events: UpstreamEvents
  readonly #changed: () => void

  constructor(request: UpstreamRequest, timeouts: AttemptTimeouts, events: UpstreamEvents, changed: () => void) {
    this.request = request
    this.timeouts = timeouts
    this.#events = events
    this.#changed = changed
  }

  write(chunk: Uint8Array): boolean {
    this.body += Buffer.from(chunk).toString('latin1')
    this.#changed()
    return this.room
  }

  end(trailers: Flat): void {
    this.bodyEnded = true
    this.trailers = trailers
    this.#changed()
  }

  resume(): void {
    this.held = false
    this.resumed += 1
    this.#changed()
  }

  abort(): void {
    this.aborted = true
    this.#changed()
  }

  /** A whole answer. */
  answer(status: number, fields: Flat = [], body = ''): void {
    this.head(status, fields, body.length)
    if (body !== '') this.chunk(body)
    this.finish()
  }

  interim(status: number, fields: Flat = []): void {
    this.#events.onInterim(status, fields)
  }

  head(status: number, fields: Flat, length: number | null): void {
    this.#events.onHead(status, fields, length)
  }

  /** Returns what the gateway says: false to hold. The view is spoilt afterwards. */
  chunk(text: string | Uint8Array): boolean {
    const view = typeof text === 'string' ? Uint8Array.from(Buffer.from(text, 'latin1')) : Uint8Array.from(text)
    const room = this.#events.onChunk(view)
    view.fill(0x21)
    this.held = !room
    return room
  }

  finish(trailers: Flat = []): void {
    this.#events.onEnd(trailers)
  }

  tunnel(fields: Flat, tunnel: Tunnel): void {
    this.#events.onTunnel(fields, tunnel)
  }

  drain(): void {
    this.room = true
    this.#events.onDrain()
  }

  fail(failure: Partial<UpstreamFailure> = {}): void {
    this.#events.onFailure({
      code: 'UpstreamReset',
      cause: 'ECONNRESET',
      nothingSent: false,
      reused: false,
      answered: false,
      ...failure,
    })
  }
}

/** An endpoint that a test plays. */
export class MemoryUpstream implements EndpointClient {
  readonly scripts: UpstreamScript[] = []
  readonly idle = 0
  readonly busy = 0
  /** Called at once with each attempt; without it the test takes them by `next`. */
  onAttempt: ((script: UpstreamScript) => void) | undefined
  #taken = 0
  #waiting: (() => void)[] = []

  send(request: UpstreamRequest, timeouts: AttemptTimeouts, events: UpstreamEvents): UpstreamCall {
    const script = new UpstreamScript(request, timeouts, events, () => this.#changed())
    this.scripts.push(script)
    if (this.onAttempt !== undefined) {
      const answer = this.onAttempt
      queueMicrotask(() => answer(script))
    }
    this.#changed()
    return script
  }

  close(): void {}

  /** The next attempt that no earlier `next` gave. */
  async next(): Promise<UpstreamScript> {
    await this.until(() => this.scripts.length > this.#taken)
    const script = this.scripts[this.#taken]
    if (script === undefined) throw new Error('no attempt')
    this.#taken += 1
    return script
  }

  /** Waits until something that the gateway does makes `holds` true. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  #changed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** A backend's end of a tunnel. */
export class UpstreamTunnel implements Tunnel {
  /** What the gateway sent, latin1. */
  received = ''
  ended = false
  destroyed = false
  paused = false
  #events: Parameters<Tunnel['listen']>[0] | undefined
  #waiting: (() => void)[] = []

  listen(events: Parameters<Tunnel['listen']>[0]): void {
    this.#events = events
  }

  write(chunk: Uint8Array): boolean {
    this.received += Buffer.from(chunk).toString('latin1')
    this.#changed()
    return true
  }

  end(): void {
    this.ended = true
    this.#changed()
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    queueMicrotask(() => this.#events?.onClose())
    this.#changed()
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.#changed()
  }

  send(text: string): void {
    this.#events?.onChunk(Buffer.from(text, 'latin1'))
  }

  /** Ends its side, and closes. */
  finish(): void {
    this.#events?.onEnd()
    this.#events?.onClose()
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  #changed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

// The request body on its way: counted against the tenant's limit, shown to the chunk hooks, kept for a repeat as long
// as nothing of it was sent, written to the attempt that runs. One for each exchange; exchange.ts owns it.
import type { GatewayAnswer } from '../../model/gateway-error.ts'
import type { ChunkResult } from '../../model/filter.ts'
import type { BodyReader, ClientStream } from './carrier.ts'
import { passingTrailers } from './field-rules.ts'
import type { UpstreamCall } from './upstream.ts'

/** Bytes kept for another endpoint. An attempt that took more without holding back has a connection. */
const MOST_KEPT = 65_536

/** What a body needs of its exchange. */
export interface BodyOwner {
  /** Runs the chunk hooks. */
  showRequestChunk(chunk: Uint8Array): ChunkResult
  /** The body may not go on: answer if nothing was answered yet, else cut. */
  stopWith(answer: GatewayAnswer): void
  fault(error: unknown): void
}

const TOO_LARGE: GatewayAnswer = { code: 'BodyTooLarge', decidedBy: 'limits.bodySize' }

/** See the head of this file. */
export class RequestBody implements BodyReader {
  /** Bytes that came from the client. */
  received = 0
  readonly #owner: BodyOwner
  readonly #stream: ClientStream
  readonly #limit: number
  readonly #announced: readonly string[]
  #call: UpstreamCall | undefined
  #kept: Uint8Array[] | undefined = []
  #keptBytes = 0
  #reading = false
  #held = false
  #complete: boolean
  #trailers: readonly string[] = []
  #stopped = false

  /** @param limit bytes; @param announced values of the request's Trailer fields. */
  constructor(owner: BodyOwner, stream: ClientStream, limit: number, announced: readonly string[]) {
    this.#owner = owner
    this.#stream = stream
    this.#limit = limit
    this.#announced = announced
    this.#complete = stream.bodyLength === 0
  }

  /** Everything has come from the client. */
  get complete(): boolean {
    return this.#complete
  }

  /** Another attempt would get the whole body. */
  get repeatable(): boolean {
    return this.#kept !== undefined
  }

  /** Begins to read; with `Expect`, the client sends only now. Later calls do nothing. */
  read(): void {
    if (this.#reading || this.#stopped) return
    this.#reading = true
    if (this.#stream.expectsContinue) this.#stream.continue()
    if (!this.#complete) this.#stream.readBody(this)
  }

  /** A new attempt runs: it gets what has come so far. */
  attach(call: UpstreamCall): void {
    this.#call = call
    let room = true
    for (const chunk of this.#kept ?? []) room = call.write(chunk)
    if (this.#complete) call.end(this.#trailers)
    else if (this.#held && room) this.resume()
  }

  /** The attempt is over; until the next one, what comes is kept. */
  detach(): void {
    this.#call = undefined
  }

  /** An answer has begun, so nothing will be sent a second time. */
  settle(): void {
    this.#kept = undefined
  }

  /** Room again. */
  resume(): void {
    if (!this.#held || this.#stopped) return
    if (this.#keptBytes > MOST_KEPT) this.#kept = undefined
    this.#held = false
    this.#stream.resumeBody()
  }

  /** Whatever comes from now on is dropped. */
  stop(): void {
    this.#stopped = true
    this.#call = undefined
    this.#kept = undefined
    if (this.#held) {
      this.#held = false
      this.#stream.resumeBody()
    }
  }

  onChunk(chunk: Uint8Array): boolean {
    if (this.#stopped) return true
    this.received += chunk.length
    try {
      if (this.received > this.#limit) {
        this.#owner.stopWith(TOO_LARGE)
        return true
      }
      const shown = this.#owner.showRequestChunk(chunk)
      if (shown === undefined) return this.#pass(chunk)
      if (shown instanceof Uint8Array) return this.#pass(shown)
      this.#owner.stopWith(shown)
    } catch (error) {
      this.#owner.fault(error)
    }
    return true
  }

  onEnd(trailers: readonly string[]): void {
    this.#complete = true
    if (this.#stopped) return
    try {
      this.#trailers = passingTrailers(trailers, this.#announced)
      this.#call?.end(this.#trailers)
    } catch (error) {
      this.#owner.fault(error)
    }
  }

  #pass(chunk: Uint8Array): boolean {
    if (chunk.length === 0) return true
    if (this.#kept !== undefined) {
      this.#kept.push(Uint8Array.from(chunk))
      this.#keptBytes += chunk.length
    }
    // Between two attempts there is nobody to write to: the client waits once the kept part is full.
    const room = this.#call === undefined ? this.#keptBytes < MOST_KEPT : this.#call.write(chunk)
    if (room) {
      if (this.#call !== undefined && this.#keptBytes > MOST_KEPT) this.#kept = undefined
      return true
    }
    this.#held = true
    return false
  }
}

// One attempt as the exchange holds it: a thin handle that goes dead when the attempt is over, so that nothing late can
// reach a connection that serves someone else by then. connection.ts makes and ends it.
import type { AttemptTimeouts, UpstreamCall, UpstreamEvents, UpstreamRequest } from '../runtime/upstream.ts'
import type { RequestBody } from './request-body.ts'

/** What carries an attempt. */
export interface AttemptCarrier {
  write(attempt: Attempt, chunk: Uint8Array): boolean
  end(attempt: Attempt, trailers: readonly string[]): void
  resume(): void
  abort(): void
}

/** Every method does nothing once the attempt is over. */
export class Attempt implements UpstreamCall {
  connection: AttemptCarrier | undefined
  readonly request: UpstreamRequest
  readonly timeouts: AttemptTimeouts
  readonly events: UpstreamEvents
  readonly body: RequestBody
  answered = false
  /** The final head came. */
  headSeen = false
  /** The final head came before the request was fully written. */
  early = false

  constructor(
    connection: AttemptCarrier,
    request: UpstreamRequest,
    timeouts: AttemptTimeouts,
    events: UpstreamEvents,
    body: RequestBody,
  ) {
    this.connection = connection
    this.request = request
    this.timeouts = timeouts
    this.events = events
    this.body = body
  }

  write(chunk: Uint8Array): boolean {
    return this.connection === undefined ? true : this.connection.write(this, chunk)
  }

  end(trailers: readonly string[]): void {
    this.connection?.end(this, trailers)
  }

  resume(): void {
    this.connection?.resume()
  }

  abort(): void {
    this.connection?.abort()
  }
}

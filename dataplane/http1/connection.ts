// One connection to an endpoint: its socket, the attempt that runs on it, its deadlines, and the proof that it is clean
// before it is used again. client.ts owns the pool. The rule for reuse: request fully written before the final head,
// answer fully read by unambiguous framing, no byte left over, no tunnel asked for, no user bound to the connection.
import type {
  AttemptTimeouts,
  UpstreamCall,
  UpstreamErrorCode,
  UpstreamEvents,
  UpstreamRequest,
} from '../runtime/upstream.ts'
import { Attempt, type AttemptCarrier } from './attempt.ts'
import { Deadline } from './deadline.ts'
import { RequestBody } from './request-body.ts'
import { bodyIsDefined } from './request-writer.ts'
import type { ResponseHead } from './response-head.ts'
import { ResponseParser, type ResponseSink } from './response-parser.ts'
import { type SocketListener, type TransferMemory, UpstreamSocket } from './socket.ts'
import { SocketTunnel } from './tunnel.ts'
import { acceptsWebsocket } from './websocket.ts'

/** RFC 9110 section 10.1.1: how long a body waits for a 100 that may never come. */
const CONTINUE_WAIT_MS = 1000
/** How long an answer is looked for after a write failed; what the backend sent before it closed is here already. */
const AFTER_WRITE_FAILURE_MS = 5000

/** What a connection needs to know of its pool, and tells it. */
export interface ConnectionOwner {
  readonly memory: TransferMemory
  /** Milliseconds without a request before an idle connection is closed. */
  readonly idleTimeout: number
  /** Milliseconds after which a connection takes no further request. */
  readonly maxAge: number
  /** Monotonic milliseconds. */
  now(): number
  /** A clean connection is free. False: the pool does not want it. */
  keep(connection: Connection): boolean
  /** A connection that had been kept was lost before any answer. */
  lost(): void
  /** The connection will never be free again. Once for each connection. */
  gone(connection: Connection): void
}

/** A connection from its first SYN to its close. */
export class Connection implements AttemptCarrier, SocketListener, ResponseSink {
  /** Since when no attempt runs on it. */
  idleSince = 0
  readonly #owner: ConnectionOwner
  readonly #socket: UpstreamSocket
  readonly #parser: ResponseParser
  readonly #createdAt: number
  #connected = false
  #destroyed = false
  /** Attempts that ended well on it. */
  #served = 0
  #attempt: Attempt | undefined = undefined
  #tunnel: SocketTunnel | undefined = undefined
  #idleLimit: number
  /** Latest byte in either direction, or the start of the present phase. */
  #activeAt: number
  /** The exchange wants no more for now. */
  #paused = false
  /** node:net was told to stop reading. */
  #readStopped = false
  readonly #deadline: Deadline

  constructor(owner: ConnectionOwner, address: string, port: number) {
    this.#owner = owner
    this.#idleLimit = owner.idleTimeout
    this.#createdAt = owner.now()
    this.#activeAt = this.#createdAt
    this.#parser = new ResponseParser(this)
    this.#deadline = new Deadline(
      () => owner.now(),
      (now) => this.#due(now),
      () => this.#expire(),
    )
    this.#socket = new UpstreamSocket(owner.memory, this)
    // The address is a literal: no name is looked up, and one family only is tried.
    this.#socket.connect({ host: address, port, autoSelectFamily: false })
  }

  /** Whether an attempt may begin, asked at the moment of use. */
  usable(now: number): boolean {
    return !this.#destroyed && !this.#socket.destroyed && this.#idleDue() > now
  }

  /** Starts an attempt. Throws TypeError where the head cannot be written; the connection is untouched then. */
  begin(request: UpstreamRequest, timeouts: AttemptTimeouts, events: UpstreamEvents): UpstreamCall {
    const body = new RequestBody(request, this.#owner.memory)
    const attempt = new Attempt(this, request, timeouts, events, body)
    this.#attempt = attempt
    this.#activeAt = this.#owner.now()
    this.#socket.sent = false
    this.#parser.begin(request.method === 'HEAD')
    if (this.#connected) body.start(this.#socket)
    this.#deadline.look(this.#activeAt)
    return attempt
  }

  write(attempt: Attempt, chunk: Uint8Array): boolean {
    const room = attempt.body.write(chunk)
    if (!attempt.body.awaitsContinue) this.#activeAt = this.#owner.now()
    if (attempt.body.broken) this.#failLater()
    // A write that failed shortens the wait.
    else if (!room) this.#deadline.look(this.#activeAt)
    return room
  }

  end(attempt: Attempt, trailers: readonly string[]): void {
    attempt.body.end(trailers)
    if (!attempt.body.awaitsContinue) this.#activeAt = this.#owner.now()
    if (attempt.body.broken) this.#failLater()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#activeAt = this.#owner.now()
    if (!this.#readStopped) return
    this.#readStopped = false
    this.#socket.resume()
  }

  abort(): void {
    this.#detach()
    this.destroy()
  }

  /** Ends the connection now. The attempt on it, if any, must have been told. */
  destroy(): void {
    if (this.#destroyed) return
    this.#destroyed = true
    this.#parser.stop()
    this.#deadline.clear()
    this.#socket.destroy()
    this.#owner.gone(this)
  }

  onConnect(): void {
    if (this.#destroyed) return
    this.#connected = true
    this.#activeAt = this.#owner.now()
    const attempt = this.#attempt
    if (attempt === undefined) return
    attempt.body.start(this.#socket)
    this.#tellRoom(attempt)
    this.#deadline.look(this.#activeAt)
  }

  onData(length: number, buffer: Buffer): boolean {
    if (this.#destroyed) return false
    if (this.#tunnel !== undefined) return this.#tunnel.receive(buffer.subarray(0, length))
    const attempt = this.#attempt
    // A byte that nobody asked for: the next answer on this connection would be the wrong one.
    if (attempt === undefined) {
      this.destroy()
      return false
    }
    if (!attempt.body.headWritten) {
      this.#fail('UpstreamProtocolError', 'bytes before the request')
      return false
    }
    attempt.answered = true
    // Before the head, bytes do not move the deadline: a head that drips must not last for ever.
    if (attempt.headSeen) this.#activeAt = this.#owner.now()
    const position = this.#parser.feed(buffer, 0, length)
    switch (this.#parser.state) {
      case 'complete':
        this.#complete(position < length)
        break
      case 'switched':
        this.#switch(attempt, buffer.subarray(position, length))
        break
      case 'failed':
        this.#fail('UpstreamProtocolError', this.#parser.problem ?? '')
        break
      default:
    }
    this.#readStopped = this.#paused
    return !this.#paused
  }

  onEnd(): void {
    if (this.#tunnel !== undefined) this.#tunnel.receiveEnd()
    else if (this.#attempt === undefined) this.destroy()
    else if (this.#parser.finish()) this.#complete(false)
    else this.#fail('UpstreamReset', 'connection ended')
  }

  onDrain(): void {
    this.#activeAt = this.#owner.now()
    if (this.#tunnel !== undefined) this.#tunnel.receiveDrain()
    else if (this.#attempt !== undefined) this.#tellRoom(this.#attempt)
  }

  onClose(code: string): void {
    if (this.#attempt !== undefined) {
      if (this.#connected) this.#fail('UpstreamReset', code === '' ? 'connection closed' : code)
      else this.#fail('UpstreamConnectFailed', code)
    }
    this.destroy()
    this.#tunnel?.receiveClose()
  }

  onInterim(head: ResponseHead): void {
    const attempt = this.#attempt
    if (attempt === undefined) return
    if (head.status === 100 && attempt.body.awaitsContinue) {
      this.#activeAt = this.#owner.now()
      attempt.body.release()
    }
    attempt.events.onInterim(head.status, head.fields)
    if (head.status === 100 && this.#attempt === attempt) this.#tellRoom(attempt)
  }

  onHead(head: ResponseHead, length: number | null): void {
    const attempt = this.#attempt
    if (attempt === undefined) return
    attempt.headSeen = true
    attempt.early = !attempt.body.finished
    // RFC 9110 section 10.1.1: a final answer instead of a 100 means that the body is not wanted.
    if (attempt.body.awaitsContinue) attempt.body.discard()
    this.#activeAt = this.#owner.now()
    this.#deadline.look(this.#activeAt)
    attempt.events.onHead(head.status, head.fields, length)
  }

  onChunk(chunk: Uint8Array): void {
    if (this.#attempt?.events.onChunk(chunk) === false) this.#paused = true
  }

  #complete(leftover: boolean): void {
    const attempt = this.#detach()
    if (attempt === undefined) return
    const { trailers } = this.#parser
    if (leftover || !this.#clean(attempt) || !this.#rest()) this.destroy()
    attempt.events.onEnd(trailers)
  }

  /** Whether nothing of this attempt can be seen by the next one. */
  #clean(attempt: Attempt): boolean {
    const { head } = this.#parser
    return (
      head !== undefined &&
      !head.close &&
      !this.#parser.untilClose &&
      !attempt.early &&
      !attempt.request.websocket &&
      !attempt.body.head.bindsConnection &&
      bodyIsDefined(attempt.request) &&
      this.#socket.writableLength === 0 &&
      !this.#socket.writeFailed
    )
  }

  /** Back to the pool, where the pool wants it. */
  #rest(): boolean {
    const seconds = this.#parser.head?.keepAliveSeconds
    if (seconds !== undefined) {
      // Before the backend's own deadline, so that the two sides never close and send at the same moment.
      this.#idleLimit = Math.min(this.#owner.idleTimeout, Math.max(seconds * 1000 - 1000, seconds * 500))
    }
    const now = this.#owner.now()
    this.#served++
    this.idleSince = now
    this.#paused = false
    if (!this.usable(now) || !this.#owner.keep(this)) return false
    this.#deadline.look(now)
    return true
  }

  /** 101: only as the answer to the handshake that was asked for (RFC 6455 section 4.1). */
  #switch(attempt: Attempt, rest: Buffer): void {
    const { head } = this.#parser
    if (head === undefined || !attempt.request.websocket || !acceptsWebsocket(head, attempt.body.head.websocketKey)) {
      this.#fail('UpstreamProtocolError', 'switched protocols without being asked')
      return
    }
    this.#detach()
    this.#deadline.clear()
    const tunnel = new SocketTunnel(this.#socket, this.#owner.memory)
    this.#tunnel = tunnel
    attempt.events.onTunnel(head.fields, tunnel)
    this.#paused = rest.length > 0 && !this.#destroyed ? !tunnel.receive(rest) : false
  }

  #tellRoom(attempt: Attempt): void {
    if (!attempt.body.wantsDrain || this.#socket.writeFailed || this.#socket.writableNeedDrain) return
    if (attempt.body.awaitsContinue || !this.#connected) return
    attempt.body.wantsDrain = false
    attempt.events.onDrain()
  }

  #detach(): Attempt | undefined {
    const attempt = this.#attempt
    if (attempt === undefined) return undefined
    this.#attempt = undefined
    attempt.connection = undefined
    attempt.body.discard()
    return attempt
  }

  #fail(code: UpstreamErrorCode, cause: string): void {
    const attempt = this.#detach()
    const nothingSent = !this.#socket.sent
    const reused = this.#served > 0
    this.destroy()
    if (attempt === undefined) return
    // Whatever closed this one has closed its neighbours too: what is tried next gets a fresh one.
    if (reused && code === 'UpstreamReset' && !attempt.answered) this.#owner.lost()
    attempt.events.onFailure({ code, cause, nothingSent, reused, answered: attempt.answered })
  }

  /** The caller broke its own declared length. Told later, because nobody is called back from inside a call. */
  #failLater(): void {
    const attempt = this.#detach()
    const nothingSent = !this.#socket.sent
    const reused = this.#served > 0
    this.destroy()
    if (attempt === undefined) return
    process.nextTick(() => {
      const cause = 'request body does not have its declared length'
      attempt.events.onFailure({
        code: 'UpstreamProtocolError',
        cause,
        nothingSent,
        reused,
        answered: attempt.answered,
      })
    })
  }

  /** When the present phase ends for lack of progress. */
  #due(now: number): number {
    const attempt = this.#attempt
    if (this.#destroyed || this.#tunnel !== undefined) return Number.POSITIVE_INFINITY
    if (attempt === undefined) return this.#idleDue()
    const { timeouts, body } = attempt
    if (!this.#connected) return this.#createdAt + timeouts.connect
    if (attempt.headSeen) return (this.#paused ? now : this.#activeAt) + timeouts.idle
    if (this.#socket.writeFailed) return this.#activeAt + Math.min(timeouts.firstByte, AFTER_WRITE_FAILURE_MS)
    if (body.awaitsContinue) return this.#activeAt + Math.min(CONTINUE_WAIT_MS, timeouts.firstByte)
    // Between two chunks of a slow client the backend owes nothing.
    const waitsForClient = !body.finished && this.#socket.writableLength === 0
    return (waitsForClient ? now : this.#activeAt) + timeouts.firstByte
  }

  #idleDue(): number {
    return Math.min(this.idleSince + this.#idleLimit, this.#createdAt + this.#owner.maxAge)
  }

  #expire(): void {
    const attempt = this.#attempt
    if (attempt === undefined) this.destroy()
    else if (!this.#connected) this.#fail('UpstreamConnectFailed', 'connect timeout')
    else if (attempt.headSeen) this.#fail('UpstreamTimeout', 'answer stalled')
    else if (this.#socket.writeFailed) this.#fail('UpstreamReset', 'write failed')
    else if (attempt.body.awaitsContinue && attempt.timeouts.firstByte > CONTINUE_WAIT_MS) this.#sendAnyway(attempt)
    else this.#fail('UpstreamTimeout', 'no answer in time')
  }

  /** No 100 came: the body goes, and the exchange learns that it may ask its client for it. */
  #sendAnyway(attempt: Attempt): void {
    this.#activeAt = this.#owner.now()
    attempt.body.release()
    attempt.body.wantsDrain = true
    this.#tellRoom(attempt)
  }
}

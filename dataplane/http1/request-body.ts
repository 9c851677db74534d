// Writes one request to its socket: the head, then the body as it comes, framed, with backpressure. Holds what comes
// too early (before the connection stands, or before the backend's 100). connection.ts makes one for each attempt.
import type { UpstreamRequest } from '../runtime/upstream.ts'
import { type RequestHead, writeChunkSize, writeHead, writeLastChunk } from './request-writer.ts'
import type { TransferMemory, UpstreamSocket } from './socket.ts'

/** Bytes of a body held before they may be written. */
const MAX_HELD_BYTES = 65_536

/** One request on its way out. */
export class RequestBody {
  readonly head: RequestHead
  /** The head was handed to the socket. */
  headWritten = false
  /** Every byte of the request was handed to the socket. */
  finished = false
  /** The body waits for the backend's 100 (RFC 9110 section 10.1.1). */
  awaitsContinue: boolean
  /** The last `write` said false, and nobody was told yet that there is room again. */
  wantsDrain = false
  /** More or less body came than was declared: the framing is broken, the attempt must end. */
  broken = false

  readonly #memory: TransferMemory
  #socket: UpstreamSocket | undefined = undefined
  readonly #chunked: boolean
  #remaining: number
  #discarded = false
  #ended = false
  #trailers: readonly string[] = []
  #held: Uint8Array[] = []
  #heldBytes = 0

  /** Throws TypeError where the head cannot be written. */
  constructor(request: UpstreamRequest, memory: TransferMemory) {
    this.head = writeHead(request)
    this.#memory = memory
    this.#chunked = request.bodyLength === null
    this.#remaining = request.bodyLength ?? 0
    this.#ended = request.bodyLength === 0
    this.awaitsContinue = request.expectContinue && request.bodyLength !== 0
  }

  /** The connection stands. A head with a body to come waits for its first chunk, at most until this turn's I/O is done. */
  start(socket: UpstreamSocket): void {
    this.#socket = socket
    if (this.#ended || this.awaitsContinue || this.#heldBytes > 0) this.#flush()
    else {
      setImmediate(() => {
        if (!this.headWritten && !this.#discarded) this.#flush()
      })
    }
  }

  /** The backend said 100, or said nothing for too long: the body may go. */
  release(): void {
    if (!this.awaitsContinue) return
    this.awaitsContinue = false
    if (this.headWritten) this.#flush()
  }

  /** What is not written yet never will be. */
  discard(): void {
    this.#discarded = true
    this.#held = []
    this.#heldBytes = 0
  }

  /** The chunk is copied or written before this returns. false: wait for the drain. */
  write(chunk: Uint8Array): boolean {
    if (this.#discarded || this.#ended || chunk.length === 0) return !this.wantsDrain
    if (!this.#chunked) {
      if (chunk.length > this.#remaining) {
        this.broken = true
        return false
      }
      this.#remaining -= chunk.length
      if (this.#remaining === 0) this.#ended = true
    }
    let room: boolean
    if (this.#socket === undefined || this.awaitsContinue) {
      this.#held.push(Uint8Array.from(chunk))
      this.#heldBytes += chunk.length
      room = this.#heldBytes < MAX_HELD_BYTES
    } else room = this.#send(this.#socket, chunk)
    if (!room) this.wantsDrain = true
    if (this.#ended && this.#heldBytes === 0 && this.headWritten) this.finished = true
    return room
  }

  /** The body is complete. */
  end(trailers: readonly string[]): void {
    if (this.#discarded || this.#ended) return
    if (!this.#chunked) {
      this.broken = true
      return
    }
    this.#ended = true
    this.#trailers = trailers
    if (this.#socket !== undefined && !this.awaitsContinue) this.#flush()
  }

  /** Writes the head if it is not written, whatever is held, and the end if it is known. */
  #flush(): void {
    const socket = this.#socket
    if (socket === undefined) return
    // A head alone is one write already; a cork would only make node:net queue it first.
    const several = this.#held.length > 0 || (this.#chunked && this.#ended)
    if (several) socket.cork()
    if (!this.headWritten && (this.awaitsContinue || this.#held.length === 0)) {
      this.headWritten = true
      socket.write(this.head.text, 'latin1')
    }
    if (!this.awaitsContinue) {
      for (const chunk of this.#held) this.#send(socket, chunk)
      this.#held = []
      this.#heldBytes = 0
      if (this.#ended) {
        if (this.#chunked) socket.write(writeLastChunk(this.#trailers), 'latin1')
        this.finished = true
      }
    }
    if (several) socket.uncork()
  }

  /** One write for the head (if it waits), the chunk and its framing. */
  #send(socket: UpstreamSocket, chunk: Uint8Array): boolean {
    let before = ''
    if (!this.headWritten) {
      this.headWritten = true
      before = this.head.text
    }
    if (this.#chunked) before += writeChunkSize(chunk.length)
    const length = before.length + chunk.length + (this.#chunked ? 2 : 0)
    // A backlog keeps what it is given, so it gets a buffer of its own, no larger than needed.
    const shared = socket.writableLength === 0 && length <= this.#memory.write.length && socket.writableCorked === 0
    const buffer = shared ? this.#memory.write : Buffer.allocUnsafe(length)
    buffer.write(before, 0, 'latin1')
    buffer.set(chunk, before.length)
    if (this.#chunked) buffer.write('\r\n', length - 2, 'latin1')
    const room = socket.write(shared ? buffer.subarray(0, length) : buffer)
    if (shared && socket.writableLength > 0) this.#memory.replaceWrite()
    return room && !socket.writeFailed
  }
}

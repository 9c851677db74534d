// The upstream end of a tunnel after 101: bytes both ways over the connection's socket. connection.ts makes it and feeds
// it; runtime/exchange.ts joins it with the client's end.
import type { Tunnel } from '../runtime/carrier.ts'
import type { TransferMemory, UpstreamSocket } from './socket.ts'

type TunnelEvents = Parameters<Tunnel['listen']>[0]

/** Bytes that came with the 101 are delivered first. Nothing is called after onClose or `destroy`. */
export class SocketTunnel implements Tunnel {
  readonly #socket: UpstreamSocket
  readonly #memory: TransferMemory
  #events: TunnelEvents | undefined = undefined
  #held: Buffer | undefined = undefined
  #paused = false
  #ended = false
  #endTold = false
  #closed = false
  #finished = false

  constructor(socket: UpstreamSocket, memory: TransferMemory) {
    this.#socket = socket
    this.#memory = memory
  }

  listen(events: TunnelEvents): void {
    this.#events = events
    // Never from inside `listen`: the caller is not ready before it returns.
    process.nextTick(() => this.#deliver())
  }

  write(chunk: Uint8Array): boolean {
    if (this.#closed || this.#finished || chunk.length === 0) return true
    const socket = this.#socket
    const shared = socket.writableLength === 0 && chunk.length <= this.#memory.write.length
    let room: boolean
    if (shared) {
      this.#memory.write.set(chunk)
      room = socket.write(this.#memory.write.subarray(0, chunk.length))
      if (socket.writableLength > 0) this.#memory.replaceWrite()
    } else room = socket.write(Buffer.from(chunk))
    return room || socket.writeFailed
  }

  end(): void {
    if (this.#closed || this.#finished) return
    this.#finished = true
    this.#socket.end()
  }

  destroy(): void {
    this.#closed = true
    this.#held = undefined
    this.#socket.destroy()
  }

  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#paused || this.#closed) return
    this.#paused = false
    if (this.#held === undefined && !this.#ended) this.#socket.resume()
    else process.nextTick(() => this.#deliver())
  }

  /** Bytes from the backend, valid during the call. false: stop reading. */
  receive(chunk: Buffer): boolean {
    if (this.#closed) return false
    if (this.#events === undefined || this.#paused || this.#held !== undefined) {
      // At most what one read brought, because reading stops now.
      this.#held = this.#held === undefined ? Buffer.from(chunk) : Buffer.concat([this.#held, chunk])
      return false
    }
    this.#events.onChunk(chunk)
    return !this.#paused
  }

  /** The backend ended its side. */
  receiveEnd(): void {
    this.#ended = true
    this.#deliver()
    // Nothing can be written any more and nothing will be read: no one else would close it.
    if (this.#socket.writeFailed) this.#socket.destroy()
  }

  receiveDrain(): void {
    if (!this.#closed) this.#events?.onDrain()
  }

  receiveClose(): void {
    if (this.#closed) return
    this.#closed = true
    this.#events?.onClose()
  }

  #deliver(): void {
    if (this.#closed || this.#events === undefined || this.#paused) return
    if (this.#held !== undefined) {
      const held = this.#held
      this.#held = undefined
      this.#events.onChunk(held)
      if (this.#paused || this.#closed) return
    }
    if (!this.#ended) this.#socket.resume()
    else if (!this.#endTold) {
      this.#endTold = true
      this.#events.onEnd()
    }
  }
}

// The socket under an upstream connection, and the memory that all connections of a thread share. Uses node:net only
// through its public parts. connection.ts owns one socket; nothing else touches it.
import net from 'node:net'

const READ_BYTES = 65_536
/** One body chunk of the usual largest size, with a head or a chunk line around it. */
const WRITE_BYTES = 65_536 + 4096

/**
 * Buffers shared by every connection of one thread. Reading hands out views that are valid during the callback only, so
 * one read buffer serves all; what is written is copied once, into `write` where the kernel takes it at once.
 */
export class TransferMemory {
  readonly read: Buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  write: Buffer = Buffer.allocUnsafeSlow(WRITE_BYTES)

  /** The kernel did not take all of `write`: the socket keeps that buffer, the next write gets another. */
  replaceWrite(): void {
    this.write = Buffer.allocUnsafeSlow(WRITE_BYTES)
  }
}

/** What a connection hears from its socket. */
export interface SocketListener {
  onConnect(): void
  /** `length` bytes at the start of the shared read buffer. false: stop reading. */
  onData(length: number, buffer: Buffer): boolean
  onEnd(): void
  onDrain(): void
  /** After this nothing else comes. `code` is '' where there was no error. */
  onClose(code: string): void
}

/**
 * A socket that survives a failed write. A backend that refuses early answers and closes while we still send: the write
 * fails, but the answer waits in the receive buffer. node:net would destroy the socket and lose it, so a write error is
 * only noted here; reading goes on until the answer, the end or the error is read.
 *
 * allowHalfOpen, because the end of the backend's side is judged by the connection: it may be the end of an answer, or
 * one direction of a tunnel. It must never make node:net end our side by itself in the middle of a request.
 */
export class UpstreamSocket extends net.Socket {
  /** The kernel took a byte since this was last set to false. */
  sent = false
  /** A write failed: nothing is written any more, what is read may still be an answer. */
  writeFailed = false

  constructor(memory: TransferMemory, listener: SocketListener) {
    super({
      allowHalfOpen: true,
      noDelay: true,
      onread: {
        buffer: memory.read,
        callback: (length: number) => listener.onData(length, memory.read),
      },
    })
    let code = ''
    // Listeners from birth: an error without one would end the worker.
    this.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? error.name
    })
    this.on('connect', () => listener.onConnect())
    this.on('end', () => listener.onEnd())
    this.on('drain', () => listener.onDrain())
    this.on('close', () => listener.onClose(code))
  }

  override _write(chunk: unknown, encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    if (this.writeFailed) {
      callback()
      return
    }
    let returned = false
    super._write(chunk, encoding, (error) => this.#written(error, returned, callback))
    returned = true
    if (!this.writeFailed) this.sent = true
  }

  override _writev(
    chunks: { chunk: unknown; encoding: BufferEncoding }[],
    callback: (error?: Error | null) => void,
  ): void {
    if (this.writeFailed) {
      callback()
      return
    }
    let returned = false
    super._writev?.(chunks, (error) => this.#written(error, returned, callback))
    returned = true
    if (!this.writeFailed) this.sent = true
  }

  #written(error: Error | null | undefined, later: boolean, callback: (error?: Error | null) => void): void {
    if (error) {
      this.writeFailed = true
      // An error at once means that the kernel took nothing of this write. Later it may have taken a part.
      if (later) this.sent = true
    }
    callback()
  }
}

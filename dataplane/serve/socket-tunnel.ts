// The client's end of a tunnel after 101: bytes both ways over its socket. upgrade-stream.ts makes it, the exchange
// joins it with the backend's end.
import type { Socket } from 'node:net'
import type { Tunnel } from '../runtime/carrier.ts'

type TunnelEvents = Parameters<Tunnel['listen']>[0]

/** Bytes that came with the handshake are delivered first. */
export class ClientTunnel implements Tunnel {
  readonly #socket: Socket
  #early: Buffer[]
  #paused = false
  #ended = false
  #closed = false

  /** @param early what the client sent before the 101; it goes to the backend only now. */
  constructor(socket: Socket, early: Buffer[]) {
    this.#socket = socket
    this.#early = early
  }

  listen(events: TunnelEvents): void {
    const socket = this.#socket
    socket.on('data', (chunk: Buffer) => events.onChunk(chunk))
    socket.on('end', () => this.#end(events))
    socket.on('drain', () => events.onDrain())
    socket.on('close', () => this.#close(events))
    process.nextTick(() => {
      const early = this.#early
      this.#early = []
      for (const chunk of early) events.onChunk(chunk)
      if (socket.readableEnded) this.#end(events)
      if (socket.destroyed) this.#close(events)
      else if (!this.#paused) socket.resume()
    })
  }

  write(chunk: Uint8Array): boolean {
    if (!this.#socket.writable) return true
    return this.#socket.write(Buffer.from(chunk))
  }

  end(): void {
    if (this.#socket.writable) this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    this.#socket.resume()
  }

  #end(events: TunnelEvents): void {
    if (this.#ended) return
    this.#ended = true
    events.onEnd()
  }

  #close(events: TunnelEvents): void {
    if (this.#closed) return
    this.#closed = true
    events.onClose()
  }
}

// A wire that can be cut, bent, stalled and measured, between two ends of a TCP connection on loopback. Tests of faults
// put it between publisher and pod.
import { connect, createServer, type Server, type Socket } from 'node:net'

/** What the wire does to what the caller sends. */
export interface WireFault {
  /** The connection is cut when so many bytes have passed, over all connections. */
  readonly cutAfter?: number
  /** This byte arrives with one bit turned over. */
  readonly flip?: number
  /** From this byte on nothing passes, and nobody is told. */
  readonly stallAfter?: number
}

/** A running one. */
export class BentWire {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #target: () => number
  fault: WireFault = {}
  /** Bytes from the caller, and to it. */
  sent = 0
  received = 0

  private constructor(target: () => number) {
    this.#target = target
    this.#server = createServer((caller) => this.#join(caller))
  }

  /** @param target port on 127.0.0.1. */
  static async start(target: () => number): Promise<BentWire> {
    const proxy = new BentWire(target)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** Begins to count anew, with another fault. */
  reset(fault: WireFault = {}): void {
    this.fault = fault
    this.sent = 0
    this.received = 0
  }

  /** Cuts every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async stop(): Promise<void> {
    this.cut()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
  }

  #join(caller: Socket): void {
    const callee = connect(this.#target(), '127.0.0.1')
    for (const socket of [caller, callee]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        caller.destroy()
        callee.destroy()
      })
    }
    caller.on('data', (chunk: Buffer) => this.#forward(chunk, callee, caller))
    callee.on('data', (chunk: Buffer) => {
      this.received += chunk.length
      caller.write(chunk)
    })
  }

  #forward(chunk: Buffer, callee: Socket, caller: Socket): void {
    const { cutAfter, flip, stallAfter } = this.fault
    const start = this.sent
    this.sent += chunk.length
    let bytes = chunk
    if (flip !== undefined && flip >= start && flip < this.sent) {
      bytes = Buffer.from(chunk)
      bytes[flip - start] = (bytes[flip - start] ?? 0) ^ 1
    }
    if (stallAfter !== undefined && this.sent > stallAfter) {
      bytes = bytes.subarray(0, Math.max(0, stallAfter - start))
    }
    if (cutAfter === undefined || this.sent <= cutAfter) {
      if (bytes.length > 0) callee.write(bytes)
      return
    }
    // What was sent before the cut may arrive.
    callee.end(bytes.subarray(0, Math.max(0, cutAfter - start)))
    setImmediate(() => {
      callee.destroy()
      caller.destroy()
    })
  }
}

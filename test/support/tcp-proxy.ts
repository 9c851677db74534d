// A TCP proxy that can fail as networks do: cut every connection, refuse new ones, or swallow bytes while connections
// stay open (half-open). TLS passes through unseen. Tests put one between a client and a real server.
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'

/** A proxy to one port of this host. */
export class TcpProxy {
  readonly #server: Server
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  #refusing = false
  #swallowing = false

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(port: number): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: false })
    const proxy = new TcpProxy(server)
    server.on('connection', (near) => proxy.#connected(near, port))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    const address = this.#server.address() as AddressInfo
    return address.port
  }

  get connections(): number {
    return this.#pairs.size
  }

  /** Resets all connections; from now on new ones are refused or not. */
  cut(refuse: boolean): void {
    this.#refusing = refuse
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy()
      far.destroy()
    }
  }

  /** Connections stay, also new ones, but nothing comes through. Ending it resets those that lost bytes. */
  swallow(on: boolean): void {
    this.#swallowing = on
    if (!on) this.cut(false)
  }

  async stop(): Promise<void> {
    this.cut(true)
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #connected(near: Socket, port: number): void {
    if (this.#refusing) {
      near.resetAndDestroy()
      return
    }
    const far = createConnection(port, '127.0.0.1')
    const pair = [near, far] as const
    this.#pairs.add(pair)
    for (const [from, to] of [pair, [far, near] as const]) {
      from.on('data', (bytes) => {
        if (!this.#swallowing) to.write(bytes)
      })
      from.on('error', () => undefined)
      from.on('close', () => {
        this.#pairs.delete(pair)
        to.destroy()
      })
    }
  }
}

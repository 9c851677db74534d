// Our own HTTP/1.1 client to one endpoint: the pool of its connections. dataplane/runtime/pools.ts makes one for each
// endpoint of a pool identity, so nothing here is ever shared between tenants. runtime/exchange.ts calls it.
//
// Why our own and not undici, which loses request trailers; loses an early final answer when the backend closes while we
// still write (a 413 to a large upload must reach the client each time); and hides whether a byte was sent, on which it
// hangs whether a POST may be tried elsewhere.
import type {
  AttemptTimeouts,
  EndpointClient,
  UpstreamCall,
  UpstreamEvents,
  UpstreamRequest,
} from '../runtime/upstream.ts'
import { Connection, type ConnectionOwner } from './connection.ts'
import { TransferMemory } from './socket.ts'

/** What a client is made with. */
export interface EndpointClientOptions {
  /** An IP address; never a name. */
  readonly address: string
  readonly port: number
  /** Connections kept open without a request. More are opened when needed, and closed after their request. */
  readonly maxIdle?: number
  /** Milliseconds; below what backends commonly wait. `Keep-Alive: timeout=` of the backend shortens it further. */
  readonly idleTimeout?: number
  /** Milliseconds after which a connection takes no further request. */
  readonly maxAge?: number
  /** Shared by all clients of a thread; one of its own where it is left out. */
  readonly memory?: TransferMemory
  /** Monotonic milliseconds. */
  readonly now?: () => number
}

const DEFAULT_MAX_IDLE = 1024
const DEFAULT_IDLE_TIMEOUT_MS = 4000
const DEFAULT_MAX_AGE_MS = 600_000

/** Makes the client of one endpoint. Nothing is connected before the first request. */
export function createEndpointClient(options: EndpointClientOptions): EndpointClient {
  return new Http1EndpointClient(options)
}

class Http1EndpointClient implements EndpointClient, ConnectionOwner {
  readonly memory: TransferMemory
  readonly idleTimeout: number
  readonly maxAge: number
  readonly now: () => number
  readonly #address: string
  readonly #port: number
  readonly #maxIdle: number
  /** Latest last: the connection used most recently is used again, so that the others can grow old. */
  readonly #idle: Connection[] = []
  #total = 0
  #closed = false

  constructor(options: EndpointClientOptions) {
    this.#address = options.address
    this.#port = options.port
    this.#maxIdle = options.maxIdle ?? DEFAULT_MAX_IDLE
    this.idleTimeout = options.idleTimeout ?? DEFAULT_IDLE_TIMEOUT_MS
    this.maxAge = options.maxAge ?? DEFAULT_MAX_AGE_MS
    this.memory = options.memory ?? new TransferMemory()
    this.now = options.now ?? monotonicMilliseconds
  }

  get idle(): number {
    return this.#idle.length
  }

  get busy(): number {
    return this.#total - this.#idle.length
  }

  /** Throws TypeError where the request cannot be written, which is a fault of the caller (see `writeHead`). */
  send(request: UpstreamRequest, timeouts: AttemptTimeouts, events: UpstreamEvents): UpstreamCall {
    const connection = this.#take() ?? this.#open()
    try {
      return connection.begin(request, timeouts, events)
    } catch (error) {
      connection.destroy()
      throw error
    }
  }

  /** A request after this still gets a connection: the exchange may have chosen this endpoint just before. */
  close(): void {
    this.#closed = true
    this.lost()
  }

  lost(): void {
    for (const connection of [...this.#idle]) connection.destroy()
  }

  keep(connection: Connection): boolean {
    if (this.#closed || this.#idle.length >= this.#maxIdle) return false
    this.#idle.push(connection)
    return true
  }

  gone(connection: Connection): void {
    this.#total--
    const index = this.#idle.lastIndexOf(connection)
    if (index !== -1) this.#idle.splice(index, 1)
  }

  #take(): Connection | undefined {
    for (;;) {
      const connection = this.#idle.pop()
      if (connection === undefined) return undefined
      if (connection.usable(this.now())) return connection
      connection.destroy()
    }
  }

  #open(): Connection {
    this.#total++
    return new Connection(this, this.#address, this.#port)
  }
}

function monotonicMilliseconds(): number {
  return performance.now()
}

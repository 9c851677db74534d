// The data listener of one worker: Fastify over node:http with one catch-all, strict limits on heads, TLS by the front,
// and a drain. worker.ts calls listen once for each port; everything about requests is decided in runtime/exchange.ts.
import { createServer, METHODS, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net'
import fastify, { type FastifyInstance } from 'fastify'
import type { AddressRanges } from '../../model/address.ts'
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { ClientStream, ConnectionTls } from '../runtime/carrier.ts'
import { Connection } from '../runtime/client-connection.ts'
import type { Refuse } from '../runtime/exchange-refusal.ts'
import type { LeaseRegistry } from '../runtime/leases.ts'
import type { TlsFront } from '../tls/tls-types.ts'
import type { ConnectionRoom } from './connection-room.ts'
import { HttpConnection, type ConnectionParts } from './http-connection.ts'

/** How and for whom to listen. */
export interface ListenOptions {
  readonly host: string
  /** 0 for any free port. */
  readonly port: number
  /** Several workers share the port; the kernel spreads connections. */
  readonly reusePort?: boolean
  /** Present on the TLS port: takes every connection through its handshake. */
  readonly tls?: TlsFront
  /** Of runtime/exchange.ts. */
  readonly handler: (stream: ClientStream) => void
  /** Of runtime/exchange-refusal.ts. */
  readonly refuse: Refuse
  /** Hops whose X-Forwarded-* are believed. */
  readonly trustForwarded: AddressRanges
  /** What is in flight, to be ended when a drain runs out of time. */
  readonly leases: LeaseRegistry
  /** For the connections of all listeners of the worker. */
  readonly room: ConnectionRoom
  /** Told of every throw that was fenced here and of errors of the listening socket. Must not throw. */
  readonly fault: (error: unknown) => void
}

/** What a drain came to. */
export interface DrainCounts {
  /** Connections that ended by themselves in time. */
  readonly finished: number
  /** Connections with a request or tunnel that had to be ended. */
  readonly cut: number
}

/** An open port. */
export interface DataListener {
  readonly port: number
  /** Connections now, and those of them with a request in flight. */
  connections(): { readonly open: number; readonly active: number }
  /** Whether answers say `Connection: close`. */
  readonly draining: boolean
  /** From now on answers say `Connection: close`, while everything is still accepted. */
  leave(): void
  /**
   * Stops accepting, lets what runs finish for `timeoutMs`, then ends it: WebSockets with close frame 1001. A connection
   * is ended once it has been idle for `idleMs`, and at least a quarter of a second.
   */
  drain(timeoutMs: number, idleMs?: number): Promise<DrainCounts>
  /** Cuts everything. */
  close(): Promise<void>
}

/** Heads: 8 KiB start line and 32 KiB fields; request-check.ts judges each by itself. */
const MAX_HEAD = 40_960
const HEAD_TIMEOUT = 10_000
const KEEP_ALIVE = 60_000
const WATCH_EVERY = 1_000
/** A connection that was used a moment ago may have a request on its way to us. */
const IDLE_BEFORE_DRAINED = 250
const DRAIN_LOOK = 50
/** After the deadline, for close frames to be answered. */
const GOODBYE_TIME = 1_200

/** Opens the port. Rejects where it cannot be bound. */
export async function listen(options: ListenOptions): Promise<DataListener> {
  const listener = new FastifyListener(options)
  await listener.open()
  return listener
}

class FastifyListener implements DataListener {
  draining = false
  readonly #options: ListenOptions
  readonly #app: FastifyInstance
  readonly #connections = new Map<Socket, HttpConnection>()
  readonly #serving = new WeakMap<IncomingMessage, () => void>()
  readonly #parts: ConnectionParts
  readonly #watch: NodeJS.Timeout
  #route: RequestListener = () => {}
  #server: Server | undefined

  constructor(options: ListenOptions) {
    this.#options = options
    this.#parts = {
      handler: options.handler,
      refuse: options.refuse,
      draining: () => this.draining,
      route: (req, res, serve) => {
        this.#serving.set(req, serve)
        this.#route(req, res)
      },
      closed: (socket) => {
        const connection = this.#connections.get(socket)
        if (connection !== undefined) options.room.leave(connection)
        this.#connections.delete(socket)
      },
    }
    this.#app = this.#createApp()
    this.#watch = setInterval(() => this.#watchAll(), WATCH_EVERY)
    this.#watch.unref()
  }

  get port(): number {
    return (this.#server?.address() as AddressInfo | null)?.port ?? 0
  }

  async open(): Promise<void> {
    const { host, port, reusePort } = this.#options
    try {
      await this.#app.listen({ host, port, ...(reusePort === true ? { reusePort } : {}) })
    } catch (error) {
      clearInterval(this.#watch)
      throw error
    }
  }

  connections(): { open: number; active: number } {
    let active = 0
    for (const connection of this.#connections.values()) if (connection.active) active += 1
    return { open: this.#connections.size, active }
  }

  leave(): void {
    this.draining = true
  }

  async drain(timeoutMs: number, idleMs = 0): Promise<DrainCounts> {
    const atStart = this.#connections.size
    const deadline = performance.now() + timeoutMs
    this.draining = true
    // Of net, not of http, which would cut connections that have a request on its way.
    if (this.#server !== undefined) NetServer.prototype.close.call(this.#server)
    while (this.#connections.size > 0 && performance.now() < deadline) {
      const now = performance.now()
      for (const connection of this.#connections.values()) {
        if (connection.idleFor(now) >= Math.max(idleMs, IDLE_BEFORE_DRAINED)) connection.endIfIdle()
      }
      await pause(Math.min(DRAIN_LOOK, Math.max(1, deadline - now)))
    }
    const { active } = this.connections()
    if (active > 0) {
      this.#options.leases.endEvery()
      const goodbye = performance.now() + GOODBYE_TIME
      while (this.connections().active > 0 && performance.now() < goodbye) await pause(DRAIN_LOOK)
    }
    await this.close()
    return { finished: atStart - active, cut: active }
  }

  async close(): Promise<void> {
    this.draining = true
    clearInterval(this.#watch)
    for (const connection of this.#connections.values()) connection.destroy()
    await this.#app.close()
  }

  #createApp(): FastifyInstance {
    const app = fastify({
      serverFactory: (route) => {
        // Requests come here first: what the gate refuses, and what must wait for its turn, never meets a router.
        this.#route = route as RequestListener
        this.#server = this.#createServer()
        return this.#server
      },
      // The one route is found by this, whatever the target: it was judged before, by our rules alone.
      rewriteUrl: () => '/',
      trustProxy: false,
      logger: false,
      requestIdHeader: false,
      genReqId: () => '',
      exposeHeadRoutes: false,
      return503OnClosing: false,
      forceCloseConnections: false,
      // In place of Fastify's own, which would write into the answer that is being given.
      clientErrorHandler: (error, socket) => this.#clientError(error, socket),
    })
    app.removeAllContentTypeParsers()
    for (const method of METHODS) {
      if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: true })
    }
    app.route({
      method: app.supportedMethods,
      url: '/',
      // Taken before Fastify would look at the body, and never given back.
      onRequest: (request, reply) => {
        reply.hijack()
        const serve = this.#serving.get(request.raw)
        this.#serving.delete(request.raw)
        serve?.()
      },
      handler: () => {},
    })
    return app
  }

  #createServer(): Server {
    const server = createServer(
      {
        insecureHTTPParser: false,
        // checkHead answers a missing Host, with our own body.
        requireHostHeader: false,
        maxHeaderSize: MAX_HEAD,
        headersTimeout: HEAD_TIMEOUT,
        // Bodies are held to a minimum progress instead (http-stream.ts).
        requestTimeout: 0,
        connectionsCheckingInterval: WATCH_EVERY,
        keepAliveTimeout: KEEP_ALIVE,
        noDelay: true,
        shouldUpgradeCallback: (req) => this.#of(req.socket)?.mayUpgrade(req) ?? false,
      },
      (req, res) => this.#of(req.socket)?.take(req, res),
    )
    // Nothing may be cut off silently behind a limit of the parser: checkHead counts the fields.
    server.maxHeadersCount = 0
    server.on('checkContinue', (req, res) => this.#of(req.socket)?.take(req, res))
    server.on('checkExpectation', (req, res) => this.#of(req.socket)?.take(req, res))
    server.on('upgrade', (req, socket, head) => this.#of(socket as Socket)?.upgrade(req, head))
    server.on('connect', (req, stream) => {
      stream.on('error', () => {})
      this.#of(req.socket)?.refuseBytes('MethodNotAllowed', { method: 'CONNECT', target: req.url ?? '' })
    })
    // Nobody else listens once the port is open: a descriptor that is not to be had (EMFILE) would end the worker.
    server.on('error', (error) => this.#options.fault(error))
    this.#takeConnections(server)
    return server
  }

  /** Every socket gets its HttpConnection before node:http reads from it; on the TLS port after its handshake. */
  #takeConnections(server: Server): void {
    const takers = server.listeners('connection')
    server.removeAllListeners('connection')
    const open = (socket: Socket, transport: Socket, tls: ConnectionTls | null, revoked?: () => boolean) => {
      const clientConnection = new Connection({
        peerAddress: socket.remoteAddress ?? '',
        localPort: socket.localPort ?? 0,
        tls,
        trusted: this.#options.trustForwarded,
        ...(revoked === undefined ? {} : { revoked }),
      })
      const connection = new HttpConnection(socket, transport, clientConnection, this.#parts)
      this.#connections.set(socket, connection)
      this.#options.room.enter(connection)
      for (const taker of takers) Reflect.apply(taker, server, [socket])
    }
    const front = this.#options.tls
    server.on('connection', (socket: Socket) => {
      if (!this.#options.room.admits()) socket.destroy()
      else if (front === undefined) open(socket, socket, null)
      else front.accept(socket, (secure) => open(secure, socket, front.describe(secure), () => front.revoked(secure)))
    })
  }

  #clientError(error: ParseError, socket: Socket): void {
    const connection = this.#of(socket)
    // What follows `Connection: close` is not read; the answer before it is still on its way.
    if (error.code === 'HPE_CLOSED_CONNECTION' || connection?.ending === true) return
    const code = codeOf(error)
    // A connection that was opened and never used is no mistake: browsers open some ahead of need.
    if (code === 'RequestTimeout' && socket.bytesRead === 0) connection?.destroy()
    else if (connection === undefined || code === undefined || !socket.writable) socket.destroy()
    else connection.refuseBytes(code)
  }

  #of(socket: Socket): HttpConnection | undefined {
    return this.#connections.get(socket)
  }

  #watchAll(): void {
    const now = performance.now()
    for (const connection of this.#connections.values()) {
      try {
        connection.watch(now)
      } catch (error) {
        // Out of a timer nothing else would stop it: all connections of the worker would end, not one.
        this.#options.fault(error)
        connection.destroy()
      }
    }
  }
}

/** An error of the parser, or of the socket. */
interface ParseError {
  readonly code?: string | undefined
  /** The Buffer that could not be read; Fastify's types say otherwise. */
  readonly rawPacket?: unknown
}

/** What bytes that node:http cannot read are answered with; undefined for a connection that is simply gone. */
function codeOf(error: ParseError): GatewayErrorCode | undefined {
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'RequestTimeout'
  if (error.code === 'HPE_HEADER_OVERFLOW') {
    // A packet without a line end is still the start line.
    return Buffer.isBuffer(error.rawPacket) && !error.rawPacket.includes(0x0a) ? 'UriTooLong' : 'HeadersTooLarge'
  }
  if (error.code === 'HPE_INVALID_EOF_STATE') return undefined
  return error.code?.startsWith('HPE_') === true ? 'BadRequest' : undefined
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
}

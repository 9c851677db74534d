// One client connection on node:http: its requests one after the other, in order, however they come; and its end.
// listener.ts makes one for each socket and hands it what node:http emits.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { ClientStream } from '../runtime/carrier.ts'
import type { Connection } from '../runtime/client-connection.ts'
import type { Refuse, RefusedHead } from '../runtime/exchange-refusal.ts'
import { receiveRequest } from '../runtime/request-head.ts'
import { HttpStream, type StreamOwner } from './http-stream.ts'
import { closeInStages } from './staged-close.ts'
import { UpgradeStream } from './upgrade-stream.ts'
import { problemText } from './wire.ts'

/** Requests that may wait for their turn; with so many, nothing more is read until half of them are answered. */
const MOST_WAITING = 64

/**
 * Requests that one read may bring beyond what can be answered. node:http keeps 1.5 KB for each, sixty times what the
 * shortest costs whoever sends it, and gives it back only when the connection is gone.
 */
const MOST_AT_ONCE = 256

const NO_HEAD: RefusedHead = { method: '', target: '' }

/** Milliseconds without a byte taken by the client. */
const MOST_STALL = 30_000

/** What a connection works with. */
export interface ConnectionParts {
  readonly handler: (stream: ClientStream) => void
  readonly refuse: Refuse
  /** Runs a request through Fastify's catch-all; `serve` is called from inside it. */
  readonly route: (req: IncomingMessage, res: ServerResponse, serve: () => void) => void
  readonly draining: () => boolean
  readonly closed: (socket: Socket) => void
}

/** See the head of this file. */
export class HttpConnection implements StreamOwner {
  readonly clientConnection: Connection
  readonly #socket: Socket
  readonly #parts: ConnectionParts
  readonly #transport: Socket
  readonly #waiting: { readonly req: IncomingMessage; readonly res: ServerResponse }[] = []
  #current: HttpStream | undefined
  #last: HttpStream | undefined
  #lastRequest: IncomingMessage | undefined
  #dropped = 0
  #held = false
  #discarding = false
  #ending = false
  #staged = false
  #upgraded = false
  #refusal: { readonly code: GatewayErrorCode; readonly head: RefusedHead } | undefined
  #idleSince = performance.now()
  #takenBytes = -1
  #stalledSince = 0

  /** @param transport the TCP socket under `socket`, or `socket` itself where it is plain. */
  constructor(socket: Socket, transport: Socket, clientConnection: Connection, parts: ConnectionParts) {
    this.#socket = socket
    this.#transport = transport
    this.clientConnection = clientConnection
    this.#parts = parts
    // From birth: an error without a listener would end the worker.
    socket.on('error', () => {})
    socket.on('end', () => this.#clientEnded())
    socket.on('close', () => this.#closed())
    // Of the socket and not of a response: node:http stops telling responses once it lets go of the socket (CONNECT).
    socket.on('drain', () => this.#current?.drained())
    // node:http calls this after the last answer; closing at once could lose it (RFC 9112 section 9.6).
    socket.destroySoon = () => this.#end()
  }

  get closing(): boolean {
    return this.#waiting.length === 0 && this.#parts.draining()
  }

  /** Nothing that still comes is looked at: what the parser thinks of it is nobody's business. */
  get ending(): boolean {
    return this.#ending
  }

  /** Whether a request is being served. */
  get active(): boolean {
    return this.#current !== undefined || this.#waiting.length > 0 || this.#upgraded
  }

  /** Milliseconds since the last answer, or since it stands. */
  idleFor(now: number): number {
    return this.active ? 0 : now - this.#idleSince
  }

  /** A request whose head is complete. */
  take(req: IncomingMessage, res: ServerResponse): void {
    if (this.#ending || this.#refusal !== undefined) {
      // Of the read in which the last answer was decided. Whoever sends it is told by Connection: close.
      req.resume()
      this.#dropped += 1
      if (this.#dropped > MOST_AT_ONCE) this.destroy()
      return
    }
    this.#lastRequest = req
    if (this.#current === undefined) {
      this.#serve(req, res)
      return
    }
    this.#waiting.push({ req, res })
    if (this.#waiting.length > MOST_AT_ONCE) this.destroy()
    // After this read: node:http reads on at the end of every message.
    else if (this.#waiting.length === MOST_WAITING) setImmediate(() => this.#hold())
  }

  /** Whether a request with an Upgrade field becomes a tunnel: a valid WebSocket handshake that nobody waits before. */
  mayUpgrade(req: IncomingMessage): boolean {
    if (this.#ending || this.active) return false
    const received = receiveRequest(rawHead(req), this.clientConnection)
    return typeof received !== 'string' && received.websocket
  }

  /** The handshake that mayUpgrade said yes to. */
  upgrade(req: IncomingMessage, head: Buffer): void {
    const received = receiveRequest(rawHead(req), this.clientConnection)
    if (typeof received === 'string' || !received.websocket) {
      this.#refuse(typeof received === 'string' ? received : 'BadRequest', NO_HEAD)
      return
    }
    this.#upgraded = true
    this.#parts.handler(new UpgradeStream(this.clientConnection, received.request, this.#socket, head))
  }

  /** Bytes that are no request. Answers after everything before them is answered, then closes. */
  refuseBytes(code: GatewayErrorCode, head: RefusedHead = NO_HEAD): void {
    if (this.#upgraded || this.#ending || this.#refusal !== undefined) return
    const stream = this.#current
    if (stream === undefined) {
      this.#refuse(code, head)
      return
    }
    this.#refusal = { code, head }
    const broken = this.#lastRequest?.complete === false
    if (broken && this.#waiting.length === 0) {
      // Inside the body of the request that is being served: it can never be complete.
      const answered = stream.answered
      stream.clientGone()
      this.#current = undefined
      if (answered) this.#socket.destroy()
      else this.#refuse(code, head)
      return
    }
    if (broken) this.#waiting.pop()
    this.#discardInput()
  }

  /** Called every second. Ends what makes no progress. */
  watch(now: number): void {
    ;(this.#current ?? this.#last)?.watch(now)
    this.#watchWriting(now)
  }

  /** Half closes when nothing is served, otherwise after the present answer (`closing`). */
  endIfIdle(): void {
    if (!this.active) this.#end()
  }

  /** Cuts it. */
  destroy(): void {
    this.#socket.destroy()
  }

  streamFinished(): void {
    this.#last = this.#current
    this.#current = undefined
    this.#idleSince = performance.now()
    const next = this.#waiting.shift()
    if (this.#held && this.#waiting.length <= MOST_WAITING / 2) {
      this.#held = false
      this.#socket.resume()
    }
    if (next !== undefined && !this.#ending) this.#serve(next.req, next.res)
    else if (this.#refusal !== undefined && !this.#ending) this.#refuse(this.#refusal.code, this.#refusal.head)
  }

  streamCut(reset: boolean): void {
    // Only TCP has a reset: a TLS socket throws where it is asked for one.
    if (reset) this.#transport.resetAndDestroy()
    this.#socket.destroy()
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    const raw = rawHead(req)
    const received = receiveRequest(raw, this.clientConnection)
    // A handshake behind another request cannot become a tunnel, and is not passed on as anything else.
    const code = typeof received === 'string' ? received : received.websocket ? 'BadRequest' : undefined
    if (typeof received === 'string' || code !== undefined) {
      this.#refuseRequest(req, res, code ?? 'BadRequest')
      return
    }
    const stream = new HttpStream(this, received, req, res)
    this.#current = stream
    this.#parts.route(req, res, () => this.#parts.handler(stream))
  }

  /** Answers a head that the gate refuses, by the response that node:http has for it, and closes. */
  #refuseRequest(req: IncomingMessage, res: ServerResponse, code: GatewayErrorCode): void {
    const problem = this.#parts.refuse(this.clientConnection, { method: req.method ?? '', target: req.url ?? '' }, code)
    this.#ending = true
    res.on('error', () => {})
    res.writeHead(problem.status, [
      ...problem.fields,
      'content-length',
      String(problem.body.length),
      'connection',
      'close',
    ])
    res.end(req.method === 'HEAD' ? undefined : problem.body)
    this.#discardInput()
  }

  /** Answers bytes that never became a request, and closes. */
  #refuse(code: GatewayErrorCode, head: RefusedHead): void {
    if (this.#ending) return
    const problem = this.#parts.refuse(this.clientConnection, head, code)
    if (this.#socket.writable) this.#socket.write(problemText(problem), 'latin1')
    this.#end()
  }

  #end(): void {
    this.#ending = true
    if (this.#staged) return
    this.#staged = true
    if (!this.#upgraded) this.#discardInput()
    closeInStages(this.#socket)
  }

  #hold(): void {
    if (this.#waiting.length < MOST_WAITING || this.#ending) return
    this.#held = true
    this.#socket.pause()
  }

  /**
   * Takes the parser off the socket. What comes goes nowhere: a client that goes on sending requests behind its last
   * answer would otherwise have node:http keep each of them until the connection is gone.
   */
  #discardInput(): void {
    if (this.#discarding) return
    this.#discarding = true
    const socket = this.#socket
    socket.resume()
    // A tick later, when that has had its effect: whoever is taken off a socket that stands still leaves it so for ever.
    process.nextTick(() => {
      const parsers = socket.listeners('data') as ((chunk: Buffer) => void)[]
      // node:http gives the handle back to the socket where somebody else listens.
      socket.on('data', ignore)
      for (const parser of parsers) socket.off('data', parser)
    })
  }

  /** Whatever is written here, by whomever: an answer, a refusal, a tunnel. */
  #watchWriting(now: number): void {
    const socket = this.#socket
    if (socket.writableLength === 0) {
      this.#takenBytes = -1
      return
    }
    const taken = socket.bytesWritten - socket.writableLength
    if (taken !== this.#takenBytes) {
      this.#takenBytes = taken
      this.#stalledSince = now
    } else if (now - this.#stalledSince > MOST_STALL) {
      this.#current?.clientGone()
      this.streamCut(true)
    }
  }

  /** Our client has nothing more to say: like every proxy that people know, we take that for gone. */
  #clientEnded(): void {
    if (this.#upgraded || this.#ending || this.#current === undefined) return
    this.#current.clientGone()
    this.#socket.destroy()
  }

  #closed(): void {
    this.#ending = true
    const stream = this.#current
    this.#current = undefined
    this.#waiting.length = 0
    stream?.clientGone()
    this.clientConnection.close()
    this.#parts.closed(this.#socket)
  }
}

function ignore(): void {}

function rawHead(req: IncomingMessage): Parameters<typeof receiveRequest>[0] {
  return { method: req.method ?? '', target: req.url ?? '', version: req.httpVersion, fields: req.rawHeaders }
}

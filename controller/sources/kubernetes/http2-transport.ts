// HTTP/2 to the API server: many watches over few connections. Opens a connection when the others carry as many streams
// as the server allows, and proves each alive by PING (RFC 9113 section 6.7). The client makes it.
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Access, ApiServer } from './access.ts'
import { ApiFailure } from './api-failure.ts'
import {
  boundConnecting,
  failureOf,
  type IncomingAnswer,
  type OutgoingCall,
  sameTls,
  tlsOptions,
  type Transport,
} from './transport.ts'

/** How a connection proves that it lives, in milliseconds. */
export interface PingTiming {
  readonly everyMs: number
  readonly answerWithinMs: number
}

const CONNECT_WITHIN_MS = 10_000
/** Before the server has said how many it allows. */
const FIRST_STREAMS = 100
/** Bytes in flight over all streams of a connection; what arrives is taken at once, so this bounds nothing else. */
const WINDOW = 8 * 1024 * 1024

/** The server speaks no HTTP/2. */
export class NoHttp2Error extends Error {}

interface Connection {
  readonly session: ClientHttp2Session
  readonly access: Access
  streams: number
  timer: NodeJS.Timeout | undefined
}

/** Few connections, many streams. `send` rejects with NoHttp2Error where the server speaks HTTP/1.1 only. */
export class Http2Transport implements Transport {
  readonly #server: ApiServer
  readonly #timing: PingTiming
  readonly #connections = new Set<Connection>()
  #connecting: Promise<Connection> | undefined
  #closed = false

  constructor(server: ApiServer, timing: PingTiming) {
    this.#server = server
    this.#timing = timing
  }

  /** Open connections now. */
  get connections(): number {
    return this.#connections.size
  }

  async send(call: OutgoingCall): Promise<IncomingAnswer> {
    const what = `${call.method} ${call.path.split('?')[0] ?? ''}`
    try {
      const connection = await this.#connection(call.access)
      if (call.signal.aborted) throw call.signal.reason
      return await this.#open(connection, call)
    } catch (error) {
      if (error instanceof NoHttp2Error) throw error
      throw failureOf(error, call.signal, what)
    }
  }

  close(): void {
    this.#closed = true
    for (const { session } of this.#connections) session.destroy()
  }

  async #connection(access: Access): Promise<Connection> {
    for (;;) {
      for (const connection of this.#connections) {
        const allowed = connection.session.remoteSettings.maxConcurrentStreams ?? FIRST_STREAMS
        if (sameTls(connection.access, access) && connection.streams < allowed) {
          connection.streams++
          return connection
        }
      }
      if (this.#closed) throw new ApiFailure('aborted', 'the client is closed')
      this.#connecting ??= this.#connect(access).finally(() => {
        this.#connecting = undefined
      })
      await this.#connecting
    }
  }

  async #connect(access: Access): Promise<Connection> {
    const socket = await this.#connectTls(access)
    if (socket.alpnProtocol !== 'h2') {
      socket.destroy()
      throw new NoHttp2Error('the API server speaks no HTTP/2')
    }
    const session = connectHttp2(`https://${authorityOf(this.#server)}`, {
      createConnection: () => socket,
      settings: { enablePush: false },
    })
    const connection: Connection = { session, access, streams: 0, timer: undefined }
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(
        () => session.destroy(new ApiFailure('timeout', 'no settings in time')),
        CONNECT_WITHIN_MS,
      )
      session.once('remoteSettings', () => {
        clearTimeout(late)
        resolve()
      })
      session.once('error', reject)
      session.once('close', () => {
        clearTimeout(late)
        reject(new ApiFailure('network', 'the connection ended at once'))
      })
    })
    session.on('error', () => undefined)
    session.once('close', () => this.#drop(connection))
    // After GOAWAY the running streams go on; new ones need another connection (RFC 9113 section 6.8).
    session.once('goaway', () => this.#connections.delete(connection))
    session.setLocalWindowSize(WINDOW)
    session.setMaxListeners(0)
    this.#connections.add(connection)
    this.#plan(connection)
    if (this.#closed) session.destroy()
    return connection
  }

  #connectTls(access: Access): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const socket = connectTls({
        ...tlsOptions(this.#server, access),
        ALPNProtocols: ['h2', 'http/1.1'],
        // Without it, node would send no name at all for a host that is one.
        ...(this.#server.serverName === undefined && !/^[\d.]+$|:/.test(this.#server.host)
          ? { servername: this.#server.host }
          : {}),
      })
      socket.setKeepAlive(true, this.#timing.everyMs)
      boundConnecting(socket)
      socket.setTimeout(CONNECT_WITHIN_MS, () => socket.destroy(new ApiFailure('timeout', 'no connection in time')))
      socket.once('error', reject)
      socket.once('secureConnect', () => {
        socket.setTimeout(0)
        socket.off('error', reject)
        socket.on('error', () => undefined)
        resolve(socket)
      })
    })
  }

  #plan(connection: Connection): void {
    const { everyMs, answerWithinMs } = this.#timing
    const { session } = connection
    connection.timer = setTimeout(() => {
      if (session.destroyed) return
      const late = setTimeout(() => session.destroy(), answerWithinMs)
      const sent = session.ping((error) => {
        clearTimeout(late)
        if (error === null && !session.destroyed) this.#plan(connection)
      })
      if (sent) return
      clearTimeout(late)
      session.destroy()
    }, everyMs)
    connection.timer.unref()
  }

  #drop(connection: Connection): void {
    clearTimeout(connection.timer)
    this.#connections.delete(connection)
  }

  #open(connection: Connection, call: OutgoingCall): Promise<IncomingAnswer> {
    return new Promise((resolve, reject) => {
      const release = once(() => {
        connection.streams--
        // An idle connection is worth nothing here: the next watch opens one in a few milliseconds.
        if (connection.streams > 0) return
        this.#connections.delete(connection)
        connection.session.close()
      })
      let stream: ClientHttp2Stream
      try {
        stream = connection.session.request(
          {
            [constants.HTTP2_HEADER_METHOD]: call.method,
            [constants.HTTP2_HEADER_PATH]: call.path,
            ...call.headers,
          },
          { signal: call.signal, endStream: call.body === undefined },
        )
      } catch (error) {
        release()
        reject(error)
        return
      }
      stream.once('close', () => {
        release()
        reject(new ApiFailure('network', `${call.method} ${call.path.split('?')[0] ?? ''}: the stream ended at once`))
      })
      stream.on('error', reject)
      stream.once('response', (headers) => {
        resolve({ status: Number(headers[':status'] ?? 0), headers, body: stream })
      })
      if (call.body !== undefined) stream.end(call.body)
    })
  }
}

function authorityOf(server: ApiServer): string {
  return `${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}`
}

function once(run: () => void): () => void {
  let done = false
  return () => {
    if (done) return
    done = true
    run()
  }
}

// The in-memory carrier: an exchange without a socket. `serve` is one request and its whole answer (golden replay,
// explain); MemoryCall is the same with every step in the test's hands (the carrier suite).
import { AddressRanges, parseCidr } from '../../model/address.ts'
import type { ResponseHead } from '../../model/filter.ts'
import type {
  BodyReader,
  ClientConnection,
  ClientEvents,
  ClientStream,
  ConnectionTls,
  Tunnel,
} from '../../dataplane/runtime/carrier.ts'
import { Connection } from '../../dataplane/runtime/client-connection.ts'
import { problem } from '../../dataplane/errors.ts'
import { ResponseFields } from '../../dataplane/runtime/field-list.ts'
import type { ReceivedRequest } from '../../dataplane/runtime/received-request.ts'
import { receiveRequest, type Received } from '../../dataplane/runtime/request-head.ts'
import type { CallOptions, ClientCall, Flat } from './client-call.ts'

/** A handler of dataplane/runtime/exchange.ts. */
export type Handler = (stream: ClientStream) => void

/** One request, whole. */
export interface MemoryRequest {
  /** GET by default. */
  readonly method?: string
  /** `http://app.test/path?query`; `https:` means a TLS connection with that name and `tls` over it. */
  readonly url: string
  readonly headers?: Readonly<Record<string, string>> | readonly (readonly [string, string])[]
  readonly body?: string | Uint8Array
  /** Address of the socket's other end, 192.0.2.1 by default. */
  readonly client?: string
  /** What the handshake established; `tenant` must be given for TLS. */
  readonly tls?: Partial<ConnectionTls>
  /** Trusted hops, as CIDR. */
  readonly trusted?: readonly string[]
}

/** One answer, whole. */
export interface MemoryAnswer {
  readonly status: number
  /** Lower-case name → value; several lines joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  readonly fields: Flat
  readonly body: string
  readonly trailers: Flat
  readonly interim: readonly { readonly status: number; readonly fields: Flat }[]
  /** The answer was cut. */
  readonly cut: boolean
}

/** Sends one request through a handler and gives the whole answer. A head that the gate refuses is answered too. */
export async function serve(handler: Handler, request: MemoryRequest): Promise<MemoryAnswer> {
  const url = /^(https?):\/\/([^/?#]+)(.*)$/.exec(request.url)
  if (url === null) throw new Error(`not an absolute URL: ${request.url}`)
  const [, scheme, host = '', target = ''] = url
  const bytes = typeof request.body === 'string' ? Buffer.from(request.body) : request.body
  const given = request.headers ?? {}
  const pairs = Array.isArray(given) ? given : Object.entries(given)
  const call = new MemoryCall(
    handler,
    {
      method: request.method ?? 'GET',
      target: target === '' ? '/' : target,
      host,
      fields: pairs.flat() as string[],
      ...(bytes === undefined ? {} : { bodyLength: bytes.length }),
    },
    memoryConnection({
      ...(request.client === undefined ? {} : { client: request.client }),
      ...(request.trusted === undefined ? {} : { trusted: request.trusted }),
      tls:
        scheme === 'https'
          ? { serverName: host, tenant: '', version: 'TLSv1.3', cipher: '', verifiedAgainst: '', ...request.tls }
          : null,
    }),
  )
  if (bytes !== undefined) {
    void call.write(bytes)
    call.end()
  }
  const head = await call.head()
  let cut = false
  let body = ''
  try {
    body = await call.text()
  } catch {
    cut = true
  }
  const headers: Record<string, string> = Object.create(null)
  for (let at = 0; at + 1 < head.fields.length; at += 2) {
    const name = (head.fields[at] ?? '').toLowerCase()
    const value = head.fields[at + 1] ?? ''
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  }
  return { ...head, headers, body, cut, trailers: call.trailers, interim: call.interim }
}

/** A connection that no socket stands behind. */
export function memoryConnection(
  options: { readonly client?: string; readonly tls?: ConnectionTls | null; readonly trusted?: readonly string[] } = {},
): Connection {
  const ranges = (options.trusted ?? []).map((text) => {
    const cidr = parseCidr(text)
    if (cidr === undefined) throw new Error(`not a CIDR: ${text}`)
    return cidr
  })
  return new Connection({
    peerAddress: options.client ?? '192.0.2.1',
    localPort: 8080,
    tls: options.tls ?? null,
    trusted: new AddressRanges(ranges),
  })
}

/** Bytes that are held towards the client before `write` says to wait. */
const HIGH_WATER = 65_536

/** One request in memory: the client's side for the test, the stream for the exchange. */
export class MemoryCall implements ClientCall {
  readonly interim: { status: number; fields: Flat }[] = []
  trailers: Flat = []
  /** 100 was sent. */
  continued = false
  readonly #stream: MemoryStream | undefined
  readonly #answer = new ByteQueue()
  readonly #head = Promise.withResolvers<{ status: number; fields: Flat }>()
  readonly #upload: (Uint8Array | Flat)[] = []
  #reader: BodyReader | undefined
  #paused = false
  #room: (() => void)[] = []

  constructor(handler: Handler, options: CallOptions, connection: Connection = memoryConnection()) {
    this.#head.promise.catch(() => {})
    const framing =
      options.bodyLength === undefined
        ? []
        : options.bodyLength === null
          ? ['transfer-encoding', 'chunked']
          : ['content-length', String(options.bodyLength)]
    const received = receiveRequest(
      {
        method: options.method ?? 'GET',
        target: options.target ?? '/',
        version: '1.1',
        fields: ['host', options.host ?? 'app.test', ...(options.fields ?? []), ...framing],
      },
      connection,
    )
    if (typeof received === 'string') {
      const refused = problem({ code: received }, 'refused')
      this.#head.resolve({ status: refused.status, fields: refused.fields })
      this.#answer.push(refused.body)
      this.#answer.end()
      return
    }
    this.#stream = new MemoryStream(connection, received, {
      readBody: (reader) => {
        this.#reader = reader
        this.#pump()
      },
      resumeBody: () => {
        this.#paused = false
        this.#pump()
      },
      head: (status, fields) => this.#head.resolve({ status, fields }),
      interim: (status, fields) => {
        if (status === 100) this.continued = true
        this.interim.push({ status, fields })
      },
      trailers: (trailers) => {
        this.trailers = trailers
      },
      cut: () => this.#head.reject(new Error('the connection was cut')),
      answer: this.#answer,
    })
    handler(this.#stream)
  }

  async write(chunk: Uint8Array | string): Promise<void> {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk
    if (this.#stream?.tunnelled !== undefined) {
      this.#stream.tunnelled.fromClient(bytes)
      return
    }
    this.#upload.push(bytes)
    this.#pump()
    if (this.#upload.length > 0) await new Promise<void>((resolve) => this.#room.push(resolve))
  }

  end(trailers: Flat = []): void {
    this.#upload.push(trailers)
    this.#pump()
  }

  head(): Promise<{ status: number; fields: Flat }> {
    return this.#head.promise
  }

  read(): Promise<Uint8Array | undefined> {
    return this.#answer.take()
  }

  async text(): Promise<string> {
    let text = ''
    for (let chunk = await this.read(); chunk !== undefined; chunk = await this.read()) {
      text += Buffer.from(chunk).toString('latin1')
    }
    return text
  }

  abort(): void {
    this.#stream?.clientGone()
  }

  endTunnel(): void {
    this.#stream?.tunnelled?.clientEnded()
  }

  #pump(): void {
    const reader = this.#reader
    while (reader !== undefined && !this.#paused && this.#upload.length > 0) {
      const next = this.#upload.shift()
      if (next === undefined) break
      if (!(next instanceof Uint8Array)) {
        reader.onEnd(next)
        break
      }
      // A copy that is spoilt afterwards: whoever keeps the view instead of its bytes is found out.
      const view = Uint8Array.from(next)
      this.#paused = !reader.onChunk(view)
      view.fill(0x21)
    }
    if (this.#upload.length === 0) for (const resolve of this.#room.splice(0)) resolve()
  }
}

interface StreamSide {
  readBody(reader: BodyReader): void
  resumeBody(): void
  head(status: number, fields: Flat): void
  interim(status: number, fields: Flat): void
  trailers(trailers: Flat): void
  cut(): void
  readonly answer: ByteQueue
}

class MemoryStream implements ClientStream {
  readonly connection: ClientConnection
  readonly request: ReceivedRequest
  readonly bodyLength: number | null
  readonly expectsContinue: boolean
  readonly websocket: boolean
  tunnelled: MemoryTunnel | undefined
  readonly #side: StreamSide
  readonly #owned: Connection
  #events: ClientEvents | undefined
  #state: 'open' | 'answering' | 'over' = 'open'
  #continued = false
  #left = 0
  #needsDrain = false

  constructor(connection: Connection, received: Received, side: StreamSide) {
    this.connection = connection
    this.#owned = connection
    this.request = received.request
    this.bodyLength = received.bodyLength
    this.expectsContinue = received.expectsContinue
    this.websocket = received.websocket
    this.#side = side
    side.answer.onRoom = () => {
      if (!this.#needsDrain || this.#state !== 'answering') return
      this.#needsDrain = false
      this.#events?.onDrain()
    }
  }

  listen(events: ClientEvents): void {
    this.#events = events
  }

  createHead(status: number): ResponseFields {
    return new ResponseFields(status)
  }

  readBody(reader: BodyReader): void {
    if (this.#state !== 'over') this.#side.readBody(reader)
  }

  resumeBody(): void {
    if (this.#state !== 'over') this.#side.resumeBody()
  }

  continue(): void {
    if (this.#continued || this.#state !== 'open') return
    this.#continued = true
    this.#side.interim(100, [])
  }

  interim(status: number, fields: readonly string[]): void {
    if (this.#state === 'open') this.#side.interim(status, fields)
  }

  closeAfterAnswer(): void {}

  respond(head: ResponseHead, length: number | null): void {
    if (this.#state !== 'open') return
    this.#state = 'answering'
    this.#left = length ?? Number.POSITIVE_INFINITY
    const fields = fieldsOf(head)
    const bodiless = this.request.method === 'HEAD' || head.status === 204 || head.status === 304
    if (!bodiless && length !== null) fields.push('content-length', String(length))
    this.#side.head(head.status, fields)
  }

  write(chunk: Uint8Array): boolean {
    if (this.#state !== 'answering') return true
    this.#left -= chunk.length
    if (this.#left < 0) throw new Error('more bytes than promised')
    this.#side.answer.push(Uint8Array.from(chunk))
    this.#needsDrain = this.#side.answer.bytes > HIGH_WATER
    return !this.#needsDrain
  }

  end(trailers: readonly string[]): void {
    if (this.#state !== 'answering') return
    if (this.#left !== Number.POSITIVE_INFINITY && this.#left !== 0) throw new Error('fewer bytes than promised')
    this.#state = 'over'
    this.#side.trailers(trailers)
    this.#side.answer.end()
    // Like a socket, the kernel takes the last byte a moment later.
    queueMicrotask(() => {
      this.#events?.onFinish()
      this.#owned.close()
    })
  }

  abort(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#side.answer.fail()
    this.#side.cut()
    this.tunnelled?.destroy()
    this.#owned.close()
  }

  tunnel(head: ResponseHead): Tunnel {
    this.#state = 'over'
    this.#side.head(101, [...fieldsOf(head), 'connection', 'Upgrade', 'upgrade', 'websocket'])
    this.tunnelled = new MemoryTunnel(this.#side.answer, () => this.#owned.close())
    return this.tunnelled
  }

  /** The client is gone. */
  clientGone(): void {
    if (this.tunnelled !== undefined) this.tunnelled.destroy()
    else if (this.#state !== 'over') {
      this.#state = 'over'
      this.#side.answer.fail()
      this.#side.cut()
      this.#events?.onAbort()
      this.#owned.close()
    }
  }
}

/** The client's end of a tunnel in memory. */
class MemoryTunnel implements Tunnel {
  readonly #answer: ByteQueue
  readonly #gone: () => void
  #events: Parameters<Tunnel['listen']>[0] | undefined
  readonly #held: Uint8Array[] = []
  #paused = false
  #closed = false
  #clientEnded = false
  #gatewayEnded = false

  constructor(answer: ByteQueue, gone: () => void) {
    this.#answer = answer
    this.#gone = gone
    answer.onRoom = () => this.#events?.onDrain()
  }

  listen(events: Parameters<Tunnel['listen']>[0]): void {
    this.#events = events
    this.#pump()
  }

  write(chunk: Uint8Array): boolean {
    this.#answer.push(Uint8Array.from(chunk))
    return this.#answer.bytes <= HIGH_WATER
  }

  end(): void {
    if (this.#gatewayEnded) return
    this.#gatewayEnded = true
    this.#answer.end()
    if (this.#clientEnded) this.#close()
  }

  destroy(): void {
    if (!this.#gatewayEnded) this.#answer.fail()
    this.#close()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#pump()
  }

  fromClient(bytes: Uint8Array): void {
    this.#held.push(bytes)
    this.#pump()
  }

  clientEnded(): void {
    this.#clientEnded = true
    this.#events?.onEnd()
    if (this.#gatewayEnded) this.#close()
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    queueMicrotask(() => {
      this.#events?.onClose()
      this.#gone()
    })
  }

  #pump(): void {
    while (this.#events !== undefined && !this.#paused) {
      const next = this.#held.shift()
      if (next === undefined) return
      this.#events.onChunk(next)
    }
  }
}

/** Bytes from a gateway to a client that reads when it wants. */
class ByteQueue {
  bytes = 0
  onRoom: (() => void) | undefined
  readonly #chunks: Uint8Array[] = []
  #ended = false
  #failed = false
  #waiting: (() => void) | undefined

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.bytes += chunk.length
    this.#wake()
  }

  end(): void {
    this.#ended = true
    this.#wake()
  }

  fail(): void {
    this.#failed = true
    this.#wake()
  }

  async take(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#chunks.shift()
      if (chunk !== undefined) {
        this.bytes -= chunk.length
        if (this.bytes === 0) this.onRoom?.()
        return chunk
      }
      if (this.#failed) throw new Error('the answer was cut')
      if (this.#ended) return undefined
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.()
  }
}

function fieldsOf(head: ResponseHead): string[] {
  const fields: string[] = []
  head.forEach((name, value) => {
    fields.push(name, value)
  })
  return fields
}

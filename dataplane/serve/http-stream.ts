// One request of a client on node:http, as the exchange sees it. http-connection.ts makes it when the request's turn has
// come, watches its progress, and hears of its end.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BodyReader, ClientConnection, ClientEvents, ClientStream, Tunnel } from '../runtime/carrier.ts'
import { ResponseFields, validFieldName, validFieldValue } from '../runtime/field-list.ts'
import type { ReceivedRequest } from '../runtime/received-request.ts'
import type { Received } from '../runtime/request-head.ts'

/** What a stream tells its connection. */
export interface StreamOwner {
  readonly clientConnection: ClientConnection
  /** The connection ends with the answer that is being given. */
  readonly closing: boolean
  /** The answer is complete and handed to the kernel. */
  streamFinished(): void
  /** The answer cannot be completed: the connection is cut. `reset`: only a reset tells the client. */
  streamCut(reset: boolean): void
}

/** A rest of the request body up to this size is read after the answer, so that the connection can be kept. */
const MOST_DRAINED = 65_536

/** Threats, section 4: what a body must bring after its first seconds. */
const LEAST_BYTES_PER_SECOND = 240
const BODY_GRACE = 10_000

/** Chunks below this are gathered for as long as one read is parsed: each would cost the backend's side a write. */
const SMALL_CHUNK = 4_096
const MOST_GATHERED = 65_536

/** See the head of this file. */
export class HttpStream implements ClientStream {
  readonly connection: ClientConnection
  readonly request: ReceivedRequest
  readonly bodyLength: number | null
  readonly expectsContinue: boolean
  readonly websocket = false
  readonly #owner: StreamOwner
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #oldVersion: boolean
  #closes: boolean
  #events: ClientEvents | undefined
  #state: 'open' | 'answering' | 'ended' | 'over' = 'open'
  #continued = false
  #chunked = false
  #untilClose = false
  #headWaits = false
  #bodyBytes = 0
  #bodyComplete: boolean
  #reading = false
  #readTime = 0
  #readSince = 0
  #reader: BodyReader | undefined
  #gathered: Buffer[] = []
  #gatheredBytes = 0

  constructor(owner: StreamOwner, received: Received, req: IncomingMessage, res: ServerResponse) {
    this.#owner = owner
    this.#req = req
    this.#res = res
    this.connection = owner.clientConnection
    this.request = received.request
    this.bodyLength = received.bodyLength
    this.expectsContinue = received.expectsContinue
    this.#closes = received.closes
    this.#bodyComplete = received.bodyLength === 0
    this.#oldVersion = req.httpVersionMinor === 0
    res.on('error', ignore)
    req.on('error', ignore)
    res.on('finish', () => this.#finished())
  }

  listen(events: ClientEvents): void {
    this.#events = events
  }

  createHead(status: number): ResponseFields {
    return new ResponseFields(status)
  }

  readBody(reader: BodyReader): void {
    const req = this.#req
    if (this.#state === 'over') return
    this.#startReading()
    this.#reader = reader
    req.on('data', (chunk: Buffer) => {
      this.#bodyBytes += chunk.length
      this.#gather(chunk)
    })
    req.on('end', () => {
      this.#deliver()
      this.#bodyComplete = true
      this.#stopReading()
      reader.onEnd(validTrailers(req.rawTrailers))
    })
  }

  resumeBody(): void {
    if (this.#bodyComplete || this.#state === 'over') return
    this.#startReading()
    this.#req.resume()
  }

  continue(): void {
    if (this.#continued || this.#state !== 'open' || !this.expectsContinue) return
    this.#continued = true
    this.#res.writeContinue()
  }

  interim(status: number, fields: readonly string[]): void {
    if (this.#state === 'open' && !this.#oldVersion) this.#res.writeInformation(status, fields)
  }

  closeAfterAnswer(): void {
    this.#closes = true
  }

  respond(head: ResponseFields, length: number | null): void {
    if (this.#state !== 'open') return
    this.#state = 'answering'
    const bodiless = this.request.method === 'HEAD' || head.status === 204 || head.status === 304
    this.#chunked = !bodiless && length === null && !this.#oldVersion
    this.#untilClose = !bodiless && length === null && this.#oldVersion
    if (!bodiless && length !== null) head.append('content-length', 'content-length', String(length))
    if (this.#closes || this.#owner.closing || this.#untilClose || !this.#canDrain()) {
      this.#closes = true
      head.append('connection', 'connection', 'close')
    }
    const fields = head.fields().slice()
    this.#res.writeHead(head.status, this.#oldVersion ? withoutTrailerField(fields) : fields)
    if (bodiless || length === 0) return
    // A head whose body comes later goes out by itself; one whose body comes at once shares its packet.
    this.#headWaits = true
    process.nextTick(flushHead, this)
  }

  write(chunk: Uint8Array): boolean {
    if (this.#state !== 'answering') return true
    this.#headWaits = false
    return this.#res.write(Buffer.from(chunk))
  }

  /** Sends the head alone, where it still waits. */
  flushHead(): void {
    if (this.#headWaits && this.#state === 'answering') this.#res.flushHeaders()
  }

  end(trailers: readonly string[]): void {
    if (this.#state !== 'answering') return
    this.#state = 'ended'
    this.#headWaits = false
    if (trailers.length > 0 && this.#chunked) this.#res.addTrailers(pairsOf(trailers))
    this.#res.end()
    if (!this.#bodyComplete) this.#dropBody()
  }

  abort(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#owner.streamCut(this.#untilClose)
  }

  tunnel(): Tunnel {
    throw new Error('only a WebSocket handshake becomes a tunnel')
  }

  /** The socket has room again. */
  drained(): void {
    if (this.#state === 'answering') this.#events?.onDrain()
  }

  /** The socket is gone, or its bytes are no request any more. */
  clientGone(): void {
    this.#stopReading()
    this.#forgetBody()
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#events?.onAbort()
  }

  /** Whether a final head was sent. */
  get answered(): boolean {
    return this.#state !== 'open'
  }

  /** Called every second. Ends a body that makes no progress. */
  watch(now: number): void {
    if (!this.#reading) return
    const time = this.#readTime + (now - this.#readSince)
    if (time <= BODY_GRACE || this.#bodyBytes * 1000 >= LEAST_BYTES_PER_SECOND * time) return
    // After the answer there is nobody left to tell.
    if (this.#state === 'ended' || this.#state === 'over') this.#owner.streamCut(false)
    else this.#events?.onBodyStalled()
  }

  #gather(chunk: Buffer): void {
    if (this.#gatheredBytes === 0) {
      if (chunk.length >= SMALL_CHUNK) {
        this.#show(chunk)
        return
      }
      // Not a tick: those run between two chunks of one read.
      setImmediate(() => this.#deliver())
    }
    this.#gathered.push(chunk)
    this.#gatheredBytes += chunk.length
    if (this.#gatheredBytes >= MOST_GATHERED) this.#deliver()
  }

  #deliver(): void {
    if (this.#gatheredBytes === 0) return
    const [first] = this.#gathered
    const whole = this.#gathered.length === 1 && first !== undefined ? first : Buffer.concat(this.#gathered)
    this.#gathered = []
    this.#gatheredBytes = 0
    this.#show(whole)
  }

  #show(chunk: Buffer): void {
    if (this.#reader?.onChunk(chunk) !== false) return
    this.#stopReading()
    this.#req.pause()
  }

  #forgetBody(): void {
    this.#reader = undefined
    this.#gathered = []
    this.#gatheredBytes = 0
  }

  #startReading(): void {
    if (this.#reading) return
    this.#reading = true
    this.#readSince = performance.now()
  }

  #stopReading(): void {
    if (!this.#reading) return
    this.#reading = false
    this.#readTime += performance.now() - this.#readSince
  }

  /** Whether the rest of the request body is known to be small. */
  #canDrain(): boolean {
    if (this.#bodyComplete || this.#req.complete) return true
    if (this.bodyLength === null || (this.expectsContinue && !this.#continued)) return false
    return this.bodyLength - this.#bodyBytes <= MOST_DRAINED
  }

  /** What the client still sends of this request goes nowhere, and must not be taken for the next one. */
  #dropBody(): void {
    const req = this.#req
    this.#forgetBody()
    req.removeAllListeners('data')
    req.removeAllListeners('end')
    req.on('data', (chunk: Buffer) => {
      this.#bodyBytes += chunk.length
    })
    req.on('end', () => {
      this.#bodyComplete = true
      this.#stopReading()
    })
    this.#startReading()
    req.resume()
  }

  #finished(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#events?.onFinish()
    this.#owner.streamFinished()
  }
}

function ignore(): void {}

function flushHead(stream: HttpStream): void {
  stream.flushHead()
}

/** Trailers that could be passed on; the exchange decides which are. */
function validTrailers(raw: readonly string[]): readonly string[] {
  if (raw.length === 0) return raw
  const valid: string[] = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? ''
    const value = raw[at + 1] ?? ''
    if (validFieldName(name) && !name.includes('_') && validFieldValue(value)) valid.push(name, value)
  }
  return valid
}

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let at = 0; at + 1 < flat.length; at += 2) pairs.push([flat[at] ?? '', flat[at + 1] ?? ''])
  return pairs
}

/** HTTP/1.0 has no chunks, so no trailers can be promised. */
function withoutTrailerField(fields: readonly string[]): string[] {
  const kept: string[] = []
  for (let at = 0; at + 1 < fields.length; at += 2) {
    if (fields[at]?.toLowerCase() !== 'trailer') kept.push(fields[at] ?? '', fields[at + 1] ?? '')
  }
  return kept
}

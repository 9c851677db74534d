// A second codec under the same exchange: a small strict HTTP/1.1 server of its own on node:net, without node:http or
// Fastify. It proves that the exchange knows no codec. One request at a time, every answer framed by hand.
import net, { type Server, type Socket } from 'node:net'
import { AddressRanges } from '../../model/address.ts'
import type { ResponseHead } from '../../model/filter.ts'
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import { problem } from '../../dataplane/errors.ts'
import type { BodyReader, ClientEvents, ClientStream, Tunnel } from '../../dataplane/runtime/carrier.ts'
import { Connection } from '../../dataplane/runtime/client-connection.ts'
import { ResponseFields } from '../../dataplane/runtime/field-list.ts'
import type { ReceivedRequest } from '../../dataplane/runtime/received-request.ts'
import { receiveRequest, type Received } from '../../dataplane/runtime/request-head.ts'
import type { Handler } from './memory-carrier.ts'

type Flat = readonly string[]
type TunnelEvents = Parameters<Tunnel['listen']>[0]

/** Listens on a free port of 127.0.0.1. */
export async function listenRaw(handler: Handler): Promise<{ port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const server: Server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    new RawConnection(socket, handler)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** Reads heads and bodies of one socket, in turn. */
class RawConnection {
  readonly socket: Socket
  readonly client: Connection
  readonly #handler: Handler
  #held: Buffer = Buffer.alloc(0)
  #stream: RawStream | undefined
  #tunnel: TunnelEvents | undefined
  #reading: 'head' | 'body' | 'answer' | 'tunnel' | 'nothing' = 'head'

  constructor(socket: Socket, handler: Handler) {
    this.socket = socket
    this.#handler = handler
    this.client = new Connection({
      peerAddress: socket.remoteAddress ?? '',
      localPort: socket.localPort ?? 0,
      tls: null,
      trusted: new AddressRanges([]),
    })
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      if (this.#reading === 'nothing') return
      this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
      this.pump()
    })
    socket.on('end', () => {
      if (this.#reading === 'tunnel') this.#tunnel?.onEnd()
      else this.#gone()
    })
    socket.on('drain', () => {
      if (this.#reading === 'tunnel') this.#tunnel?.onDrain()
      else this.#stream?.drained()
    })
    socket.on('close', () => {
      this.#tunnel?.onClose()
      this.#gone()
      this.client.close()
    })
  }

  /** Works through what is held, as far as the present request lets it. */
  pump(): void {
    if (this.#reading === 'head') this.#readHead()
    if (this.#reading === 'body') this.#readBody()
    if (this.#reading === 'tunnel' && this.#tunnel !== undefined && this.#held.length > 0) {
      const bytes = this.#held
      this.#held = Buffer.alloc(0)
      this.#tunnel.onChunk(bytes)
    }
  }

  /** The answer is complete. */
  finished(keep: boolean): void {
    const stream = this.#stream
    if (keep && stream?.bodyComplete === true) {
      this.#stream = undefined
      this.#reading = 'head'
      this.pump()
      return
    }
    this.#reading = 'nothing'
    this.#held = Buffer.alloc(0)
    this.socket.end()
    this.socket.resume()
    const timer = setTimeout(() => this.socket.destroy(), 1_000)
    this.socket.on('close', () => clearTimeout(timer))
  }

  becomeTunnel(): Tunnel {
    const { socket } = this
    this.#reading = 'tunnel'
    this.#stream = undefined
    return {
      write: (chunk) => socket.write(Buffer.from(chunk)),
      end: () => void socket.end(),
      destroy: () => void socket.destroy(),
      pause: () => void socket.pause(),
      resume: () => void socket.resume(),
      listen: (events) => {
        process.nextTick(() => {
          this.#tunnel = events
          this.pump()
        })
      },
    }
  }

  #readHead(): void {
    const end = this.#held.indexOf('\r\n\r\n')
    if (end < 0) {
      if (this.#held.length > 40_960) this.#refuse('HeadersTooLarge')
      return
    }
    const lines = this.#held.toString('latin1', 0, end).split('\r\n')
    this.#held = this.#held.subarray(end + 4)
    const start = /^([^ ]+) ([^ ]+) HTTP\/(1\.[01])$/.exec(lines[0] ?? '')
    const fields: string[] = []
    for (const line of lines.slice(1)) {
      const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line)
      if (field === null) {
        this.#refuse('BadRequest')
        return
      }
      fields.push(field[1] ?? '', field[2] ?? '')
    }
    if (start === null) {
      this.#refuse('BadRequest')
      return
    }
    const [, method = '', target = '', version = ''] = start
    const received = receiveRequest({ method, target, version, fields }, this.client)
    if (typeof received === 'string') {
      this.#refuse(received)
      return
    }
    this.#reading = 'body'
    this.#stream = new RawStream(this, received)
    this.#handler(this.#stream)
  }

  #readBody(): void {
    const stream = this.#stream
    while (stream !== undefined && this.#stream === stream && !stream.bodyComplete && stream.wantsBody) {
      const taken = stream.takeBody(this.#held)
      if (taken === 0) break
      if (taken < 0) {
        this.#gone()
        this.socket.destroy()
        return
      }
      this.#held = this.#held.subarray(taken)
    }
    // What is not wanted yet stays in the kernel, so that the client feels it.
    if (stream !== undefined && !stream.bodyComplete && !stream.wantsBody && this.#held.length > 0) this.socket.pause()
  }

  #refuse(code: GatewayErrorCode): void {
    const answer = problem({ code }, 'refused')
    this.socket.write(
      headText(answer.status, [...answer.fields, 'content-length', String(answer.body.length), 'connection', 'close']),
      'latin1',
    )
    this.socket.write(answer.body)
    this.finished(false)
  }

  #gone(): void {
    const stream = this.#stream
    this.#stream = undefined
    stream?.gone()
    if (this.#reading !== 'nothing' && this.#reading !== 'tunnel') this.socket.destroy()
  }
}

class RawStream implements ClientStream {
  readonly connection: Connection
  readonly request: ReceivedRequest
  readonly bodyLength: number | null
  readonly expectsContinue: boolean
  readonly websocket: boolean
  bodyComplete: boolean
  readonly #owner: RawConnection
  #reader: BodyReader | undefined
  #paused = false
  #left: number
  #trailers: string[] | undefined
  #events: ClientEvents | undefined
  #state: 'open' | 'answering' | 'over' = 'open'
  #closes: boolean
  #chunked = false
  #continued = false
  #dropping = false

  constructor(owner: RawConnection, received: Received) {
    this.#owner = owner
    this.connection = owner.client
    this.request = received.request
    this.bodyLength = received.bodyLength
    this.expectsContinue = received.expectsContinue
    this.websocket = received.websocket
    this.bodyComplete = received.bodyLength === 0
    this.#left = received.bodyLength ?? 0
    this.#closes = received.closes
  }

  get wantsBody(): boolean {
    return (this.#reader !== undefined && !this.#paused) || this.#dropping
  }

  /** Takes what it can of the held bytes; returns how many, 0 for too few, -1 for no body. */
  takeBody(held: Buffer): number {
    if (this.bodyLength !== null) {
      const part = held.subarray(0, this.#left)
      this.#left -= part.length
      if (part.length > 0) this.#give(part)
      if (this.#left === 0) this.#complete([])
      return part.length
    }
    return this.#takeChunk(held)
  }

  listen(events: ClientEvents): void {
    this.#events = events
  }

  createHead(status: number): ResponseFields {
    return new ResponseFields(status)
  }

  readBody(reader: BodyReader): void {
    this.#reader = reader
    queueMicrotask(() => this.#owner.pump())
  }

  resumeBody(): void {
    this.#paused = false
    this.#owner.socket.resume()
    queueMicrotask(() => this.#owner.pump())
  }

  continue(): void {
    if (this.#continued || this.#state !== 'open') return
    this.#continued = true
    this.#owner.socket.write('HTTP/1.1 100 Continue\r\n\r\n')
  }

  interim(status: number, fields: Flat): void {
    if (this.#state === 'open') this.#owner.socket.write(headText(status, fields), 'latin1')
  }

  closeAfterAnswer(): void {
    this.#closes = true
  }

  respond(head: ResponseHead, length: number | null): void {
    if (this.#state !== 'open') return
    this.#state = 'answering'
    const fields: string[] = []
    head.forEach((name, value) => {
      fields.push(name, value)
    })
    const bodiless = this.request.method === 'HEAD' || head.status === 204 || head.status === 304
    this.#chunked = !bodiless && length === null
    if (this.#chunked) fields.push('transfer-encoding', 'chunked')
    else if (!bodiless) fields.push('content-length', String(length))
    if (!this.bodyComplete) this.#closes = true
    if (this.#closes) fields.push('connection', 'close')
    this.#owner.socket.write(headText(head.status, fields), 'latin1')
  }

  write(chunk: Uint8Array): boolean {
    if (this.#state !== 'answering') return true
    const { socket } = this.#owner
    if (!this.#chunked) return socket.write(Buffer.from(chunk))
    return socket.write(Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]))
  }

  end(trailers: Flat): void {
    if (this.#state !== 'answering') return
    this.#state = 'over'
    if (this.#chunked) this.#owner.socket.write(`0\r\n${fieldText(trailers)}\r\n`, 'latin1')
    this.#dropping = true
    this.#owner.socket.write('', () => {
      this.#events?.onFinish()
      this.#owner.finished(!this.#closes)
    })
  }

  abort(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#owner.socket.destroy()
  }

  tunnel(head: ResponseHead): Tunnel {
    this.#state = 'over'
    const fields: string[] = []
    head.forEach((name, value) => {
      fields.push(name, value)
    })
    this.#owner.socket.write(headText(101, [...fields, 'connection', 'Upgrade', 'upgrade', 'websocket']), 'latin1')
    return this.#owner.becomeTunnel()
  }

  drained(): void {
    if (this.#state === 'answering') this.#events?.onDrain()
  }

  gone(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#events?.onAbort()
  }

  #takeChunk(held: Buffer): number {
    const end = held.indexOf('\r\n')
    if (end < 0) return held.length > 1_024 ? -1 : 0
    const line = held.toString('latin1', 0, end)
    if (this.#trailers !== undefined) {
      if (line === '') this.#complete(this.#trailers)
      else {
        const field = /^([!#$%&'*+.^`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line)
        if (field === null) return -1
        this.#trailers.push(field[1] ?? '', field[2] ?? '')
      }
      return end + 2
    }
    if (!/^[0-9a-f]{1,8}$/i.test(line)) return -1
    const size = Number.parseInt(line, 16)
    if (size === 0) {
      this.#trailers = []
      return end + 2
    }
    if (held.length < end + 2 + size + 2) return 0
    this.#give(held.subarray(end + 2, end + 2 + size))
    return end + 2 + size + 2
  }

  #give(part: Buffer): void {
    if (this.#dropping) return
    if (this.#reader?.onChunk(part) === false) this.#paused = true
  }

  #complete(trailers: Flat): void {
    this.bodyComplete = true
    if (!this.#dropping) this.#reader?.onEnd(trailers)
  }
}

function headText(status: number, fields: Flat): string {
  return `HTTP/1.1 ${status} -\r\n${fieldText(fields)}\r\n`
}

function fieldText(fields: Flat): string {
  let text = ''
  for (let at = 0; at + 1 < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`
  return text
}

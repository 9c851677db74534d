// A WebSocket handshake on a socket that node:http has let go of. Becomes a tunnel after the backend's 101, or gives an
// ordinary answer and closes. What the client sends before the 101 is held, never passed on.
import type { Socket } from 'node:net'
import type { ResponseHead } from '../../model/filter.ts'
import type { BodyReader, ClientConnection, ClientEvents, ClientStream, Tunnel } from '../runtime/carrier.ts'
import { ResponseFields } from '../runtime/field-list.ts'
import type { ReceivedRequest } from '../runtime/received-request.ts'
import { ClientTunnel } from './socket-tunnel.ts'
import { closeInStages } from './staged-close.ts'
import { fieldsOf, headText } from './wire.ts'

/** Bytes held before the 101; a client that sends more has to wait. */
const MOST_EARLY = 65_536

/** See the head of this file. */
export class UpgradeStream implements ClientStream {
  readonly connection: ClientConnection
  readonly request: ReceivedRequest
  readonly bodyLength = 0
  readonly expectsContinue = false
  readonly websocket = true
  readonly #socket: Socket
  readonly #early: Buffer[] = []
  #earlyBytes = 0
  #events: ClientEvents | undefined
  #state: 'open' | 'answering' | 'over' = 'open'
  #chunked = false

  constructor(connection: ClientConnection, request: ReceivedRequest, socket: Socket, head: Buffer) {
    this.connection = connection
    this.request = request
    this.#socket = socket
    if (head.length > 0) this.#hold(head)
    // Reading goes on, because only a read tells that the client has gone.
    socket.on('data', this.#hold)
    socket.on('end', this.#gone)
    socket.on('close', this.#gone)
    socket.on('drain', this.#drained)
    socket.resume()
  }

  readonly #hold = (chunk: Buffer): void => {
    if (this.#state !== 'open') return
    this.#early.push(chunk)
    this.#earlyBytes += chunk.length
    if (this.#earlyBytes > MOST_EARLY) this.#socket.pause()
  }

  readonly #gone = (): void => {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#events?.onAbort()
    this.#socket.destroy()
  }

  readonly #drained = (): void => {
    if (this.#state === 'answering') this.#events?.onDrain()
  }

  listen(events: ClientEvents): void {
    this.#events = events
  }

  createHead(status: number): ResponseFields {
    return new ResponseFields(status)
  }

  readBody(reader: BodyReader): void {
    reader.onEnd([])
  }

  resumeBody(): void {}

  continue(): void {}

  closeAfterAnswer(): void {}

  interim(status: number, fields: readonly string[]): void {
    if (this.#state === 'open') this.#socket.write(headText(status, fields), 'latin1')
  }

  respond(head: ResponseHead, length: number | null): void {
    if (this.#state !== 'open') return
    this.#state = 'answering'
    const fields = fieldsOf(head)
    const bodiless = head.status === 204 || head.status === 304
    this.#chunked = !bodiless && length === null
    if (this.#chunked) fields.push('transfer-encoding', 'chunked')
    else if (!bodiless) fields.push('content-length', String(length))
    fields.push('connection', 'close')
    this.#socket.write(headText(head.status, fields), 'latin1')
  }

  write(chunk: Uint8Array): boolean {
    if (this.#state !== 'answering' || chunk.length === 0) return true
    const socket = this.#socket
    if (!this.#chunked) return socket.write(Buffer.from(chunk))
    socket.cork()
    socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
    socket.write(Buffer.from(chunk))
    const room = socket.write('\r\n', 'latin1')
    socket.uncork()
    return room
  }

  end(trailers: readonly string[]): void {
    if (this.#state !== 'answering') return
    this.#state = 'over'
    if (this.#chunked) {
      let text = '0\r\n'
      for (let at = 0; at + 1 < trailers.length; at += 2) text += `${trailers[at] ?? ''}: ${trailers[at + 1] ?? ''}\r\n`
      this.#socket.write(`${text}\r\n`, 'latin1')
    }
    closeInStages(this.#socket)
    if (this.#socket.writableFinished || this.#socket.destroyed) this.#events?.onFinish()
    else {
      const finish = () => {
        this.#socket.off('finish', finish)
        this.#socket.off('close', finish)
        this.#events?.onFinish()
      }
      this.#socket.on('finish', finish)
      this.#socket.on('close', finish)
    }
  }

  abort(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#socket.destroy()
  }

  tunnel(head: ResponseHead): Tunnel {
    const socket = this.#socket
    this.#state = 'over'
    socket.off('data', this.#hold)
    socket.off('end', this.#gone)
    socket.off('close', this.#gone)
    socket.off('drain', this.#drained)
    socket.pause()
    const fields = fieldsOf(head)
    fields.push('connection', 'Upgrade', 'upgrade', 'websocket')
    if (socket.writable) socket.write(headText(101, fields), 'latin1')
    return new ClientTunnel(socket, this.#early)
  }
}

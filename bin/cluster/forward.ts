// A connection to a port of a pod through the API server, as `kubectl port-forward` makes one: a WebSocket to the pod's
// `portforward` (protocol v4.channel.k8s.io), whose first byte says the channel: 0 carries data, 1 carries a last word
// about what went wrong. One WebSocket is one connection. session.ts and the curl verb speak through it.
import { Duplex } from 'node:stream'
import WebSocket from 'ws'
import type { Credentials } from '../../controller/sources/kubernetes/access.ts'
import { CommandFailure, EXIT_CODES } from '../exit.ts'

/** Where to. */
export interface ForwardTarget {
  readonly namespace: string
  readonly pod: string
  readonly port: number
}

const PROTOCOL = 'v4.channel.k8s.io'
const DATA = 0
const ERROR = 1
/** Each channel begins with the port, two bytes. */
const PREAMBLE = 2
const MAX_MESSAGE = 4 * 1024 * 1024
/** Bytes that may wait in the socket before the writer has to. */
const ENOUGH = 1024 * 1024

/** Opens a connection. Fails with 3 where the pod cannot be reached, 4 where that is not allowed. */
export async function forward(
  credentials: Credentials,
  { namespace, pod, port }: ForwardTarget,
  timeoutMs: number,
): Promise<Duplex> {
  const { host, port: apiPort, path, serverName } = credentials.server
  const access = await credentials.access()
  const name = host.includes(':') ? `[${host}]` : host
  const url = `wss://${name}:${apiPort}${path}/api/v1/namespaces/${namespace}/pods/${pod}/portforward?ports=${port}`
  const socket = new WebSocket(url, [PROTOCOL], {
    ...(access.ca === undefined ? {} : { ca: access.ca }),
    ...(access.certificate === undefined ? {} : { cert: access.certificate }),
    ...(access.key === undefined ? {} : { key: access.key.reveal() }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(access.token === undefined ? {} : { headers: { authorization: `Bearer ${access.token.reveal()}` } }),
    handshakeTimeout: timeoutMs,
    maxPayload: MAX_MESSAGE,
    perMessageDeflate: false,
    followRedirects: false,
  })
  const stream = new ForwardedPort(socket)
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('unexpected-response', (_request, response) => {
      const status = response.statusCode ?? 0
      response.destroy()
      const code = status === 401 || status === 403 ? EXIT_CODES.notAllowed : EXIT_CODES.unreachable
      const what = status === 403 ? 'you may not forward ports of pods there' : `the API server answered ${status}`
      reject(new CommandFailure(code, `${namespace}/${pod}: ${what}`))
    })
    socket.once('error', (error) => {
      reject(new CommandFailure(EXIT_CODES.unreachable, `${namespace}/${pod} cannot be reached: ${error.message}`))
    })
  })
  return stream
}

class ForwardedPort extends Duplex {
  readonly #socket: WebSocket
  readonly #skipped = new Map<number, number>()

  constructor(socket: WebSocket) {
    super({ allowHalfOpen: false })
    this.#socket = socket
    socket.on('message', (message: WebSocket.RawData) => this.#take(bytesOf(message)))
    socket.on('close', () => this.push(null))
    // Before it is open the opener hears of it.
    socket.on('error', (error) => this.destroy(error))
    this.on('error', () => undefined)
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const message = Buffer.allocUnsafe(chunk.length + 1)
    message[0] = DATA
    chunk.copy(message, 1)
    const late = this.#socket.bufferedAmount > ENOUGH
    this.#socket.send(message, (error) => {
      if (late || error) done(error)
    })
    if (!late) done()
  }

  override _final(done: () => void): void {
    // The protocol cannot close one direction; the answer ends the connection.
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.terminate()
    done(error)
  }

  #take(message: Buffer): void {
    const channel = message[0]
    if (channel === undefined) return
    const skipped = this.#skipped.get(channel) ?? 0
    const skip = Math.min(PREAMBLE - skipped, message.length - 1)
    this.#skipped.set(channel, skipped + skip)
    const content = message.subarray(1 + skip)
    if (content.length === 0) return
    if (channel === ERROR) this.destroy(new Error(content.toString('utf8').trim().slice(0, 500)))
    else if (channel === DATA && !this.push(content)) this.#socket.pause()
  }
}

function bytesOf(message: WebSocket.RawData): Buffer {
  if (Buffer.isBuffer(message)) return message
  return Array.isArray(message) ? Buffer.concat(message) : Buffer.from(message)
}

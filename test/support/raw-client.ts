// An HTTP/1.1 client that writes exactly the bytes it is told and reads answers strictly, one at a time. For tests that
// are about bytes; reads from the socket only what is asked for, so that backpressure can be seen.
import net, { type Socket } from 'node:net'
import tls, { type ConnectionOptions } from 'node:tls'
import type { CallOptions, ClientCall, Flat } from './client-call.ts'

/** One answer, whole. */
export interface RawAnswer {
  readonly status: number
  readonly fields: Flat
  readonly interim: readonly { readonly status: number; readonly fields: Flat }[]
  readonly body: Buffer
  readonly trailers: Flat
}

/** How the body of an answer ends. */
type Framing = { type: 'none' } | { type: 'length'; left: number } | { type: 'chunked' } | { type: 'close' }

/** One connection. Answers are read in the order of the requests. */
export class RawClient {
  readonly socket: Socket
  /** Why the connection ended, '' while it stands or where it ended cleanly. */
  error = ''
  #held: Buffer = Buffer.alloc(0)
  #ended = false
  #wake: (() => void) | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.pause()
    socket.on('data', (chunk: Buffer) => {
      this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
      socket.pause()
      this.#wake?.()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? error.message
    })
    for (const event of ['end', 'close'] as const) {
      socket.on(event, () => {
        this.#ended = true
        this.#wake?.()
      })
    }
  }

  /** Connects; over TLS where options for it are given. */
  static async connect(port: number, secure?: ConnectionOptions): Promise<RawClient> {
    const socket =
      secure === undefined
        ? net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
        : tls.connect({ port, host: '127.0.0.1', ...secure })
    await new Promise<void>((resolve, reject) => {
      socket.once(secure === undefined ? 'connect' : 'secureConnect', resolve)
      socket.once('error', reject)
    })
    return new RawClient(socket)
  }

  /** Writes; resolves when the kernel has room again. Text is latin1. */
  async send(bytes: Uint8Array | string): Promise<void> {
    const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
    if (this.socket.write(data)) return
    await new Promise<void>((resolve) => {
      const done = () => {
        this.socket.off('drain', done)
        this.socket.off('close', done)
        resolve()
      }
      this.socket.on('drain', done)
      this.socket.on('close', done)
    })
  }

  /** Reads heads up to the final one. */
  async head(): Promise<{ status: number; fields: Flat; interim: { status: number; fields: Flat }[] }> {
    const interim: { status: number; fields: Flat }[] = []
    for (;;) {
      const start = /^HTTP\/1\.1 ([0-9]{3}) [^\r\n]*$/.exec(await this.line())
      if (start === null) throw new Error('not a status line')
      const status = Number(start[1])
      const fields = await this.fieldLines()
      if (status >= 200 || status === 101) return { status, fields, interim }
      interim.push({ status, fields })
    }
  }

  /** Reads one whole answer to a request of that method. Throws where it is cut or wrongly framed. */
  async answer(method = 'GET'): Promise<RawAnswer> {
    const head = await this.head()
    const framing = framingOf(method, head.status, head.fields)
    const parts: Uint8Array[] = []
    for (let part = await this.body(framing); part !== undefined; part = await this.body(framing)) parts.push(part)
    const trailers = framing.type === 'chunked' ? await this.fieldLines() : []
    return { ...head, body: Buffer.concat(parts), trailers }
  }

  /** Sends a request and reads its answer. */
  async request(text: string, method = text.slice(0, text.indexOf(' '))): Promise<RawAnswer> {
    await this.send(text)
    return this.answer(method)
  }

  /** The next bytes of a body; undefined at its end. */
  async body(framing: Framing): Promise<Uint8Array | undefined> {
    switch (framing.type) {
      case 'none':
        return undefined
      case 'length': {
        if (framing.left === 0) return undefined
        const part = await this.some(framing.left)
        if (part === undefined) throw new Error(`cut: ${this.error || 'closed'}`)
        framing.left -= part.length
        return part
      }
      case 'close': {
        const part = await this.some(Number.POSITIVE_INFINITY)
        if (part === undefined && this.error !== '') throw new Error(`cut: ${this.error}`)
        return part
      }
      case 'chunked': {
        const size = /^([0-9a-f]+)$/i.exec(await this.line())
        if (size === null) throw new Error('not a chunk size')
        const length = Number.parseInt(size[1] ?? '', 16)
        if (length === 0) return undefined
        const chunk = await this.exactly(length)
        if ((await this.exactly(2)).toString('latin1') !== '\r\n') throw new Error('no CRLF after a chunk')
        return chunk
      }
    }
  }

  /** Everything until the other side ends, as latin1. */
  async rest(): Promise<string> {
    let text = ''
    for (let part = await this.some(65_536); part !== undefined; part = await this.some(65_536)) {
      text += part.toString('latin1')
    }
    return text
  }

  async fieldLines(): Promise<Flat> {
    const fields: string[] = []
    for (let line = await this.line(); line !== ''; line = await this.line()) {
      const colon = line.indexOf(':')
      if (colon < 1) throw new Error('not a field line')
      fields.push(line.slice(0, colon), line.slice(colon + 1).trim())
    }
    return fields
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#held.indexOf('\r\n')
      if (end >= 0) {
        const line = this.#held.toString('latin1', 0, end)
        this.#held = this.#held.subarray(end + 2)
        return line
      }
      await this.#more()
    }
  }

  async exactly(length: number): Promise<Buffer> {
    while (this.#held.length < length) await this.#more()
    const part = this.#held.subarray(0, length)
    this.#held = this.#held.subarray(length)
    return part
  }

  /** At least one byte, at most `most`; undefined where the other side has ended. */
  async some(most: number): Promise<Buffer | undefined> {
    while (this.#held.length === 0) {
      if (this.#ended) return undefined
      await this.#wait()
    }
    const part = this.#held.subarray(0, most)
    this.#held = this.#held.subarray(part.length)
    return part
  }

  /** Resolves when the connection is closed or half closed by the other side; unread bytes are dropped. */
  async closed(): Promise<void> {
    while (!this.#ended) {
      this.#held = Buffer.alloc(0)
      await this.#wait()
    }
  }

  /** Goes away without a word. */
  destroy(): void {
    this.socket.destroy()
  }

  async #more(): Promise<void> {
    if (this.#ended) throw new Error(`cut: ${this.error || 'closed'}`)
    await this.#wait()
  }

  async #wait(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      this.socket.resume()
    })
    this.#wake = undefined
  }
}

/** RFC 9112 section 6.3, from the client's side. Throws on two lengths. */
function framingOf(method: string, status: number, fields: Flat): Framing {
  const of = (wanted: string) => {
    const values: string[] = []
    for (let at = 0; at < fields.length; at += 2)
      if (fields[at]?.toLowerCase() === wanted) values.push(fields[at + 1] ?? '')
    return values
  }
  const lengths = of('content-length')
  const codings = of('transfer-encoding')
  if (lengths.length + codings.length > 1) throw new Error('ambiguous length')
  if (method === 'HEAD' || status === 204 || status === 304 || status < 200) return { type: 'none' }
  if (codings.length === 1) {
    if (codings[0] !== 'chunked') throw new Error(`unknown coding ${codings[0]}`)
    return { type: 'chunked' }
  }
  return lengths.length === 1 ? { type: 'length', left: Number(lengths[0]) } : { type: 'close' }
}

/** A ClientCall over one connection of its own. */
export class SocketCall implements ClientCall {
  readonly interim: { status: number; fields: Flat }[] = []
  trailers: Flat = []
  readonly #client: Promise<RawClient>
  readonly #options: CallOptions
  #head: Promise<{ status: number; fields: Flat }> | undefined
  #framing: Framing = { type: 'none' }
  #tunnel = false
  #done = false

  constructor(port: number, options: CallOptions) {
    this.#options = options
    this.#client = this.#open(port)
    this.#client.catch(() => {})
  }

  async write(chunk: Uint8Array | string): Promise<void> {
    const client = await this.#client
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk
    if (this.#tunnel || this.#options.bodyLength !== null) await client.send(bytes)
    else await client.send(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]))
  }

  end(trailers: Flat = []): void {
    if (this.#options.bodyLength !== null) return
    let text = '0\r\n'
    for (let at = 0; at < trailers.length; at += 2) text += `${trailers[at]}: ${trailers[at + 1]}\r\n`
    void this.#client.then((client) => client.send(`${text}\r\n`))
  }

  head(): Promise<{ status: number; fields: Flat }> {
    this.#head ??= this.#readHead()
    return this.#head
  }

  async read(): Promise<Uint8Array | undefined> {
    await this.head()
    const client = await this.#client
    if (this.#tunnel) return client.some(65_536)
    if (this.#done) return undefined
    const part = await client.body(this.#framing)
    if (part !== undefined) return part
    this.#done = true
    if (this.#framing.type === 'chunked') this.trailers = await client.fieldLines()
    return undefined
  }

  async text(): Promise<string> {
    let text = ''
    for (let part = await this.read(); part !== undefined; part = await this.read()) {
      text += Buffer.from(part).toString('latin1')
    }
    return text
  }

  abort(): void {
    void this.#client.then((client) => client.destroy())
  }

  endTunnel(): void {
    void this.#client.then((client) => client.socket.end())
  }

  async #open(port: number): Promise<RawClient> {
    const { method = 'GET', target = '/', host = 'app.test', fields = [], bodyLength } = this.#options
    const client = await RawClient.connect(port)
    let text = `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n`
    for (let at = 0; at < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`
    if (bodyLength === null) text += 'Transfer-Encoding: chunked\r\n'
    else if (bodyLength !== undefined) text += `Content-Length: ${bodyLength}\r\n`
    await client.send(`${text}\r\n`)
    return client
  }

  async #readHead(): Promise<{ status: number; fields: Flat }> {
    const client = await this.#client
    const { method = 'GET' } = this.#options
    for (;;) {
      const start = /^HTTP\/1\.1 ([0-9]{3}) [^\r\n]*$/.exec(await client.line())
      if (start === null) throw new Error('not a status line')
      const status = Number(start[1])
      const fields = await client.fieldLines()
      if (status < 200 && status !== 101) {
        this.interim.push({ status, fields })
        continue
      }
      this.#tunnel = status === 101
      this.#framing = framingOf(method, status, fields)
      return { status, fields }
    }
  }
}

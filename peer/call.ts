// Calls to one peer: HTTP/1.1 with JSON over connections that connect.ts has proven, kept between calls, each call with
// a deadline and a bound on its answer. controller/publish and dataplane/receive make their calls here.
import {
  Agent,
  type ClientRequest,
  type ClientRequestArgs,
  type IncomingMessage,
  request as httpRequest,
} from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { TLSSocket } from 'node:tls'
import { readPushProblem } from '../model/push.ts'
import { readJson } from './lines.ts'

/** One call. Times in milliseconds. */
export interface Call {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** JSON as text, or a stream of lines. */
  readonly body?: { readonly type: string; readonly content: string | Readable }
  /** For the whole call. */
  readonly timeout: number
  /** Without one byte in either direction. */
  readonly idle: number
  /** Bytes of the answer. */
  readonly maxAnswer: number
}

/** Milliseconds between an answer and the end of what it answers. */
const SENT_MS = 1_000

/** An answer other than 200. `code` is the peer's word for it. */
export class CallRefused extends Error {
  override readonly name = 'CallRefused'
  readonly status: number
  readonly code: string
  readonly retryAfter: number | undefined

  constructor(status: number, code: string, message: string, retryAfter?: number) {
    super(message)
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
  }
}

/** Calls to one peer. */
export class PeerCaller {
  readonly #agent: PeerAgent

  /** @param connect opens a proven connection. */
  constructor(connect: () => Promise<TLSSocket>) {
    this.#agent = new PeerAgent(connect)
  }

  /** Resolves with the parsed body of a 200. Rejects with CallRefused, or with what went wrong on the way. */
  async json(call: Call): Promise<unknown> {
    try {
      return await this.#json(call)
    } catch (error) {
      // A kept connection that the peer had closed meanwhile says nothing about the peer.
      if (!(error instanceof StaleConnection) || typeof call.body?.content === 'object') throw error
      return await this.#json(call)
    }
  }

  /** Makes a call and hands the stream of a 200 to `read`. The deadline covers the reading too. */
  async stream<Result>(call: Call, read: (stream: Readable) => Promise<Result>): Promise<Result> {
    const exchange = this.#send(call)
    try {
      const response = await exchange.response
      if (response.statusCode !== 200) throw await refusal(response, call)
      return await read(response)
    } finally {
      exchange.end()
    }
  }

  /** Ends every connection. */
  close(): void {
    this.#agent.destroy()
  }

  async #json(call: Call): Promise<unknown> {
    const exchange = this.#send(call)
    try {
      const response = await exchange.response
      if (response.statusCode !== 200) throw await refusal(response, call)
      return await readJson(response, call.maxAnswer)
    } finally {
      exchange.end()
    }
  }

  #send(call: Call): { readonly response: Promise<IncomingMessage>; end(): void } {
    const { method, path, headers, body, timeout, idle } = call
    const request: ClientRequest = httpRequest({
      agent: this.#agent,
      method,
      path,
      host: 'peer',
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': body.type }) },
    })
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeout} ms`)), timeout)
    request.setTimeout(idle, () => request.destroy(new Error(`nothing came for ${idle} ms`)))
    let answer: IncomingMessage | undefined
    const response = new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', (incoming: IncomingMessage) => {
        answer = incoming
        resolve(incoming)
      })
      request.on('error', (error: NodeJS.ErrnoException) => {
        const stale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
        reject(stale ? new StaleConnection(error.message) : error)
      })
    })
    // Whoever ended the exchange early must not be blamed for its failure.
    response.catch(() => {})
    if (typeof body?.content === 'object') pipeline(body.content, request).catch((error) => request.destroy(error))
    else request.end(body?.content)
    return {
      response,
      end() {
        clearTimeout(timer)
        request.setTimeout(0)
        // An answer that was not read to its end, or a body not sent to its end, leaves a connection of no use. What was
        // written whole may be told of only after its answer: a busy loop reads first.
        if (answer?.complete !== true || !request.writableEnded) request.destroy()
        else if (!request.writableFinished) destroyUnlessSent(request)
        if (typeof body?.content === 'object') body.content.destroy()
      },
    }
  }
}

/** Who was answered early has still to take the rest, or the connection is of no use. */
function destroyUnlessSent(request: ClientRequest): void {
  const timer = setTimeout(() => request.destroy(), SENT_MS)
  const settle = () => clearTimeout(timer)
  request.once('finish', settle).once('close', settle)
}

class StaleConnection extends Error {}

/** Keeps few connections, each opened by `connect`. */
class PeerAgent extends Agent {
  readonly #connect: () => Promise<TLSSocket>

  constructor(connect: () => Promise<TLSSocket>) {
    super({ keepAlive: true, maxSockets: 4, maxFreeSockets: 2, scheduling: 'lifo' })
    this.#connect = connect
  }

  override createConnection(
    _options: ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    this.#connect().then(
      (socket) => callback?.(null, socket),
      (error: Error) => fail(callback, error),
    )
  }
}

// Node's types ask for a stream beside the error; with an error it is never looked at.
function fail(callback: ((error: Error | null, stream: Duplex) => void) | undefined, error: Error): void {
  ;(callback as ((error: Error) => void) | undefined)?.(error)
}

async function refusal(response: IncomingMessage, call: Call): Promise<CallRefused> {
  const status = response.statusCode ?? 0
  const after = Number(response.headers['retry-after'])
  const retryAfter = Number.isFinite(after) && after >= 0 ? Math.min(after, 60) * 1_000 : undefined
  try {
    const problem = readPushProblem(await readJson(response, Math.min(call.maxAnswer, 65_536)))
    if (typeof problem !== 'string') {
      return new CallRefused(status, problem.value.error, problem.value.message, retryAfter)
    }
  } catch {
    // What the answer says is a courtesy; its status is enough.
  }
  return new CallRefused(status, '', `answered ${status}`, retryAfter)
}

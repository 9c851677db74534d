// JSON calls to the API server, and watches as lines. Adds credentials to each call and reads them anew after a 401;
// honours Retry-After; bounds time and size. Everything in the controller that speaks to the API server goes through one.
import { setTimeout as sleep } from 'node:timers/promises'
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { Access, Credentials } from './access.ts'
import { ApiFailure } from './api-failure.ts'
import { Http1Transport } from './http1-transport.ts'
import { Http2Transport, NoHttp2Error, type PingTiming } from './http2-transport.ts'
import { LineSplitter } from './line-splitter.ts'
import { Reach } from './reach.ts'
import { failureOf, type IncomingAnswer, type Transport } from './transport.ts'

/** What to ask. */
export interface ApiRequest {
  /** Default GET. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Such as `/api/v1/namespaces`; names in it are encoded by the caller. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  /** Sent as JSON. */
  readonly body?: unknown
  /** Of the body. Default: application/json. A PATCH must say which kind it is. */
  readonly contentType?: string
  readonly signal?: AbortSignal
  /** Milliseconds for the whole answer; for a watch until its head. Default 30 s. */
  readonly timeoutMs?: number
  /** Bytes of the body; for a watch of one line. Default 64 MiB. */
  readonly maxBytes?: number
  /** Milliseconds to go on trying while the server answers 429, or 503 with Retry-After. Default 0. */
  readonly patienceMs?: number
  /** Over a connection of its own, so that another replica may answer. */
  readonly freshConnection?: boolean
  /** Over HTTP/2, where many share a connection. */
  readonly shared?: boolean
}

/** What came back, whatever the status. */
export interface ApiResponse {
  readonly status: number
  /** The parsed JSON; undefined where the body is empty or no JSON (proxies answer HTML). */
  readonly body: unknown
  /** Milliseconds that the server asks to wait, from Retry-After (RFC 9110 section 10.2.3). */
  readonly retryAfterMs: number | undefined
  /** Milliseconds since the epoch on the server's clock, from Date (whole seconds); absent where it names none. */
  readonly serverTime?: number
}

/** A watch: a request whose answer goes on. */
export interface WatchRequest extends ApiRequest {
  readonly onLine: (line: string) => void
  /** Once, when no more lines come: undefined where the server ended it between two lines. */
  readonly onEnd: (failure: ApiFailure | undefined) => void
}

/** An open watch, or the answer instead of one. */
export type WatchAnswer =
  | { readonly open: true; close(): void }
  | { readonly open: false; readonly response: ApiResponse }

/** Calls to one API server. */
export interface ApiClient {
  /** Namespace of this process. */
  readonly namespace: string
  /** Resolves whatever the status is; rejects with ApiFailure where there was no answer. */
  request(request: ApiRequest): Promise<ApiResponse>
  /** Resolves when lines can come (status 200), or with the answer; rejects with ApiFailure. */
  watch(request: WatchRequest): Promise<WatchAnswer>
  /** Calls back each time that the server answers again after it did not for a while; ends with what it returns. */
  onReturn(listener: () => void): () => void
  close(): void
}

/** How a client works. */
export interface ApiClientOptions {
  readonly credentials: Credentials
  /** Default: `atrium`. */
  readonly userAgent?: string
  readonly ping?: PingTiming
}

/** The keys of tokens (/openid/v1/jwks) have a type of their own, and whoever does not ask for it is answered 406. */
const ACCEPT = 'application/json, application/jwk-set+json'
const TIMEOUT_MS = 30_000
const MAX_BYTES = 64 * 1024 * 1024
const MAX_RETRY_AFTER_MS = 60_000
const PING: PingTiming = { everyMs: 15_000, answerWithinMs: 10_000 }
/** A server without HTTP/2 is asked again after this. */
const NO_HTTP2_MS = 600_000

/** Makes a client. Nothing is sent before the first call. */
export function createApiClient(options: ApiClientOptions): ApiClient {
  return new JsonClient(options)
}

class JsonClient implements ApiClient {
  readonly namespace: string
  readonly #credentials: Credentials
  readonly #userAgent: string
  readonly #http1: Transport
  readonly #http2: Transport
  readonly #reach = new Reach()
  #withoutHttp2Until = 0

  constructor(options: ApiClientOptions) {
    this.#credentials = options.credentials
    this.namespace = options.credentials.namespace
    this.#userAgent = options.userAgent ?? 'atrium'
    this.#http1 = new Http1Transport(options.credentials.server)
    this.#http2 = new Http2Transport(options.credentials.server, options.ping ?? PING)
  }

  async request(request: ApiRequest): Promise<ApiResponse> {
    const deadline = performance.now() + (request.patienceMs ?? 0)
    for (;;) {
      const response = await this.#requestOnce(request)
      const busy = response.status === 429 || (response.status === 503 && response.retryAfterMs !== undefined)
      const wait = response.retryAfterMs ?? 1_000
      if (!busy || performance.now() + wait > deadline) return response
      await sleep(wait, undefined, request.signal === undefined ? {} : { signal: request.signal }).catch(() => {
        throw new ApiFailure('aborted', `${what(request)}: given up`)
      })
    }
  }

  async watch(request: WatchRequest): Promise<WatchAnswer> {
    const abort = new AbortController()
    const off = follow(request.signal, abort)
    const timer = abortAfter(abort, request)
    try {
      const answer = await this.#send(request, abort.signal)
      if (answer.status !== 200) return { open: false, response: await readJson(answer, request, abort) }
      clearTimeout(timer)
      this.#pump(answer.body, request, abort, off)
      return { open: true, close: () => abort.abort(new ApiFailure('aborted', `${what(request)}: closed`)) }
    } catch (error) {
      off()
      throw failureOf(error, abort.signal, what(request))
    } finally {
      clearTimeout(timer)
    }
  }

  onReturn(listener: () => void): () => void {
    return this.#reach.onReturn(listener)
  }

  close(): void {
    this.#http1.close()
    this.#http2.close()
  }

  async #requestOnce(request: ApiRequest): Promise<ApiResponse> {
    const abort = new AbortController()
    const off = follow(request.signal, abort)
    const timer = abortAfter(abort, request)
    try {
      const answer = await this.#send(request, abort.signal)
      return await readJson(answer, request, abort)
    } catch (error) {
      throw failureOf(error, abort.signal, what(request))
    } finally {
      clearTimeout(timer)
      off()
    }
  }

  async #send(request: ApiRequest, signal: AbortSignal): Promise<IncomingAnswer> {
    let access = await this.#credentials.access()
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#heard(this.#sendWith(request, access, signal))
      if (answer.status !== 401 || attempt === 2) return answer
      answer.body.resume()
      access = await this.#credentials.access(access)
    }
  }

  async #heard(sending: Promise<IncomingAnswer>): Promise<IncomingAnswer> {
    try {
      const answer = await sending
      // As long as the server does not know us, it is away for us.
      if (answer.status === 401) this.#reach.missed()
      else this.#reach.answered()
      return answer
    } catch (error) {
      this.#reach.missed()
      throw error
    }
  }

  async #sendWith(request: ApiRequest, access: Access, signal: AbortSignal): Promise<IncomingAnswer> {
    const body = request.body === undefined ? undefined : JSON.stringify(request.body)
    const call = {
      method: request.method ?? 'GET',
      path: this.#credentials.server.path + request.path + queryOf(request),
      headers: {
        accept: ACCEPT,
        'user-agent': this.#userAgent,
        ...(access.token === undefined ? {} : { authorization: `Bearer ${access.token.reveal()}` }),
        ...(body === undefined
          ? {}
          : {
              'content-type': request.contentType ?? 'application/json',
              'content-length': String(Buffer.byteLength(body)),
            }),
      },
      body,
      access,
      freshConnection: request.freshConnection === true,
      signal,
    }
    if (request.shared !== true || performance.now() < this.#withoutHttp2Until) return this.#http1.send(call)
    try {
      return await this.#http2.send(call)
    } catch (error) {
      if (!(error instanceof NoHttp2Error)) throw error
      this.#withoutHttp2Until = performance.now() + NO_HTTP2_MS
      return this.#http1.send(call)
    }
  }

  #pump(body: Readable, request: WatchRequest, abort: AbortController, off: () => void): void {
    const lines = new LineSplitter(request.maxBytes ?? MAX_BYTES)
    let ended = false
    const end = (failure: ApiFailure | undefined) => {
      if (ended) return
      ended = true
      off()
      request.onEnd(failure)
    }
    body.on('data', (piece: Buffer) => {
      if (ended) return
      const whole = lines.push(piece)
      if (whole === undefined) {
        abort.abort(new ApiFailure('tooLarge', `${what(request)}: one event is too large`))
        return
      }
      for (const line of whole) if (!ended && line !== '') request.onLine(line)
    })
    body.once('end', () => {
      end(lines.held > 0 ? new ApiFailure('network', `${what(request)}: cut in the middle of an event`) : undefined)
    })
    body.on('error', (error) => end(failureOf(error, abort.signal, what(request))))
    body.once('close', () => end(failureOf(new Error('closed'), abort.signal, what(request))))
  }
}

function what(request: ApiRequest): string {
  return `${request.method ?? 'GET'} ${request.path}`
}

function queryOf(request: ApiRequest): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) query.set(name, String(value))
  }
  const text = query.toString()
  return text === '' ? '' : `?${text}`
}

function follow(signal: AbortSignal | undefined, abort: AbortController): () => void {
  if (signal === undefined) return () => undefined
  const give = () => abort.abort(signal.reason)
  if (signal.aborted) give()
  else signal.addEventListener('abort', give, { once: true })
  return () => signal.removeEventListener('abort', give)
}

function abortAfter(abort: AbortController, request: ApiRequest): NodeJS.Timeout {
  const wait = request.timeoutMs ?? TIMEOUT_MS
  return setTimeout(() => abort.abort(new ApiFailure('timeout', `${what(request)}: no answer in ${wait} ms`)), wait)
}

async function readJson(answer: IncomingAnswer, request: ApiRequest, abort: AbortController): Promise<ApiResponse> {
  const limit = request.maxBytes ?? MAX_BYTES
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of answer.body) {
    pieces.push(piece)
    size += piece.length
    if (size <= limit) continue
    const failure = new ApiFailure('tooLarge', `${what(request)}: the answer is larger than ${limit} bytes`)
    abort.abort(failure)
    throw failure
  }
  return {
    status: answer.status,
    body: parse(Buffer.concat(pieces), answer.status, request),
    retryAfterMs: retryAfter(answer.headers),
    ...serverTime(answer.headers),
  }
}

function serverTime({ date }: IncomingHttpHeaders): Pick<ApiResponse, 'serverTime'> {
  const time = Date.parse(date ?? '')
  return Number.isNaN(time) ? {} : { serverTime: time }
}

function parse(bytes: Buffer, status: number, request: ApiRequest): unknown {
  if (bytes.length === 0) return undefined
  try {
    const body: unknown = JSON.parse(bytes.toString('utf8'))
    return body
  } catch {
    // An error page is no JSON, and its status says enough; half of an answer must not pass for a whole one.
    if (status >= 300) return undefined
    throw new ApiFailure('unreadable', `${what(request)}: the answer is no JSON`)
  }
}

function retryAfter(headers: IncomingHttpHeaders): number | undefined {
  const text = headers['retry-after']
  if (text === undefined) return undefined
  const seconds = Number(text)
  const wait = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(text) - Date.now()
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(0, wait), MAX_RETRY_AFTER_MS)
}

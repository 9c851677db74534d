// A fake API server in this process, for faults that a real one does not make on demand. TLS, HTTP/1.1 and HTTP/2, lists
// in pages, watches with bookmarks. Serves a Store; `faults` says what goes wrong. The source's tests start one each.
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import { createServer as createHttp1Server, type Server as Http1Server } from 'node:https'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeCa, makeLeaf } from '../certificates.ts'
import { listOf, Store, type Stored, type StoreEvent, type StoreSnapshot } from './store.ts'

/** A request as faults see it. */
export interface FakeRequest {
  readonly verb: 'list' | 'get' | 'watch' | 'other'
  readonly plural: string
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly query: URLSearchParams
  readonly token: string
  /** Counts connections from 1. */
  readonly connection: number
  readonly httpVersion: string
  /** Milliseconds of `performance.now()`. */
  readonly at: number
}

/** An answer in place of the right one. */
export interface FakeAnswer {
  readonly status: number
  readonly retryAfter?: string
  readonly text?: string
}

/** What goes wrong. */
export interface Faults {
  /** An answer in place of the right one; 'hang' for none at all. */
  answer?: (request: FakeRequest) => FakeAnswer | 'hang' | undefined
  /** Milliseconds before the answer. */
  slow?: (request: FakeRequest) => number
  /** Watches that are open and say nothing, not even at their end. */
  silent?: (request: FakeRequest) => boolean
  /** Milliseconds by which the events of a watch come late. */
  delay?: (request: FakeRequest) => number
  /** Lines in place of a line. */
  mangle?: (line: string, request: FakeRequest) => readonly string[]
  /** Connections that are answered from an older state. */
  lagging?: { readonly view: StoreSnapshot; readonly is: (request: FakeRequest) => boolean }
}

export interface FakeApiOptions {
  readonly http2?: boolean
  /** Milliseconds between bookmarks. Default: a minute, as the real one. */
  readonly bookmarkEveryMs?: number
}

interface OpenWatch {
  readonly request: FakeRequest
  readonly response: Http2ServerResponse
  readonly end: (destroy: boolean) => void
  readonly write: (line: string) => void
}

/** The server. */
export class FakeApi {
  readonly store = new Store()
  readonly requests: FakeRequest[] = []
  faults: Faults = {}
  /** The only token that is accepted. */
  token = 'first-token'
  /** Plurals that are not served. */
  readonly absent = new Set<string>(['referencegrants'])
  readonly #options: FakeApiOptions
  readonly #server: Http2SecureServer | Http1Server
  readonly #folder: string
  readonly #sockets = new Map<Socket, number>()
  readonly #watches = new Set<OpenWatch>()
  readonly #pages = new Map<string, { revision: number; rest: readonly Stored[] }>()
  #connections = 0

  private constructor(server: Http2SecureServer | Http1Server, folder: string, options: FakeApiOptions) {
    this.#server = server
    this.#folder = folder
    this.#options = options
  }

  static async start(options: FakeApiOptions = {}): Promise<FakeApi> {
    const ca = await makeCa('fake API')
    const leaf = await makeLeaf(ca, { names: ['localhost'] })
    const folder = await mkdtemp(join(tmpdir(), 'atrium-fake-api-'))
    const identity = { cert: leaf.certPem, key: leaf.keyPem }
    const server =
      options.http2 === false
        ? createHttp1Server(identity)
        : createSecureServer({ ...identity, allowHTTP1: true, settings: { maxConcurrentStreams: 100 } })
    const fake = new FakeApi(server, folder, options)
    await writeFile(join(folder, 'ca.crt'), ca.pem)
    await fake.writeToken(fake.token)
    await writeFile(join(folder, 'namespace'), 'atrium')
    server.on('secureConnection', (socket) => fake.#connected(socket))
    // Both kinds of server hand out what looks alike.
    server.on('request', (request: Http2ServerRequest, response: Http2ServerResponse) => fake.#serve(request, response))
    server.on('sessionError', () => undefined)
    server.on('error', () => undefined)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  /** Folder with the files of a service account. */
  get folder(): string {
    return this.#folder
  }

  get port(): number {
    const address = this.#server.address() as AddressInfo
    return address.port
  }

  /** Replaces the token in the folder, as the kubelet does. */
  async writeToken(token: string): Promise<void> {
    await writeFile(join(this.#folder, 'token'), token)
  }

  async stop(): Promise<void> {
    this.cutConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** Watches that are open now. */
  watches(plural?: string): readonly FakeRequest[] {
    return [...this.#watches]
      .map(({ request }) => request)
      .filter((each) => plural === undefined || each.plural === plural)
  }

  /** Requests of one verb and plural so far. */
  count(verb: FakeRequest['verb'], plural: string): number {
    return this.requests.filter((each) => each.verb === verb && each.plural === plural).length
  }

  get connections(): number {
    return this.#connections
  }

  /** Resets every connection. */
  cutConnections(): void {
    for (const socket of this.#sockets.keys()) socket.destroy()
  }

  /** Ends watches: properly, or in the middle. */
  endWatches(plural: string, destroy = false): void {
    for (const watch of [...this.#watches]) if (watch.request.plural === plural) watch.end(destroy)
  }

  /** Writes a line into the open watches of a resource. */
  inject(plural: string, text: string): void {
    for (const { request, response } of this.#watches) if (request.plural === plural) response.write(text)
  }

  #connected(socket: Socket): void {
    this.#sockets.set(socket, ++this.#connections)
    socket.on('error', () => undefined)
    socket.once('close', () => this.#sockets.delete(socket))
  }

  #serve(incoming: Http2ServerRequest, response: Http2ServerResponse): void {
    response.on('error', () => undefined)
    incoming.on('error', () => undefined)
    const url = new URL(incoming.url, 'https://fake')
    const request = { ...parsePath(url), ...this.#origin(incoming) }
    this.requests.push(request)
    const wait = this.faults.slow?.(request) ?? 0
    if (wait > 0) setTimeout(() => this.#answer(request, response), wait)
    else this.#answer(request, response)
  }

  #origin(incoming: Http2ServerRequest) {
    const socket = incoming.stream?.session?.socket ?? incoming.socket
    const raw = [...this.#sockets].find(([each]) => each === socket || each.remotePort === socket.remotePort)
    return {
      token: String(incoming.headers['authorization'] ?? '').replace('Bearer ', ''),
      connection: raw?.[1] ?? 0,
      httpVersion: incoming.httpVersion,
      at: performance.now(),
    }
  }

  #answer(request: FakeRequest, response: Http2ServerResponse): void {
    const { verb, plural, namespace, name } = request
    const fault = request.token === this.token ? this.faults.answer?.(request) : { status: 401 }
    if (fault === 'hang') return
    if (fault !== undefined) send(response, fault)
    else if (this.absent.has(plural) || verb === 'other') send(response, { status: 404 })
    else if (verb === 'watch') this.#watch(request, response)
    else {
      const view = this.faults.lagging?.is(request) === true ? this.faults.lagging.view : this.store.snapshot()
      const exact = request.query.get('resourceVersionMatch') === 'Exact'
      const revision = Number(request.query.get('resourceVersion'))
      const wanted = !exact ? view : revision > view.revision ? undefined : this.store.at(revision)
      if (wanted === undefined) send(response, { status: revision > view.revision ? 504 : 410 })
      else if (verb === 'list') this.#list(request, response, wanted)
      else {
        const found = listOf(view.objects, plural, namespace).find((each) => each.metadata['name'] === name)
        send(response, found === undefined ? { status: 404 } : { status: 200, text: JSON.stringify(found) })
      }
    }
  }

  #list(request: FakeRequest, response: Http2ServerResponse, view: StoreSnapshot): void {
    const limit = Number(request.query.get('limit') ?? 0)
    const token = request.query.get('continue')
    let page = { revision: view.revision, rest: listOf(view.objects, request.plural, request.namespace) }
    if (token !== null) {
      const kept = this.#pages.get(token)
      if (kept === undefined || kept.revision < this.store.compactedAt) {
        send(response, { status: 410 })
        return
      }
      page = kept
    }
    const rest = page.rest.filter((object) => selected(request, object))
    const items = limit > 0 ? rest.slice(0, limit) : rest
    const more = rest.slice(items.length)
    const proceed = more.length === 0 ? '' : `page-${this.#pages.size + 1}`
    if (proceed !== '') this.#pages.set(proceed, { revision: page.revision, rest: more })
    const metadata = { resourceVersion: String(page.revision), ...(proceed === '' ? {} : { continue: proceed }) }
    send(response, { status: 200, text: JSON.stringify({ kind: 'List', metadata, items }) })
  }

  #watch(request: FakeRequest, response: Http2ServerResponse): void {
    const from = Number(request.query.get('resourceVersion'))
    response.writeHead(200, { 'content-type': 'application/json' })
    // HTTP/2 has sent them already.
    if ('flushHeaders' in response && typeof response.flushHeaders === 'function') response.flushHeaders()
    const silent = this.faults.silent?.(request) === true
    const timers: NodeJS.Timeout[] = []
    const write = (line: string) => {
      if (silent) return
      for (const each of this.faults.mangle?.(line, request) ?? [line]) response.write(each)
    }
    const later = (run: () => void) => {
      const delay = this.faults.delay?.(request) ?? 0
      if (delay > 0) timers.push(setTimeout(run, delay))
      else run()
    }
    const bookmark = () => {
      // The real one sends nothing below the version that it was asked for.
      if (this.store.revision < from || (this.faults.delay?.(request) ?? 0) > 0) return
      const metadata = { resourceVersion: String(this.store.revision) }
      write(`${JSON.stringify({ type: 'BOOKMARK', object: { metadata } })}\n`)
    }
    const event = (each: StoreEvent) => {
      if (each.revision <= from || !concerns(request, each)) return
      later(() => write(`{"type":"${each.type}","object":${each.text}}\n`))
    }
    const missed = this.store.since(from)
    if (missed === undefined && from <= this.store.revision) {
      const object = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' }
      write(`${JSON.stringify({ type: 'ERROR', object })}\n`)
      response.end()
      return
    }
    const off = this.store.listen(event)
    const watch: OpenWatch = {
      request,
      response,
      write,
      end: (destroy) => {
        if (destroy) (response.stream ?? response.socket)?.destroy()
        else {
          bookmark()
          response.end()
        }
      },
    }
    this.#watches.add(watch)
    const seconds = Number(request.query.get('timeoutSeconds') ?? 3600)
    if (!silent) timers.push(setTimeout(() => watch.end(false), seconds * 1_000))
    timers.push(setInterval(bookmark, this.#options.bookmarkEveryMs ?? 60_000))
    response.once('close', () => {
      off()
      for (const timer of timers) clearTimeout(timer)
      this.#watches.delete(watch)
    })
    for (const each of missed ?? []) event(each)
  }
}

function send(response: Http2ServerResponse, answer: FakeAnswer): void {
  const text = answer.text ?? JSON.stringify({ kind: 'Status', code: answer.status })
  response.writeHead(answer.status, {
    'content-type': 'application/json',
    ...(answer.retryAfter === undefined ? {} : { 'retry-after': answer.retryAfter }),
  })
  response.end(text)
}

function parsePath(url: URL) {
  const parts = url.pathname.split('/').filter((part) => part !== '')
  const rest = parts[0] === 'api' ? parts.slice(2) : parts.slice(3)
  const within = rest[0] === 'namespaces' && rest.length > 2
  const namespace = within ? rest[1] : undefined
  const [plural = '', name] = within ? rest.slice(2) : rest
  const watching = url.searchParams.get('watch') === 'true'
  const verb = plural === '' ? 'other' : name !== undefined ? 'get' : watching ? 'watch' : 'list'
  return { verb, plural, namespace, name, query: url.searchParams } as const
}

function concerns(request: FakeRequest, event: StoreEvent): boolean {
  if (event.plural !== request.plural) return false
  if (request.namespace !== undefined && event.namespace !== request.namespace) return false
  const wanted = /^metadata\.name=(.+)$/.exec(request.query.get('fieldSelector') ?? '')?.[1]
  return wanted === undefined || wanted === event.name
}

function selected(request: FakeRequest, object: Stored): boolean {
  const wanted = /^metadata\.name=(.+)$/.exec(request.query.get('fieldSelector') ?? '')?.[1]
  return wanted === undefined || wanted === object.metadata['name']
}

// The admin listener: health, readiness, metrics, status, the active snapshot and explain; in a pod, where others can reach
// the port, only a part of that. Fastify on a port of its own, loopback by default. Read only; answers nobody who comes through a browser page of another site (threats L-5).
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import { parseAddress } from '../model/address.ts'
import { canonicalHost } from '../model/host.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { readExplainBody, readExplainQuery } from './admin-queries.ts'
import { snapshotPieces } from './admin-snapshot.ts'
import type { ExplainQuery, Explanation } from './explain-types.ts'
import { METRICS_TYPES, type MetricsFormat } from './runtime/metrics.ts'
import type { DataplaneStatus } from './status.ts'

/** What the listener shows. */
export interface AdminSources {
  ready(): boolean
  metrics(format: MetricsFormat): AsyncIterable<string>
  status(tenant?: string): Promise<DataplaneStatus>
  /** What serves now, and its sequence number. */
  snapshot(): Snapshot & { readonly sequence: number }
  explain(query: ExplainQuery): Promise<Explanation>
}

export interface AdminOptions {
  readonly host: string
  readonly port: number
  /** Names, beside localhost and addresses, by which it may be called. */
  readonly allowedHosts: readonly string[]
  /** Default: all. `health` and `metrics` are what a pod shows, each on a port of its own; the rest needs a certificate. */
  readonly shows?: 'all' | 'health' | 'metrics'
}

/** An open admin port. */
export interface AdminListener {
  readonly port: number
  close(): Promise<void>
}

const MAX_QUERY = 65_536
const HEALTH_PATHS = ['/healthz', '/readyz']
const METRICS_PATHS = ['/metrics']
const ALL_PATHS = [...HEALTH_PATHS, ...METRICS_PATHS, '/status', '/snapshot', '/explain?url=URL']

/** Opens the port. Rejects where it cannot be bound. */
export async function openAdmin(options: AdminOptions, sources: AdminSources): Promise<AdminListener> {
  const app = fastify({
    logger: false,
    bodyLimit: MAX_QUERY,
    requestTimeout: 10_000,
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true },
  })
  app.removeContentTypeParser('text/plain')
  const allowed = new Set(options.allowedHosts)
  app.addHook('onRequest', async (request, reply) => {
    const obstacle = foreignness(request, allowed)
    if (obstacle !== undefined) await reply.code(403).send({ error: obstacle })
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
  })
  const { shows = 'all' } = options
  if (shows !== 'metrics') addHealth(app, sources)
  if (shows !== 'health') addMetrics(app, sources)
  if (shows === 'all') addQuestions(app, sources)
  const paths = { all: ALL_PATHS, health: HEALTH_PATHS, metrics: METRICS_PATHS }[shows]
  app.setNotFoundHandler(async (request, reply) => {
    return await reply.code(404).send({ error: `nothing answers ${request.method} here`, paths })
  })
  await app.listen({ host: options.host, port: options.port })
  const address = app.server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    close: async () => await app.close(),
  }
}

function addHealth(app: FastifyInstance, sources: AdminSources): void {
  app.get('/healthz', async () => ({ status: 'ok' }))
  app.get('/readyz', async (_request, reply) => {
    const ready = sources.ready()
    return await reply.code(ready ? 200 : 503).send({ ready })
  })
}

function addMetrics(app: FastifyInstance, sources: AdminSources): void {
  app.get('/metrics', async (request, reply) => {
    const accept = request.headers.accept ?? ''
    const format: MetricsFormat = accept.includes('application/openmetrics-text') ? 'openmetrics' : 'prometheus'
    return await stream(reply, METRICS_TYPES[format], sources.metrics(format))
  })
}

function addQuestions(app: FastifyInstance, sources: AdminSources): void {
  app.get('/status', async (request) => {
    const { tenant } = request.query as { tenant?: unknown }
    return await sources.status(typeof tenant === 'string' ? tenant : undefined)
  })
  app.get('/snapshot', async (_request, reply) => {
    return await stream(reply, 'application/json; charset=utf-8', snapshotPieces(sources.snapshot()))
  })
  app.get('/explain', async (request, reply) => await answer(reply, readExplainQuery(request.query), sources))
  // Only with this type does Fastify parse a body, and a page of another site cannot send it without asking first.
  app.post('/explain', async (request, reply) => await answer(reply, readExplainBody(request.body), sources))
}

async function answer(reply: FastifyReply, query: ExplainQuery | string, sources: AdminSources): Promise<unknown> {
  return typeof query === 'string' ? await reply.code(400).send({ error: query }) : await sources.explain(query)
}

async function stream(reply: FastifyReply, type: string, pieces: AsyncIterable<string>): Promise<FastifyReply> {
  return await reply.type(type).send(Readable.from(pieces))
}

/**
 * Why a request is not answered, or undefined. The Host must be a name of this machine or an address, because a page
 * whose own name was rebound to us carries that name; an Origin must be the same place.
 */
function foreignness(request: FastifyRequest, allowed: ReadonlySet<string>): string | undefined {
  const { host, origin, 'sec-fetch-site': site } = request.headers
  if (host === undefined || !isOurs(host, allowed)) return 'this name is not ours: call it by localhost or an address'
  if (origin !== undefined && origin !== `http://${host}`) return 'calls from pages of other sites are not answered'
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    return 'calls from pages of other sites are not answered'
  }
  return undefined
}

function isOurs(host: string, allowed: ReadonlySet<string>): boolean {
  const bracketed = /^\[([0-9a-fA-F:.]+)\](:[0-9]{1,5})?$/.exec(host)
  if (bracketed !== null) return parseAddress(bracketed[1] ?? '') !== undefined
  const name = canonicalHost(host)
  if (name === undefined) return false
  return name === 'localhost' || allowed.has(name) || parseAddress(name) !== undefined
}

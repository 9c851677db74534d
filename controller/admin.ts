// The controller's two open ports: health for the kubelet, metrics for the operator's scraper. Read only, nothing of a
// tenant on the first, closed by NetworkPolicy on the second; neither answers a page of another site (threats L-5).
import fastify from 'fastify'
import { EXPOSITION_TYPE } from '../model/exposition.ts'
import { foreignness } from './api/foreign.ts'

/** An open port. */
export interface OpenPort {
  readonly port: number
  close(): Promise<void>
}

/** Where to listen; port 0 lets the system choose. */
export interface ListenAt {
  readonly host: string
  readonly port: number
}

/** Opens the port of `/healthz` (the process lives) and `/readyz` (the first complete state was compiled). */
export async function openHealth(at: ListenAt, ready: () => boolean): Promise<OpenPort> {
  return await open(at, {
    '/healthz': () => ({ status: 200, type: JSON_TYPE, body: '{"status":"ok"}' }),
    '/readyz': () => ({ status: ready() ? 200 : 503, type: JSON_TYPE, body: JSON.stringify({ ready: ready() }) }),
  })
}

/** Opens the port of `/metrics`. */
export async function openMetrics(at: ListenAt, text: () => string): Promise<OpenPort> {
  return await open(at, { '/metrics': () => ({ status: 200, type: EXPOSITION_TYPE, body: text() }) })
}

interface Page {
  readonly status: number
  readonly type: string
  readonly body: string
}

const JSON_TYPE = 'application/json; charset=utf-8'

async function open(at: ListenAt, pages: Readonly<Record<string, () => Page>>): Promise<OpenPort> {
  const app = fastify({ logger: false, bodyLimit: 1_024, requestTimeout: 10_000, forceCloseConnections: true })
  app.addHook('onRequest', async (request, reply) => {
    const obstacle = foreignness(request.headers, 'http', [])
    if (obstacle !== undefined) await reply.code(403).send({ error: obstacle })
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
  })
  for (const [path, page] of Object.entries(pages)) {
    app.get(path, async (_request, reply) => {
      const { status, type, body } = page()
      return await reply.code(status).type(type).send(body)
    })
  }
  await app.listen({ host: at.host, port: at.port })
  const address = app.server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : at.port,
    close: async () => await app.close(),
  }
}

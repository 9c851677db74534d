// What a controller may read of a pod, so that nobody else needs a way to it: status, the active set, explain, metrics.
// The same that the admin listener shows, and like there no private key.
import { Readable } from 'node:stream'
import { type PeerApp, problem, requireRole } from '../../peer/listener.ts'
import { readExplainBody, readExplainQuery } from '../admin-queries.ts'
import { snapshotPieces } from '../admin-snapshot.ts'
import type { AdminSources } from '../admin.ts'
import { METRICS_TYPES } from '../runtime/metrics.ts'
import { linesOfTenant } from './tenant-metrics.ts'

/** Puts the routes in. */
export function addReadRoutes(app: PeerApp, release: string, sources: AdminSources): void {
  const onRequest = requireRole(release, 'controller')
  app.get('/status', { onRequest }, async (request) => await sources.status(tenantOf(request.query)))
  app.get('/snapshot', { onRequest }, async (_request, reply) => {
    return await reply.type('application/json; charset=utf-8').send(Readable.from(snapshotPieces(sources.snapshot())))
  })
  app.get('/metrics', { onRequest }, async (request, reply) => {
    const tenant = tenantOf(request.query)
    const pieces = sources.metrics('prometheus')
    return await reply
      .type(METRICS_TYPES.prometheus)
      .send(Readable.from(tenant === undefined ? pieces : linesOfTenant(pieces, tenant)))
  })
  app.get('/explain', { onRequest }, async (request, reply) => {
    const query = readExplainQuery(request.query)
    return typeof query === 'string' ? await problem(reply, 400, 'Request', query) : await sources.explain(query)
  })
  app.post('/explain', { onRequest }, async (request, reply) => {
    const query = readExplainBody(request.body)
    return typeof query === 'string' ? await problem(reply, 400, 'Request', query) : await sources.explain(query)
  })
}

function tenantOf(query: unknown): string | undefined {
  const { tenant } = query as { readonly tenant?: unknown }
  return typeof tenant === 'string' ? tenant : undefined
}

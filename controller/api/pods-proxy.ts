// `/api/v1/pods/<name>/{status,snapshot,metrics}`: what a pod itself says, handed through as it is, for the platform only.
// @fastify/http-proxy does the handing; its defaults that are not safe are off: connections are those of live-pods.ts, so
// a pod is proven before the first byte; no retries; GET of three paths only; no header of the caller's goes to the pod and
// none of the pod's but its type comes back; no address of a pod in an error; deadlines. server.ts puts it in.
import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Server } from 'node:https'
import type { Peer } from '../publish/peers.ts'
import type { LivePods } from './live-pods.ts'

export interface PodsProxyOptions {
  readonly live: LivePods
  /** Whether the caller may; where not, the answer was sent. */
  readonly guard: (request: FastifyRequest, reply: FastifyReply) => Promise<boolean>
}

const PAGES = ['/status', '/snapshot', '/metrics']
/** Names a pod to the connector; no resolver ever sees it. */
const SUFFIX = '.pods.invalid'
const HEAD_MS = 10_000
const BODY_MS = 30_000

/** Puts the routes in. */
export async function addPodsProxy(app: FastifyInstance<Server>, { live, guard }: PodsProxyOptions): Promise<void> {
  const find = (request: Pick<FastifyRequest, 'params'>): Peer | undefined => {
    const { pod } = Object(request.params)
    return live.all().find(({ name }) => name === pod)
  }
  await app.register(httpProxy, {
    upstream: '',
    prefix: '/api/v1/pods/:pod',
    rewritePrefix: '/',
    routes: PAGES,
    httpMethods: ['GET'],
    websocket: false,
    proxyPayloads: false,
    disableCache: true,
    undici: {
      allowH2: false,
      connections: 4,
      headersTimeout: HEAD_MS,
      bodyTimeout: BODY_MS,
      connect: ({ hostname }, callback) => {
        const uid = hostname.slice(0, -SUFFIX.length)
        const pod = hostname.endsWith(SUFFIX) ? live.all().find((each) => each.uid === uid) : undefined
        if (pod === undefined) {
          callback(new Error('no such pod'), null)
          return
        }
        live.connect(pod).then(
          (socket) => callback(null, socket),
          (error: Error) => callback(error, null),
        )
      },
    },
    preHandler: async (request, reply) => {
      if (!(await guard(request, reply))) return reply
      if (find(request) !== undefined) return undefined
      return await reply.code(404).send({ error: 'NotFound', message: 'there is no such pod' })
    },
    replyOptions: {
      getUpstream: (request) => `https://${find(request)?.uid ?? 'none'}${SUFFIX}`,
      // The wrong defaults of the library: a GET that was answered 503 would be asked ten times.
      retriesCount: 0,
      retryDelay: () => null,
      rewriteRequestHeaders: () => ({}),
      rewriteHeaders: (headers) => ({ 'content-type': headers['content-type'] }),
      onError: (reply) => {
        reply.code(502).send({ error: 'Unreachable', message: 'the pod did not answer' })
      },
    },
  })
}

// A port for peers: HTTPS with certificates of the release, on Fastify, with every wait and size bounded. The controller
// opens one for pods, the dataplane one for controllers; both say in their routes who may call what.
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Server } from 'node:https'
import { TLSSocket } from 'node:tls'
import type { PeerIdentity, PeerRole } from '../model/peer-name.ts'
import { CONTENT_TYPE, type PushProblem } from '../model/push.ts'
import { identify, type PeerCredentials, secureOptions } from './identify.ts'

export type PeerApp = FastifyInstance<Server>

export interface PeerListenerOptions {
  readonly host: string
  readonly port: number
  readonly credentials: PeerCredentials
  /** Refuse whoever shows no certificate already in the handshake. Otherwise `requireRole` does it, route by route. */
  readonly requireCertificate: boolean
  /** Puts the routes in. */
  readonly routes: (app: PeerApp) => void
}

/** An open port. */
export interface PeerListener {
  readonly port: number
  /** Shows this from the next handshake on. Connections that are open go on. */
  renew(credentials: PeerCredentials): void
  close(): Promise<void>
}

const MAX_CONNECTIONS = 2_000

/** Opens the port. Rejects where it cannot be bound. */
export async function openPeerListener(options: PeerListenerOptions): Promise<PeerListener> {
  const app = fastify({
    logger: false,
    https: {
      ...secureOptions(options.credentials),
      requestCert: true,
      rejectUnauthorized: options.requireCertificate,
      handshakeTimeout: 5_000,
    },
    bodyLimit: 65_536,
    connectionTimeout: 0,
    keepAliveTimeout: 600_000,
    requestTimeout: 300_000,
    forceCloseConnections: true,
    return503OnClosing: true,
  })
  app.server.maxConnections = MAX_CONNECTIONS
  app.server.headersTimeout = 10_000
  app.server.on('tlsClientError', (_error, socket: TLSSocket) => socket.destroy())
  app.addContentTypeParser(CONTENT_TYPE, (_request, payload, done) => done(null, payload))
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
  })
  app.setErrorHandler(async (error, _request, reply) => {
    const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
    const message = error instanceof Error ? error.message : 'an error without a word'
    return await problem(reply, status >= 400 ? status : 500, status >= 500 ? 'Defect' : 'Request', message)
  })
  app.setNotFoundHandler(async (_request, reply) => await problem(reply, 404, 'NotFound', 'there is nothing here'))
  options.routes(app)
  await app.listen({ host: options.host, port: options.port })
  const address = app.server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    renew: (credentials) => app.server.setSecureContext(secureOptions(credentials)),
    close: async () => await app.close(),
  }
}

/** Who calls; undefined where no certificate of ours was shown. */
export function callerOf(request: FastifyRequest): PeerIdentity | undefined {
  const { socket } = request.raw
  return socket instanceof TLSSocket ? identify(socket) : undefined
}

/** A hook that lets only this role of this release in. */
export function requireRole(release: string, role: PeerRole) {
  // A certificate is read once for each connection.
  const callers = new WeakMap<object, PeerIdentity | undefined>()
  return async (request: Pick<FastifyRequest, 'raw'>, reply: FastifyReply): Promise<void> => {
    const { socket } = request.raw
    const known = callers.has(socket)
    const caller = known ? callers.get(socket) : callerOf(request as FastifyRequest)
    if (!known) callers.set(socket, caller)
    if (caller !== undefined && caller.release === release && caller.role === role) return
    reply.header('connection', 'close')
    await problem(reply, 403, 'Role', `only a ${role} of this release may call this`)
  }
}

/** Sends what is wrong, in the form that every answer other than 200 has. */
export async function problem(reply: FastifyReply, status: number, error: string, message: string): Promise<unknown> {
  return await reply.code(status).send({ error, message: message.slice(0, 2_000) } satisfies PushProblem)
}

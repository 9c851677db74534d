// The port on which pods call a controller: for their certificate (by token), for a whole set, and to say what they have
// (both by certificate). Every replica has one. http-publisher.ts and identity.ts know the answers.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { CONTENT_TYPE, PUSH_LIMITS, PUSH_PATHS, readPositionQuery, readSigningRequest } from '../../model/push.ts'
import type { PeerCredentials } from '../../peer/identify.ts'
import {
  callerOf,
  openPeerListener,
  type PeerApp,
  type PeerListener,
  problem,
  requireRole,
} from '../../peer/listener.ts'
import { CallBudget } from './call-budget.ts'
import type { HttpPublisher } from './http-publisher.ts'
import type { IdentityService } from './identity.ts'
import type { Peers } from './peers.ts'

export interface PodListenerOptions {
  readonly host: string
  readonly port: number
  readonly release: string
  readonly credentials: PeerCredentials
  readonly identity: IdentityService
  readonly peers: Peers
  readonly publisher: HttpPublisher
  /** Whether this replica leads. */
  readonly leads: () => boolean
  /** Resolves when what the publisher has is of now, or nearly: a standby may be some seconds behind. */
  readonly refresh: () => Promise<unknown>
  /** Milliseconds. */
  readonly monotonic: () => number
}

/** Sets that are sent at once; each holds a connection and some memory. */
const PULLS_AT_ONCE = 8

/** Opens the port. Rejects where it cannot be bound. */
export async function openPodListener(options: PodListenerOptions): Promise<PeerListener> {
  const { host, port, credentials } = options
  // A pod that has no certificate yet comes for one; the other routes look for it themselves.
  return await openPeerListener({
    host,
    port,
    credentials,
    requireCertificate: false,
    routes: (app) => addRoutes(app, options),
  })
}

function addRoutes(app: PeerApp, options: PodListenerOptions): void {
  const { release, identity, peers, publisher, leads, refresh, monotonic } = options
  const onRequest = [requireRole(release, 'dataplane'), notTooOften(new CallBudget(monotonic))]
  let pulls = 0
  app.post(PUSH_PATHS.sign, { bodyLimit: PUSH_LIMITS.signingRequest }, async (request, reply) => {
    const read = readSigningRequest(request.body)
    if (typeof read === 'string') return await problem(reply, 400, 'Request', `the request makes no sense: ${read}`)
    const result = await identity.sign({
      token: bearerOf(request),
      ...read.value,
      address: request.raw.socket.remoteAddress ?? '',
    })
    if (result.type === 'signed') return { certificate: result.certificate, authorities: result.authorities }
    if (result.retryAfter !== undefined) reply.header('retry-after', String(Math.ceil(result.retryAfter / 1_000)))
    return await problem(reply, result.status, result.code, result.message)
  })
  app.post(PUSH_PATHS.position, { onRequest, bodyLimit: PUSH_LIMITS.order }, async (request, reply) => {
    const read = readPositionQuery(request.body)
    const caller = callerOf(request)
    const address = caller?.addresses[0]
    if (typeof read === 'string' || caller === undefined || address === undefined) {
      return await problem(reply, 400, 'Request', `the request makes no sense: ${String(read)}`)
    }
    const { active, name, port } = read.value
    if (!(await identity.vouches(caller.uid, name, address))) return await notThere(reply)
    peers.prove({ uid: caller.uid, name, address, port }, active.root)
    return { newest: publisher.newestName(), leads: leads() }
  })
  app.get(PUSH_PATHS.pull, { onRequest }, async (request, reply) => {
    const caller = callerOf(request)
    const address = caller?.addresses[0]
    const { name, formats } = request.query as { readonly name?: unknown; readonly formats?: unknown }
    if (caller === undefined || address === undefined || typeof name !== 'string' || name.length > 253) {
      return await problem(reply, 400, 'Request', 'say which pod: ?name=…&formats=…')
    }
    if (!(await identity.vouches(caller.uid, name, address))) return await notThere(reply)
    await refresh()
    if (pulls >= PULLS_AT_ONCE) return await notNow(reply, 'too many pods come for a set at once')
    const set = publisher.pullSet(formatsOf(formats))
    if (set === undefined) return await notNow(reply, 'there is no set yet that this pod could read')
    pulls++
    const stream = set.content.whole(release, set.position)
    stream.once('close', () => {
      pulls--
    })
    return await reply.type(CONTENT_TYPE).send(stream)
  })
}

function notTooOften(budget: CallBudget) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const wait = budget.take(request.raw.socket.remoteAddress ?? '')
    if (wait === 0) return
    reply.header('retry-after', String(Math.ceil(wait / 1_000)))
    await problem(reply, 429, 'TooOften', 'this address asks too often')
  }
}

async function notThere(reply: FastifyReply): Promise<unknown> {
  return await problem(reply, 403, 'Pod', 'there is no such pod at this address any more')
}

async function notNow(reply: FastifyReply, message: string): Promise<unknown> {
  return await problem(reply.header('retry-after', '1'), 503, 'NotNow', message)
}

function bearerOf(request: FastifyRequest): string | undefined {
  return /^Bearer ([A-Za-z0-9._-]{1,16384})$/.exec(request.headers.authorization ?? '')?.[1]
}

function formatsOf(formats: unknown): readonly number[] {
  return typeof formats === 'string' && formats.length <= 64 ? formats.split(',').map(Number) : []
}

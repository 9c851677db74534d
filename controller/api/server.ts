// The controller's API on HTTPS: status, top, explain, the newest snapshot, pods' live state, a tenant's metrics. Every
// replica answers. JSON only, bearer tokens only, no CORS; a page of another site gets nothing (threats L-5). Rights are
// those of Kubernetes (access.ts), and a tenant's token sees that tenant alone (scope.ts). controller/cluster.ts opens it.
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Server } from 'node:https'
import { Readable } from 'node:stream'
import { EXPOSITION_TYPE } from '../../model/exposition.ts'
import type { PeerCredentials } from '../../peer/identify.ts'
import type { OpenPort } from '../admin.ts'
import type { LoopState } from '../loop.ts'
import type { ObjectStatus } from '../report/conditions.ts'
import { type ApiAccess, type Caller, type Denial, isDenial, type Right } from './access.ts'
import type { ApiProblem, StatusAnswer, TopAnswer } from './answers.ts'
import { foreignness } from './foreign.ts'
import { hostsOf, ownerOf } from './hosts.ts'
import type { LivePods, PodAnswer } from './live-pods.ts'
import { mergeExpositions } from './merge-metrics.ts'
import { addPodsProxy } from './pods-proxy.ts'
import { type Scope, scopeOf } from './scope.ts'
import { snapshotLines } from './snapshot.ts'
import { attentionLines, cpuOf, podLines, podWarnings, tenantLines, topLines } from './status.ts'

/** What the answers are made of. */
export interface ApiSources {
  readonly version: string
  readonly release: string
  readonly replica: string
  readonly leader: () => string
  readonly state: () => LoopState | undefined
  /** Resolves when all of this is of now, or nearly. */
  readonly refresh: () => Promise<void>
  readonly statuses: () => readonly ObjectStatus[]
  /** Namespaces and the tenants that hold them. */
  readonly holders: () => ReadonlyMap<string, string>
  /** Milliseconds since the epoch: since when an object's readiness is what it is. */
  readonly since: (status: ObjectStatus) => number
  /** Milliseconds since the epoch. */
  readonly compiledAt: () => number
  readonly now: () => number
}

export interface ApiOptions {
  readonly host: string
  readonly port: number
  readonly credentials: Pick<PeerCredentials, 'certificate' | 'key'>
  /** Names by which it may be called, beside localhost and addresses. */
  readonly names: readonly string[]
  readonly access: ApiAccess
  readonly live: LivePods
}

/** An open API. */
export interface ApiListener extends OpenPort {
  /** Shows this certificate from the next handshake on. */
  renew(credentials: Pick<PeerCredentials, 'certificate' | 'key'>): void
}

const TRAFFIC: Pick<Right, 'verb' | 'resource' | 'subresource'> = {
  verb: 'get',
  resource: 'routes',
  subresource: 'traffic',
}
const EXPLAIN: Pick<Right, 'verb' | 'resource' | 'subresource'> = {
  verb: 'create',
  resource: 'routes',
  subresource: 'explain',
}
const SNAPSHOT: Right = { verb: 'get', resource: 'pods', subresource: 'snapshot' }
const MAX_BODY = 65_536
const NAME = /^[a-z0-9][a-z0-9.-]{0,252}$/

/** Opens the API. Rejects where the port cannot be bound. */
export async function openApi(options: ApiOptions, sources: ApiSources): Promise<ApiListener> {
  const app = fastify({
    logger: false,
    https: { ...secure(options.credentials), minVersion: 'TLSv1.2' },
    bodyLimit: MAX_BODY,
    requestTimeout: 30_000,
    connectionTimeout: 0,
    keepAliveTimeout: 65_000,
    forceCloseConnections: true,
    return503OnClosing: true,
  })
  app.server.maxConnections = 1_000
  app.server.headersTimeout = 10_000
  app.server.on('tlsClientError', (_error, socket) => socket.destroy())
  app.removeContentTypeParser('text/plain')
  app.addHook('onRequest', async (request, reply) => {
    reply
      .header('cache-control', 'no-store')
      .header('x-content-type-options', 'nosniff')
      .header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
    const obstacle = foreignness(request.headers, 'https', options.names)
    if (obstacle !== undefined) await refuse(reply, 403, 'Foreign', obstacle)
  })
  app.setErrorHandler(async (error, _request, reply) => {
    const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
    // Words of a defect stay inside.
    if (!(status >= 400 && status < 500)) return await refuse(reply, 500, 'Defect', 'the answer could not be made')
    return await refuse(reply, status, 'Request', error instanceof Error ? error.message : 'the request makes no sense')
  })
  app.setNotFoundHandler(async (_request, reply) => await refuse(reply, 404, 'NotFound', 'there is nothing here'))
  const api = new Api(options, sources)
  api.addRoutes(app)
  await addPodsProxy(app, {
    live: options.live,
    guard: async (request, reply) => (await api.allowed(request, reply, SNAPSHOT)) !== undefined,
  })
  await app.listen({ host: options.host, port: options.port })
  const address = app.server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    renew: (credentials) => app.server.setSecureContext({ ...secure(credentials), minVersion: 'TLSv1.2' }),
    close: async () => await app.close(),
  }
}

class Api {
  readonly #options: ApiOptions
  readonly #sources: ApiSources

  constructor(options: ApiOptions, sources: ApiSources) {
    this.#options = options
    this.#sources = sources
  }

  addRoutes(app: FastifyInstance<Server>): void {
    app.get('/api/v1/status', async (request, reply) => await this.#status(request, reply))
    app.get('/api/v1/top', async (request, reply) => await this.#top(request, reply))
    app.get('/api/v1/snapshot', async (request, reply) => await this.#snapshot(request, reply))
    app.get('/api/v1/pods', async (request, reply) => await this.#pods(request, reply))
    app.post('/api/v1/explain', async (request, reply) => await this.#explain(request, reply))
    app.get('/api/v1/tenants/:tenant/metrics', async (request, reply) => await this.#metrics(request, reply))
  }

  /** The caller, where they have a right in the whole cluster; otherwise the answer was sent. */
  async allowed(request: FastifyRequest, reply: FastifyReply, right: Right): Promise<Caller | undefined> {
    const caller = await this.#caller(request, reply)
    if (caller === undefined) return undefined
    const allowed = await this.#asked(reply, async () => await this.#options.access.may(caller, right))
    if (allowed === undefined) return undefined
    if (allowed) return caller
    const resource = [right.resource, right.subresource].filter(Boolean).join('/')
    await refuse(
      reply,
      403,
      'Forbidden',
      `this needs the right to ${right.verb} ${resource} of atrium.dev in the cluster`,
    )
    return undefined
  }

  async #status(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const scope = await this.#scope(request, reply, TRAFFIC)
    const state = await this.#state(reply)
    if (scope === undefined || state === undefined) return reply
    const { version, release, replica, leader, statuses, holders, since, compiledAt } = this.#sources
    // Pods of a cluster are the platform's affair.
    const answers = scope.all ? await this.#options.live.readAll('/status?tenant=') : []
    const { snapshot } = state.result
    const problems = scope.all ? state.source.problems.map(({ message }) => message) : []
    return {
      version,
      release,
      replica,
      leader: leader(),
      snapshot: {
        version: snapshot.version,
        endpointsRevision: snapshot.endpointsRevision,
        compiledAt: new Date(compiledAt()).toISOString(),
        activationMs: state.activationMs ?? null,
      },
      pods: podLines(answers, snapshot.version),
      tenants: tenantLines(state, statuses(), holders(), scope),
      attention: attentionLines(statuses(), since, scope),
      warnings: [...problems, ...podWarnings(answers)],
    } satisfies StatusAnswer
  }

  async #top(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const scope = await this.#scope(request, reply, TRAFFIC)
    if (scope === undefined) return reply
    const answers = await this.#options.live.readAll(scope.all ? '/status' : `/status?tenant=${scope.tenant}`)
    const answered = answers.filter((answer) => 'value' in answer).length
    return {
      time: new Date(this.#sources.now()).toISOString(),
      pods: { answered, all: answers.length },
      cpu: scope.all ? cpuOf(answers) : null,
      tenants: topLines(answers, scope),
      warnings: scope.all ? podWarnings(answers) : shortWarning(answers, answered),
    } satisfies TopAnswer
  }

  async #snapshot(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const scope = await this.#scope(request, reply, TRAFFIC)
    const state = await this.#state(reply)
    if (scope === undefined || state === undefined) return reply
    const tenant = scope.all ? undefined : scope.tenant
    return await reply.type('application/x-ndjson').send(Readable.from(snapshotLines(state.result.snapshot, tenant)))
  }

  async #pods(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    if ((await this.allowed(request, reply, SNAPSHOT)) === undefined) return reply
    const state = await this.#state(reply)
    if (state === undefined) return reply
    const answers = await this.#options.live.readAll('/status?tenant=')
    return { pods: podLines(answers, state.result.snapshot.version), warnings: podWarnings(answers) }
  }

  async #explain(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const caller = await this.#caller(request, reply)
    const state = await this.#state(reply)
    if (caller === undefined || state === undefined) return reply
    const query: Readonly<Record<string, unknown>> = Object(request.body)
    const hosts = hostsOf(query)
    if (hosts === undefined) return await refuse(reply, 400, 'Request', 'url is an absolute http or https URL')
    const everything = await this.#asked(reply, async () => await this.#mayExplainAll(caller))
    if (everything === undefined) return reply
    if (!everything) {
      const owners = new Set(hosts.map((host) => ownerOf(state, host)))
      const [tenant] = owners
      const scope =
        owners.size === 1 && tenant !== undefined
          ? await this.#asked(reply, async () => await this.#scopeIn(caller, tenant, EXPLAIN))
          : HIDDEN
      if (scope === undefined) return reply
      // The same words for a host of somebody else and for one of nobody.
      if ('status' in scope)
        return await refuse(reply, 404, 'NoHost', 'no tenant that this token may see owns that host')
    }
    const pods = this.#options.live.all()
    for (const pod of pods) {
      try {
        return await this.#options.live.read(pod, '/explain', query)
      } catch (error) {
        if (error instanceof Error && 'status' in error && error.status === 400) {
          return await refuse(reply, 400, 'Request', error.message)
        }
      }
    }
    return await refuse(reply, 503, 'NoPod', `none of ${pods.length} dataplane pods answers`)
  }

  async #metrics(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { tenant } = Object(request.params)
    if (typeof tenant !== 'string' || !NAME.test(tenant)) return await refuse(reply, 404, 'NotFound', 'no such tenant')
    const caller = await this.#caller(request, reply)
    if (caller === undefined) return reply
    const scope = await this.#asked(reply, async () => await this.#scopeIn(caller, tenant, TRAFFIC))
    if (scope === undefined) return reply
    if ('status' in scope) return await refuse(reply, scope.status, 'Forbidden', scope.message)
    const { live } = this.#options
    const texts = await Promise.allSettled(live.all().map((pod) => live.text(pod, `/metrics?tenant=${tenant}`)))
    const answered = texts.flatMap((text) => (text.status === 'fulfilled' ? [text.value] : []))
    // Less than all would look like a counter that went back.
    if (answered.length < texts.length) return await refuse(reply, 503, 'NoPod', 'not every dataplane pod answers')
    return await reply.type(EXPOSITION_TYPE).send(mergeExpositions(answered))
  }

  async #mayExplainAll(caller: Caller): Promise<boolean> {
    const { access } = this.#options
    return (await access.may(caller, { verb: 'list', resource: 'tenants' })) && (await access.may(caller, EXPLAIN))
  }

  async #scope(
    request: FastifyRequest,
    reply: FastifyReply,
    inNamespace: Pick<Right, 'verb' | 'resource' | 'subresource'>,
  ): Promise<Scope | undefined> {
    const { tenant } = Object(request.query)
    if (tenant !== undefined && (typeof tenant !== 'string' || !NAME.test(tenant))) {
      await refuse(reply, 400, 'Request', 'tenant is the name of a Tenant')
      return undefined
    }
    const caller = await this.#caller(request, reply)
    if (caller === undefined) return undefined
    const scope = await this.#asked(reply, async () => await this.#scopeIn(caller, tenant, inNamespace))
    if (scope === undefined || !('status' in scope)) return scope
    await refuse(reply, scope.status, 'Forbidden', scope.message)
    return undefined
  }

  async #scopeIn(
    caller: Caller,
    tenant: string | undefined,
    inNamespace: Pick<Right, 'verb' | 'resource' | 'subresource'>,
  ): Promise<Scope | Denial> {
    const namespacesOf = (wanted: string) =>
      [...this.#sources.holders()].flatMap(([namespace, holder]) => (holder === wanted ? [namespace] : []))
    return await scopeOf(this.#options.access, caller, { tenant, inNamespace, namespacesOf })
  }

  async #caller(request: FastifyRequest, reply: FastifyReply): Promise<Caller | undefined> {
    const { authorization } = request.headers
    const answer = await this.#options.access.authenticate(authorization, request.raw.socket.remoteAddress ?? '')
    if (!isDenial(answer)) {
      await this.#sources.refresh()
      return answer
    }
    if (answer.status === 401) reply.header('www-authenticate', 'Bearer')
    if (answer.retryAfter !== undefined) reply.header('retry-after', String(answer.retryAfter))
    await refuse(reply, answer.status, answer.status === 401 ? 'Unauthenticated' : 'NotNow', answer.message)
    return undefined
  }

  /** The answer of Kubernetes about rights; where there is none, nothing is shown. */
  async #asked<Answer>(reply: FastifyReply, ask: () => Promise<Answer>): Promise<Answer | undefined> {
    try {
      return await ask()
    } catch {
      await refuse(
        reply.header('retry-after', '2'),
        503,
        'NotNow',
        'rights cannot be checked: the API server does not answer',
      )
      return undefined
    }
  }

  async #state(reply: FastifyReply): Promise<LoopState | undefined> {
    const state = this.#sources.state()
    if (reply.sent) return undefined
    if (state === undefined) await refuse(reply.header('retry-after', '1'), 503, 'NotNow', 'nothing is compiled yet')
    return state
  }
}

const HIDDEN: Denial = { status: 403, message: '' }

function secure({ certificate, key }: Pick<PeerCredentials, 'certificate' | 'key'>) {
  return { cert: certificate, key: key.reveal() }
}

async function refuse(reply: FastifyReply, status: number, error: string, message: string): Promise<FastifyReply> {
  return await reply.code(status).send({ error, message } satisfies ApiProblem)
}

function shortWarning(answers: readonly PodAnswer[], answered: number): readonly string[] {
  return answered === answers.length ? [] : ['Not every dataplane pod answered: the figures are too low.']
}

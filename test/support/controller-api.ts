// The controller's API over real TLS with Kubernetes' reviews made up, and one dataplane pod that is a listener of ours,
// beside one that is not there. Tests of the API and of the verbs that ask it use it.
import { SNAPSHOT_FORMAT, type TenantShard } from '../../model/snapshot.ts'
import { openPeerListener } from '../../peer/listener.ts'
import { ApiAccess } from '../../controller/api/access.ts'
import { LivePods } from '../../controller/api/live-pods.ts'
import { openApi } from '../../controller/api/server.ts'
import type { ApiCall, ApiResult } from '../../controller/api-calls.ts'
import type { LoopState } from '../../controller/loop.ts'
import { Authority, type AuthorityStore } from '../../controller/publish/authority.ts'
import { Peers } from '../../controller/publish/peers.ts'
import type { ObjectStatus } from '../../controller/report/conditions.ts'
import { makeHost, makeShard } from './shard.ts'

/** DNS name of the API. */
export const API_NAME = 'atrium-api.atrium-system.svc'

/** What the cluster's RBAC allows: user, then the attributes of the review. */
const RIGHTS: readonly (readonly [user: string, verb: string, what: string, where: string])[] = [
  ['root', 'list', 'tenants/', ''],
  ['root', 'create', 'routes/explain', ''],
  ['root', 'get', 'pods/snapshot', ''],
  ['ann', 'get', 'routes/traffic', 'acme-1'],
  ['ann', 'create', 'routes/explain', 'acme-1'],
  ['bob', 'get', 'tenants/', 'globex'],
]

/** A running API. A token is `<user>.console`; every other is refused. */
export interface ControllerApi {
  readonly port: number
  /** Of its certificate, PEM. */
  readonly authorities: string
  /** What the pod was asked, as `METHOD url authorization`. */
  readonly asked: string[]
  readonly reviews: { token: number; access: number }
  /** Whether the API server answers. */
  setDown(down: boolean): void
  close(): Promise<void>
}

/** Opens one. */
export async function openControllerApi(): Promise<ControllerApi> {
  let down = false
  const asked: string[] = []
  const reviews = { token: 0, access: 0 }
  const review = async ({ path, body }: ApiCall): Promise<ApiResult> => {
    if (down) throw new Error('cut off')
    const spec = Object(Object(body).spec)
    if (path.endsWith('tokenreviews')) {
      reviews.token++
      const [user, audience] = String(spec.token).split('.')
      const isOurs = audience === 'console' && spec.audiences[0] === 'atrium-console'
      const status = isOurs
        ? { authenticated: true, user: { username: user, groups: [] }, audiences: spec.audiences }
        : {}
      return await Promise.resolve({ status: 201, body: { status }, retryAfterMs: undefined })
    }
    reviews.access++
    const { verb, resource, subresource, namespace, name } = spec.resourceAttributes
    const allowed = RIGHTS.some(([user, wanted, what, where]) => {
      return (
        user === spec.user && wanted === verb && what === `${resource}/${subresource}` && where === (namespace || name)
      )
    })
    return { status: 201, body: { status: { allowed } }, retryAfterMs: undefined }
  }
  const authority = new Authority({
    release: 'atrium',
    store: memoryStore(),
    publishBundle: () => Promise.resolve(),
    now: () => Date.now(),
  })
  await authority.maintain()
  const controller = await authority.issue({ release: 'atrium', role: 'controller', uid: 'c-1' }, '127.0.0.1')
  const plane = await authority.issue({ release: 'atrium', role: 'dataplane', uid: 'p-1' }, '127.0.0.1')
  const pod = await openPeerListener({
    host: '127.0.0.1',
    port: 0,
    credentials: plane.credentials,
    requireCertificate: true,
    routes: (app) => {
      app.addHook(
        'onRequest',
        async (call) => void asked.push(`${call.method} ${call.url} ${call.headers.authorization ?? ''}`),
      )
      app.get('/status', async (call) => {
        const { tenant } = Object(call.query)
        const lines = ['acme', 'globex'].filter((name) => tenant === undefined || name === tenant)
        return { version: 'v1', ready: true, draining: false, tenants: lines.map(figures) }
      })
      app.get('/snapshot', async (_call, reply) => await reply.code(503).send({ error: 'NotNow', message: 'later' }))
      app.get(
        '/metrics',
        async (_call, reply) => await reply.type('text/plain').header('set-cookie', 'a=b').send(POD_METRICS),
      )
      app.post('/explain', async (call) => ({ tenant: 'acme', asked: call.body }))
    },
  })
  const peers = new Peers(() => performance.now())
  peers.prove({ uid: 'p-1', name: 'plane-1', address: '127.0.0.1', port: pod.port })
  peers.prove({ uid: 'p-2', name: 'plane-2', address: '127.0.0.1', port: 1 })
  const live = new LivePods({ release: 'atrium', peers, credentials: () => controller.credentials })
  const api = await openApi(
    {
      host: '127.0.0.1',
      port: 0,
      credentials: await authority.issueServer([API_NAME], '127.0.0.1'),
      names: [API_NAME],
      access: new ApiAccess({ api: { request: review }, monotonic: () => performance.now() }),
      live,
    },
    {
      version: '0.1.0',
      release: 'atrium',
      replica: 'ctl-0',
      leader: () => 'ctl-1',
      refresh: async () => {},
      state: () => STATE,
      statuses: () => STATUSES,
      holders: () =>
        new Map([
          ['acme-1', 'acme'],
          ['globex-1', 'globex'],
        ]),
      since: () => 0,
      compiledAt: () => 0,
      now: () => 0,
    },
  )
  return {
    port: api.port,
    authorities: authority.bundle,
    asked,
    reviews,
    setDown: (value) => {
      down = value
    },
    async close() {
      live.stop()
      await Promise.all([api.close(), pod.close()])
    },
  }
}

/** What the pod says of itself. */
export const POD_METRICS = '# TYPE atrium_http_requests_total counter\natrium_http_requests_total{tenant="acme"} 5\n'
const SHARDS: readonly TenantShard[] = [
  makeShard('acme', { hosts: [makeHost('shop.acme.test')] }),
  makeShard('globex', { hosts: [makeHost('globex.test')] }),
]
const STATE: LoopState = {
  resources: { revision: '1', partitions: new Map(), claims: [], lastGood: [] },
  result: {
    snapshot: {
      format: SNAPSHOT_FORMAT,
      version: 'v1',
      endpointsRevision: 'e1',
      shards: new Map(SHARDS.map((shard) => [shard.tenant, shard])),
      pools: new Map(),
    },
    issues: [],
    objects: [],
    claims: [],
    lastGood: [],
    crossEffects: [],
    memo: undefined,
  },
  source: { resources: { revision: '1', partitions: new Map() }, problems: [], changed: new Set() },
  acknowledgements: [],
  sequence: 1,
  compileMs: 1,
  activationMs: 2,
  cycles: 1,
}

function figures(tenant: string) {
  return {
    tenant,
    requests: { '2xx': 5 },
    activeRequests: 1,
    connections: 2,
    routes: 1,
    endpoints: [{ state: 'ready' }],
  }
}

function memoryStore(): AuthorityStore {
  let kept: Awaited<ReturnType<AuthorityStore['load']>>
  return {
    load: () => Promise.resolve(kept),
    save: (content) => {
      kept = { content, version: '1' }
      return Promise.resolve('1')
    },
  }
}

const STATUSES: readonly ObjectStatus[] = [
  statusOf({ kind: 'Tenant', namespace: '', name: 'acme' }, 'acme', 'True', 'Serving', ''),
  statusOf({ kind: 'Tenant', namespace: '', name: 'globex' }, 'globex', 'True', 'Serving', ''),
  statusOf(
    { kind: 'Route', namespace: 'acme-1', name: 'old' },
    'acme',
    'False',
    'BackendNotFound',
    'Service acme-1/api-v2 is not there.',
  ),
]

function statusOf(
  object: ObjectStatus['object'],
  tenant: string,
  status: ObjectStatus['ready']['status'],
  reason: ObjectStatus['ready']['reason'],
  message: string,
): ObjectStatus {
  const ready = { type: 'Ready', status, reason, message, observedGeneration: 1 } as const
  return {
    object,
    generation: 1,
    tenant,
    conditions: [ready],
    ready,
    cause: undefined,
    servingGeneration: 1,
    count: 1,
    summary: {},
  }
}

// The composition root of a controller in a cluster: source, loop, lease, stores, publisher, identities, status, ports.
// bin/commands/controller.ts starts one for each replica. All replicas read, compile, sign and answer; what is written
// to the API server and pushed to pods is the leader's, and asks the lease before each act.
import type { PolicyDefinition } from '../model/define-policy.ts'
import { createDigest } from '../peer/digest.ts'
import type { PeerListener } from '../peer/listener.ts'
import { type ListenAt, openHealth, openMetrics } from './admin.ts'
import { ApiAccess } from './api/access.ts'
import { LivePods } from './api/live-pods.ts'
import { type ApiListener, openApi } from './api/server.ts'
import { createAuthorityStore, showBundle } from './cluster/authority-store.ts'
import { uidOf } from './cluster/holders.ts'
import { OwnIdentity } from './cluster/own-identity.ts'
import { watchReleasePods } from './cluster/release-pods.ts'
import { Reporting } from './cluster/reporting.ts'
import { ClusterKeyCache, findPod, reviewToken } from './cluster/reviews.ts'
import { createSourceTrouble } from './cluster/source-trouble.ts'
import { createTurns } from './cluster/turns.ts'
import { createGrants } from './grants.ts'
import type { LeaseTimes } from './lease/decision.ts'
import { createLease, type Lease } from './lease/lease.ts'
import { createLoop, type Loop } from './loop.ts'
import { createControllerMetrics } from './metrics.ts'
import { Authority } from './publish/authority.ts'
import { HttpPublisher } from './publish/http-publisher.ts'
import { IdentityService } from './publish/identity.ts'
import { type Peer, Peers } from './publish/peers.ts'
import { openPodListener } from './publish/pod-listener.ts'
import type { ObjectStatus } from './report/conditions.ts'
import { createEventWriter, happenings } from './report/events.ts'
import { createKubernetesWriter } from './report/kubernetes-writer.ts'
import type { Credentials } from './sources/kubernetes/access.ts'
import { createApiClient } from './sources/kubernetes/client.ts'
import { createKubernetesSource } from './sources/kubernetes/source.ts'
import { createClusterStore } from './stores/cluster-store.ts'
import { watchStore } from './stores/watch-store.ts'

/** Who this replica is, by the downward API. */
export interface OwnPod {
  readonly name: string
  readonly uid: string
  readonly address: string
}

export interface ClusterOptions {
  readonly credentials: Credentials
  /** Of this program. */
  readonly version: string
  /** First part of the name of everything that belongs to the release. */
  readonly release: string
  /** Where the release lives. */
  readonly namespace: string
  readonly pod: OwnPod
  /** Address to listen on. */
  readonly host: string
  /** 0 lets the system choose. */
  readonly ports: { readonly health: number; readonly pods: number; readonly metrics: number; readonly api: number }
  readonly policies: readonly PolicyDefinition[]
  readonly allowEndpoints: readonly string[]
  /** Only these namespaces. Empty: all. */
  readonly watchNamespaces: readonly string[]
  /** Milliseconds that a released host stays with its former tenant. */
  readonly hostTransferDelay: number
  readonly leaseTimes?: LeaseTimes
  /** Port on which dataplane pods take pushes. Default 9902. */
  readonly peerPort?: number
  /** What an operator should know, one sentence. */
  readonly warn: (message: string, error?: unknown) => void
  /** What happens in the ordinary course: leading, following, serving. */
  readonly note: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

export interface ClusterController {
  readonly ports: { readonly health: number; readonly pods: number; readonly metrics: number; readonly api: number }
  readonly loop: Loop
  readonly lease: Lease
  /** The status of every object as this replica judges it. */
  statuses(): readonly ObjectStatus[]
  /** Stops writing, pushing and listening, then lets go of the lease. */
  stop(): Promise<void>
}

const REPORT_PAUSE_MS = 100
const LAST_STATUS_MS = 2_000
const EXPIRE_MS = 10_000
const PEER_PORT = 9_902

/** Starts a replica. Resolves once it has compiled the first complete state and answers pods. */
export async function startCluster(options: ClusterOptions): Promise<ClusterController> {
  const { release, namespace, pod, host, ports, warn, note } = options
  const api = createApiClient({ credentials: options.credentials, userAgent: 'atrium-controller' })
  const digest = createDigest()
  const clock = { now: () => Date.now(), monotonic: () => performance.now() }
  const labels = objectLabels(release)
  const place = { api, namespace, release, labels }

  const lease = createLease({
    api,
    namespace,
    name: `${release}-controller`,
    candidate: pod.name,
    labels,
    warn,
    onChange: (fence) => changeRole(fence),
    ...(options.leaseTimes === undefined ? {} : { times: options.leaseTimes }),
  })
  const fence = () => lease.fence()
  const store = createClusterStore({ ...place, warn })
  const grants = createGrants({ api, namespace, serviceAccount: `${release}-controller`, labels, fence, warn })
  const source = createKubernetesSource({
    client: api,
    watchNamespaces: options.watchNamespaces,
    grant: (where) => grants.grant(where),
    revoke: (where) => grants.revoke(where),
    eager: () => fence() !== undefined,
    pulse: {
      namespace,
      name: `${release}-pulse`,
      enabled: () => fence() !== undefined,
      owner: { name: pod.name, uid: pod.uid },
    },
    onRewind: () => note('source.rewound', {}),
  })

  const peers = new Peers(clock.monotonic)
  const isHere = ({ uid }: Peer) => !peers.hasLeft(uid)
  const authority = new Authority({
    release,
    store: createAuthorityStore(place),
    publishBundle: (pem) => showBundle(place, pem),
    now: clock.now,
  })
  let podListener: PeerListener | undefined
  let apiListener: ApiListener | undefined
  const service = `${release}-api`
  const apiNames = [
    `${service}.${namespace}.svc`,
    `${service}.${namespace}`,
    service,
    `${service}.${namespace}.svc.cluster.local`,
  ]
  const own = new OwnIdentity({
    authority,
    name: { release, role: 'controller', uid: pod.uid },
    address: pod.address,
    apiNames,
    leads: () => fence() !== undefined,
    onRenew: (credentials, forApi) => {
      podListener?.renew(credentials)
      apiListener?.renew(forApi)
    },
    warn,
    now: clock.now,
  })
  const publisher = new HttpPublisher({
    release,
    peers,
    leadership: () => ({ leads: loop.fence() !== undefined, fence: lease.knownFence() }),
    credentials: () => own.credentials,
    digest,
    onChange: () => tell.ask(),
    heardOf: (seen) => lease.heardOf(seen),
  })
  const loop: Loop = createLoop({
    source,
    publisher: {
      publish(snapshot, sequence) {
        reporting.remember(snapshot)
        return publisher.publish(snapshot, sequence)
      },
    },
    store,
    replica: { store, fence },
    settings: {
      digest,
      policies: options.policies,
      allowEndpoints: options.allowEndpoints,
      ownAddresses: [pod.address],
    },
    hostTransferDelay: options.hostTransferDelay,
    clock,
    report(state) {
      metrics.cycle(state, loop.fence() !== undefined)
      tell.ask()
    },
    warn,
  })

  const events = createEventWriter({ api, instance: pod.name, uidOf: (object) => uidOf(loop.state(), object) })
  const writer = createKubernetesWriter({
    api,
    fence: () => loop.fence(),
    warn,
    onWritten: ({ object }, before, after) => events.tell(object, happenings(before, after)),
  })
  const reporting = new Reporting({
    writer,
    grants,
    events,
    pods: () => ({ acknowledgements: publisher.acknowledgements(), known: peers.all().filter(isHere).length }),
    leads: () => loop.fence() !== undefined,
    now: clock.now,
  })
  const tell = createTurns(REPORT_PAUSE_MS, () => {
    const state = loop.state()
    if (state === undefined) return
    try {
      metrics.answers(publisher.acknowledgements())
      reporting.take(state)
    } catch (error) {
      warn('A defect in the report: statuses are written later.', error)
    }
  })
  const metrics = createControllerMetrics({
    leads: () => loop.fence() !== undefined,
    watches: () => source.watches(),
    statuses: () => reporting.statuses,
    state: () => loop.state(),
    tenantOf: (where) => reporting.holders.get(where),
    statusWaiting: () => writer.waiting(),
    sentBytes: () => publisher.sentBytes,
    pushFailures: () => publisher.failures,
    pods: () => publisher.pods().filter(({ peer }) => isHere(peer)),
  })

  function changeRole(now: number | undefined): void {
    note(now === undefined ? 'leader.lost' : 'leader.won', now === undefined ? {} : { fence: now })
    grants.lead(now !== undefined)
    if (now === undefined) writer.lead(false)
    loop.wake()
  }

  const at = (port: number): ListenAt => ({ host, port })
  let started = false
  const health = await openHealth(at(ports.health), () => started)
  const metricsPort = await openMetrics(at(ports.metrics), () => metrics.text())
  const keys = new ClusterKeyCache(api, warn)
  const storeWatches = watchStore({ client: api, namespace, release, store, onForeign: () => loop.reload() })
  const podWatch = watchReleasePods({
    client: api,
    namespace,
    service: release,
    port: options.peerPort ?? PEER_PORT,
    onChange: (found) => peers.list(found),
  })
  const live = new LivePods({ release, peers, credentials: () => own.credentials })
  const expiry = setInterval(() => peers.expire(), EXPIRE_MS)
  expiry.unref()
  const trouble = createSourceTrouble({ watches: () => source.watches(), note, now: clock.now })
  lease.start()
  await keys.start()
  podWatch.start().catch(() => undefined)

  const identity = new IdentityService({
    release,
    namespace,
    serviceAccount: `${release}-dataplane`,
    authority,
    peers,
    review: (token, audience) => reviewToken(api, token, audience),
    clusterKeys: () => keys.keys,
    podAddress: (where, name, uid) => findPod(api, where, name, uid),
    now: clock.now,
    monotonic: clock.monotonic,
  })
  const listening = own.start().then(async (credentials) => {
    podListener = await openPodListener({
      ...at(ports.pods),
      release,
      credentials,
      identity,
      peers,
      publisher,
      leads: () => loop.fence() !== undefined,
      refresh: () => loop.refresh(),
      monotonic: clock.monotonic,
    })
    apiListener = await openApi(
      {
        ...at(ports.api),
        credentials: own.apiCredentials,
        names: apiNames,
        access: new ApiAccess({ api, monotonic: clock.monotonic }),
        live,
      },
      {
        version: options.version,
        release,
        replica: pod.name,
        leader: () => lease.holder(),
        state: () => loop.state(),
        refresh: async () => {
          if (await loop.refresh()) tell.flush()
        },
        statuses: () => reporting.statuses,
        holders: () => reporting.holders,
        since: (status) => reporting.since(status),
        compiledAt: () => reporting.changedAt,
        now: clock.now,
      },
    )
    return { pods: podListener, api: apiListener }
  })
  const [opened] = await Promise.all([
    listening,
    loop.start().then(() => {
      storeWatches.start()
    }),
  ])
  started = true
  note('controller.ready', { leads: loop.fence() !== undefined, objects: loop.state()?.result.objects.length ?? 0 })

  return {
    ports: { health: health.port, pods: opened.pods.port, metrics: metricsPort.port, api: opened.api.port },
    loop,
    lease,
    statuses: () => reporting.statuses,
    async stop() {
      started = false
      own.stop()
      keys.stop()
      trouble.stop()
      clearInterval(expiry)
      await Promise.all([loop.stop(), storeWatches.stop(), podWatch.stop()])
      await writer.stop(LAST_STATUS_MS)
      tell.stop()
      grants.stop()
      publisher.stop()
      metrics.stop()
      live.stop()
      await Promise.all([opened.api.close(), opened.pods.close(), metricsPort.close(), health.close()])
      await lease.stop()
      api.close()
    },
  }
}

/** Labels of everything that the controller makes. */
function objectLabels(release: string): Readonly<Record<string, string>> {
  return {
    'app.kubernetes.io/name': 'atrium',
    'app.kubernetes.io/component': 'controller',
    'app.kubernetes.io/part-of': 'atrium',
    'app.kubernetes.io/managed-by': 'atrium-controller',
    'atrium.dev/release': release,
  }
}

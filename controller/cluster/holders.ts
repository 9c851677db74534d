// Which tenant holds which namespace, and the figures that statuses say beside their conditions, from one state of the
// loop. Pure. controller/cluster.ts makes one for each state.
import type { Claim, ObjectRef } from '../../model/resources.ts'
import type { TenantNamespace } from '../grants.ts'
import { TENANT_LABEL } from '../grants.ts'
import type { LoopState } from '../loop.ts'
import type { PodAcknowledgement } from '../publish/publisher.ts'
import type { ObjectStatus } from '../report/conditions.ts'
import type { Happening } from '../report/events.ts'
import { PodAnswers, type ShardsOf } from '../report/pod-answers.ts'
import type { StatusFigures } from '../report/status-body.ts'

/** Namespaces and their tenants: claims that hold, and what is wanted by one tenant alone. */
export function holdersOf(state: LoopState): ReadonlyMap<string, string> {
  const held = new Map<string, string>()
  for (const claim of state.resources.claims) {
    if (claim.what === 'namespace' && claim.expired !== true) held.set(claim.name, claim.tenant)
  }
  const wanted = new Map<string, Set<string>>()
  for (const { what, name, tenant } of state.result.claims) {
    if (what !== 'namespace') continue
    const tenants = wanted.get(name)
    if (tenants === undefined) wanted.set(name, new Set([tenant]))
    else tenants.add(tenant)
  }
  const holders = new Map<string, string>()
  for (const [name, tenants] of wanted) {
    const holder = held.get(name) ?? (tenants.size === 1 ? [...tenants][0] : undefined)
    // A claim that is only waiting to expire gives no rights.
    if (holder !== undefined && tenants.has(holder)) holders.set(name, holder)
  }
  return holders
}

/** The namespaces that are there, for labels and rights. */
export function tenantNamespaces(
  state: LoopState,
  holders: ReadonlyMap<string, string>,
): ReadonlyMap<string, TenantNamespace> {
  const found = new Map<string, TenantNamespace>()
  for (const [name, { metadata }] of state.resources.partitions.get('')?.objects.get('Namespace') ?? []) {
    const tenant = metadata.deletionTimestamp === undefined ? holders.get(name) : undefined
    const label = metadata.labels[TENANT_LABEL]
    if (tenant !== undefined || label !== undefined) found.set(name, { tenant, label })
  }
  return found
}

/** Figures for statuses. */
export function figuresOf(
  state: LoopState,
  holders: ReadonlyMap<string, string>,
  pods: {
    readonly acknowledgements: readonly PodAcknowledgement[]
    readonly known: number
    readonly shardsOf?: ShardsOf
  },
): (status: ObjectStatus) => StatusFigures {
  const { snapshot } = state.result
  const namespaces = new Map<string, number>()
  for (const tenant of holders.values()) namespaces.set(tenant, (namespaces.get(tenant) ?? 0) + 1)
  const answers = new PodAnswers(snapshot, pods.acknowledgements, pods.shardsOf)
  return ({ tenant }) => ({
    podsServing: answers.serving(tenant),
    podsDesired: Math.max(pods.known, pods.acknowledgements.length),
    programmedAfterMs: state.activationMs,
    hosts: snapshot.shards.get(tenant)?.hosts.length ?? 0,
    namespaces: namespaces.get(tenant) ?? 0,
  })
}

/** `metadata.uid` of an object, where it is known. */
export function uidOf(state: LoopState | undefined, { kind, namespace, name }: ObjectRef): string | undefined {
  return state?.resources.partitions.get(namespace)?.objects.get(kind)?.get(name)?.metadata.uid
}

/** Hosts that tenants hold, by name. */
export function claimedHosts(claims: readonly Claim[]): ReadonlyMap<string, string> {
  const hosts = new Map<string, string>()
  for (const { what, name, tenant, releasedAt, expired } of claims) {
    if (what === 'host' && releasedAt === undefined && expired !== true) hosts.set(name, tenant)
  }
  return hosts
}

/** What is worth an Event on a Tenant between two states of the hosts. */
export function hostHappenings(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): readonly { readonly tenant: string; readonly happening: Happening }[] {
  const told: { tenant: string; happening: Happening }[] = []
  for (const [host, tenant] of after) {
    if (before.get(host) === tenant) continue
    told.push({ tenant, happening: { reason: 'HostClaimed', note: `${host} is held by this tenant.` } })
  }
  for (const [host, tenant] of before) {
    if (after.get(host) === tenant) continue
    told.push({ tenant, happening: { reason: 'HostReleased', note: `${host} is not asked for any more.` } })
  }
  return told
}

// The pass that decides which Routes of a tenant are in force, in which form, on which hosts. Pure. The newest form where
// it may serve, else the last good one, judged by today's rules; a Route that never was good is absent and the rest of the
// tenant goes on. A Route with some hosts that are not the tenant's serves the others (as the Gateway API does with
// hostnames that no listener takes), and is rejected where none is left.
import type { Issue } from '../../model/issue.ts'
import type { LastGood } from '../../model/resources.ts'
import type { AdmittedTenant } from './admission.ts'
import { keptMessage } from './admit-tenants.ts'
import { type ClientValidation, resolveClientValidation } from './client-validation.ts'
import type { Form, Indexed } from './indexed.ts'
import { createIssue, type Subject } from './issues.ts'
import { hostStanding } from './own-hosts.ts'
import type { PreparedRoute } from './prepared.ts'
import type { TenantView } from './world.ts'

/** A Route that serves. */
export interface RouteInForce {
  readonly namespace: string
  readonly name: string
  readonly indexed: Indexed<PreparedRoute>
  readonly form: Form<PreparedRoute>
  readonly subject: Subject
  /** The hosts that are the tenant's. */
  readonly hosts: readonly string[]
  readonly clientValidation: ClientValidation | undefined
}

/** What became of a Route. */
export interface RouteOutcome {
  readonly indexed: Indexed<PreparedRoute>
  readonly accepted: boolean
  readonly inForce: RouteInForce | undefined
}

export interface ChosenRoutes {
  /** All Routes of the tenant, ordered by namespace and name. */
  readonly outcomes: readonly RouteOutcome[]
  readonly lastGood: readonly LastGood[]
}

/** Judges all Routes of a tenant in the order of namespace and name, which is also the order in which they win. */
export function chooseRoutes(view: TenantView, issues: Issue[]): ChosenRoutes {
  const { tenant } = view
  const limit = tenant.form.value.limits?.routes ?? Number.POSITIVE_INFINITY
  const validations = new Map<string, RouteInForce>()
  const outcomes: RouteOutcome[] = []
  const lastGood: LastGood[] = []
  for (const namespace of tenant.namespaces) {
    for (const [name, indexed] of view.own(namespace)?.config.routes ?? []) {
      const subject: Subject = { object: indexed.ref, generation: indexed.generation, tenant: tenant.name }
      let outcome: RouteOutcome
      if (outcomes.length >= limit) {
        const message = `The tenant has more than ${limit} Routes; those after the first ${limit} by namespace and name are refused. Delete some, or ask the platform team for a higher limits.routes.`
        issues.push(createIssue(subject, 'rejects', 'RouteLimitExceeded', message))
        outcome = { indexed, accepted: false, inForce: undefined }
      } else {
        outcome = chooseForm(namespace, name, indexed, subject, view, validations, issues)
      }
      if (!outcome.accepted && indexed.good !== undefined) lastGood.push(indexed.good.entry)
      for (const host of outcome.inForce?.hosts ?? []) {
        if (outcome.inForce?.clientValidation !== undefined && !validations.has(host)) {
          validations.set(host, outcome.inForce)
        }
      }
      outcomes.push(outcome)
    }
  }
  return { outcomes, lastGood }
}

function chooseForm(
  namespace: string,
  name: string,
  indexed: Indexed<PreparedRoute>,
  subject: Subject,
  view: TenantView,
  validations: ReadonlyMap<string, RouteInForce>,
  issues: Issue[],
): RouteOutcome {
  for (const { path, message } of indexed.problems) {
    issues.push(createIssue(subject, 'rejects', 'Invalid', message, { path }))
  }
  const judge = (form: Form<PreparedRoute>, as: Subject, into: Issue[]) =>
    judgeForm({ namespace, name, indexed, form, subject: as }, view, validations, into)
  if (indexed.newest !== undefined) {
    const inForce = judge(indexed.newest, subject, issues)
    if (inForce !== undefined) return { indexed, accepted: true, inForce }
  }
  if (indexed.good === undefined) return { indexed, accepted: false, inForce: undefined }
  const told: Issue[] = []
  const inForce = judge(indexed.good, { ...subject, kept: true }, told)
  if (inForce === undefined) return { indexed, accepted: false, inForce }
  issues.push(...told, createIssue(subject, 'degrades', 'KeptLastGood', keptMessage(indexed.good.generation)))
  return { indexed, accepted: false, inForce }
}

/** Whether a form may serve now; what keeps it from that, or from a part of it, goes to `issues`. */
function judgeForm(
  route: Omit<RouteInForce, 'hosts' | 'clientValidation'>,
  view: TenantView,
  validations: ReadonlyMap<string, RouteInForce>,
  issues: Issue[],
): RouteInForce | undefined {
  const { hostnames, tls } = route.form.value
  const hosts = ownedHosts(hostnames, view.tenant, route.subject, issues)
  if (hosts === undefined) return undefined
  if (tls?.clientValidation === undefined) return { ...route, hosts, clientValidation: undefined }
  const clientValidation = resolveClientValidation(tls, route.subject, view)
  const rival = findRival(hosts, clientValidation, validations)
  if (rival !== undefined) {
    const { namespace, name } = rival.route
    const message = `Route ${namespace}/${name} comes first and asks for other client certificates on ${rival.host}; client validation holds for the whole host. Make the two agree, or use another host.`
    const details = { path: ['spec', 'tls', 'clientValidation'], causes: [rival.route.indexed.ref] }
    issues.push(createIssue(route.subject, 'rejects', 'Conflicted', message, details))
    return undefined
  }
  issues.push(...clientValidation.issues)
  return { ...route, hosts, clientValidation }
}

function ownedHosts(
  hostnames: readonly string[],
  tenant: AdmittedTenant,
  subject: Subject,
  issues: Issue[],
): readonly string[] | undefined {
  const hosts = hostnames.filter((hostname) => hostStanding(tenant.hosts, hostname) === 'owned')
  if (hostnames.length === 0) {
    const message = 'The Route names no hostnames, so it serves nothing. Add at least one.'
    issues.push(createIssue(subject, 'warns', 'Invalid', message, { path: ['spec', 'hostnames'] }))
  }
  const severity = hosts.length === 0 ? 'rejects' : 'degrades'
  hostnames.forEach((hostname, index) => {
    const standing = hostStanding(tenant.hosts, hostname)
    if (standing === 'owned') return
    const path = ['spec', 'hostnames', index]
    const message =
      standing === 'contested'
        ? `${hostname} is held or asked for by another tenant. Choose another hostname, or have the holder release it.`
        : `${hostname} is not among the hostnames of Tenant ${tenant.name}. Use one that is, or ask the platform team to add it.`
    const reason = standing === 'contested' ? 'HostInUse' : 'HostNotOwned'
    issues.push(createIssue(subject, severity, reason, message, { path }))
  })
  return hosts.length === 0 && hostnames.length > 0 ? undefined : hosts
}

function findRival(
  hosts: readonly string[],
  validation: ClientValidation,
  validations: ReadonlyMap<string, RouteInForce>,
): { readonly host: string; readonly route: RouteInForce } | undefined {
  for (const host of hosts) {
    const route = validations.get(host)
    if (route !== undefined && route.clientValidation?.identity !== validation.identity) return { host, route }
  }
  return undefined
}

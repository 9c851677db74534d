// Everything of one tenant, pass by pass: Routes in force, Policies, backends, plans, TLS, shard; then its pools. Pure.
// compile.ts calls it for every tenant; what depends on nothing that changed is taken over from the previous result.
import type { Digest } from '../../model/canonical.ts'
import { filledLimits } from '../../model/defaults.ts'
import type { PolicyDefinition } from '../../model/define-policy.ts'
import type { Issue } from '../../model/issue.ts'
import type { LastGood } from '../../model/resources.ts'
import type { TenantShard } from '../../model/snapshot.ts'
import type { AdmittedTenant } from './admission.ts'
import { keptMessage, tenantSubject } from './admit-tenants.ts'
import { PolicyAttacher } from './attach-policies.ts'
import { chooseRoutes, type RouteInForce, type RouteOutcome } from './choose-routes.ts'
import type { CrossEffect, ObjectResult } from './compile-types.ts'
import type { Indexed, NamespaceConfig } from './indexed.ts'
import { compareIssues, createIssue } from './issues.ts'
import { planHosts, planRules } from './plan-routes.ts'
import { TlsPlanner } from './plan-tls.ts'
import type { PreparedPolicy } from './prepared.ts'
import { type BackendNeed, BackendNeeds } from './resolve-backends.ts'
import { sealShard } from './seal.ts'
import { type EndpointTools, resolveTenantEndpoints, type TenantEndpoints } from './tenant-endpoints.ts'
import { type ForeignLook, TenantView, type World } from './world.ts'

/** The shard of a tenant and everything said about its objects, with what it all depends on. */
interface TenantPlan {
  readonly tenant: AdmittedTenant
  readonly own: readonly (NamespaceConfig | undefined)[]
  readonly foreign: ReadonlyMap<string, ForeignLook>
  readonly shard: TenantShard
  readonly needs: readonly BackendNeed[]
  readonly issues: readonly Issue[]
  readonly objects: readonly ObjectResult[]
  readonly lastGood: readonly LastGood[]
  readonly effects: readonly CrossEffect[]
}

/** All of one tenant. */
export interface TenantResult {
  readonly plan: TenantPlan
  readonly endpoints: TenantEndpoints
  /** Of plan and endpoints together, ordered. */
  readonly issues: readonly Issue[]
}

/** A tenant that is not what it was; undefined where it was not or is not. */
export interface TenantChange {
  readonly name: string
  readonly before: TenantResult | undefined
  readonly after: TenantResult | undefined
}

/** What compiling a tenant needs beside the tenant. */
export interface TenantTools extends EndpointTools {
  readonly world: World
  readonly policies: readonly PolicyDefinition[]
  readonly digest: Digest
}

/** Compiles one tenant; hands `previous` back where nothing that it depends on changed. */
export function compileTenant(
  tenant: AdmittedTenant,
  tools: TenantTools,
  previous: TenantResult | undefined,
): TenantResult {
  const isSame = previous !== undefined && isUnchanged(previous.plan, tenant, tools.world)
  const plan = isSame ? previous.plan : planTenant(tenant, tools, previous?.plan.shard)
  const endpoints = resolveTenantEndpoints(plan.needs, tools, previous?.endpoints)
  if (isSame && endpoints === previous.endpoints) return previous
  return {
    plan,
    endpoints,
    issues: [...plan.issues, ...endpoints.issues].sort(compareIssues),
  }
}

function isUnchanged(plan: TenantPlan, tenant: AdmittedTenant, world: World): boolean {
  if (plan.tenant !== tenant) return false
  const { namespaces } = world.index
  for (let index = 0; index < tenant.namespaces.length; index += 1) {
    if (namespaces.get(tenant.namespaces[index] ?? '')?.config !== plan.own[index]) return false
  }
  for (const [namespace, look] of plan.foreign) {
    if (namespaces.get(namespace)?.config !== look.config || world.owners.get(namespace) !== look.owner) return false
  }
  return true
}

function planTenant(tenant: AdmittedTenant, tools: TenantTools, before: TenantShard | undefined): TenantPlan {
  const { world, policies, digest } = tools
  const issues: Issue[] = [...tenant.issues]
  const view = new TenantView(tenant, world)
  const chosen = chooseRoutes(view, issues)
  const routes = chosen.outcomes.flatMap(({ inForce }) => (inForce === undefined ? [] : [inForce]))
  const attacher = new PolicyAttacher(tenant, policies, issues)
  for (const namespace of tenant.namespaces) {
    const config = view.own(namespace)?.config
    if (config !== undefined) attacher.addNamespace(namespace, config.policies, config.routes)
  }
  const needs = new BackendNeeds()
  const known = new Set(policies.map((policy) => policy.name))
  const rules = planRules(routes, { view, policies: attacher, needs, issues, known })
  attacher.finish()
  const tls = new TlsPlanner(view, issues)
  const hosts = planHosts(rules, routes, tenant.hosts, tls, issues)
  const kept = judgePolicies(view, issues)
  tellTenant(tenant, chosen.outcomes, issues)
  const shard = sealShard(
    {
      tenant: tenant.name,
      suspended: tenant.form.value.suspended ?? false,
      limits: filledLimits(tenant.form.value.limits),
      hosts,
      routes: rules.map(({ plan }) => plan),
      certificates: tls.certificates,
      authorities: tls.authorities,
    },
    digest,
    before,
  )
  return {
    tenant,
    own: tenant.namespaces.map((namespace) => world.index.namespaces.get(namespace)?.config),
    foreign: view.foreign,
    shard: before !== undefined && before.hash === shard.hash ? before : shard,
    needs: needs.all(),
    issues,
    objects: objectResults(tenant, chosen.outcomes, routes, view, attacher),
    lastGood: [...chosen.lastGood, ...kept],
    effects: view.effects(),
  }
}

/** Says which Policies are malformed, and keeps the last good forms that stand in for them. */
function judgePolicies(view: TenantView, issues: Issue[]): readonly LastGood[] {
  const kept: LastGood[] = []
  for (const policy of policiesOf(view)) {
    if (policy.newest !== undefined) continue
    const subject = { object: policy.ref, generation: policy.generation, tenant: view.tenant.name }
    for (const { path, message } of policy.problems) {
      issues.push(createIssue(subject, 'rejects', 'Invalid', message, { path }))
    }
    if (policy.good === undefined) continue
    kept.push(policy.good.entry)
    issues.push(createIssue(subject, 'degrades', 'KeptLastGood', keptMessage(policy.good.generation)))
  }
  return kept
}

function policiesOf(view: TenantView): readonly Indexed<PreparedPolicy>[] {
  return view.tenant.namespaces.flatMap((namespace) => [...(view.own(namespace)?.config.policies.values() ?? [])])
}

function tellTenant(tenant: AdmittedTenant, outcomes: readonly RouteOutcome[], issues: Issue[]): void {
  const subject = tenantSubject(tenant.name, tenant.indexed)
  if (tenant.form.value.suspended === true) {
    const message = 'The tenant is suspended: every request is answered 503 until suspended is false.'
    issues.push(createIssue(subject, 'degrades', 'Suspended', message, { path: ['spec', 'suspended'] }))
  }
  const rejected = outcomes.filter((outcome) => !outcome.accepted)
  if (rejected.length === 0) return
  const named = rejected.slice(0, 8).map(({ indexed }) => `${indexed.ref.namespace}/${indexed.ref.name}`)
  const more = rejected.length > named.length ? ` and ${rejected.length - named.length} more` : ''
  const message = `${rejected.length} of ${outcomes.length} Routes are rejected: ${named.join(', ')}${more}. Their own conditions say why.`
  issues.push(createIssue(subject, 'warns', 'SomeRoutesRejected', message))
}

function objectResults(
  tenant: AdmittedTenant,
  outcomes: readonly RouteOutcome[],
  routes: readonly RouteInForce[],
  view: TenantView,
  attacher: PolicyAttacher,
): readonly ObjectResult[] {
  const { name, indexed, form } = tenant
  const planned = new Map(routes.map((route) => [route.indexed, route]))
  return [
    {
      object: indexed.ref,
      generation: indexed.generation,
      tenant: name,
      accepted: indexed.newest !== undefined,
      servingGeneration: form.generation,
      count: outcomes.filter((outcome) => outcome.accepted).length,
    },
    ...outcomes.map((outcome): ObjectResult => {
      const route = planned.get(outcome.indexed)
      return {
        object: outcome.indexed.ref,
        generation: outcome.indexed.generation,
        tenant: name,
        accepted: outcome.accepted,
        servingGeneration: route?.form.generation ?? null,
        count: route === undefined || route.hosts.length === 0 ? 0 : route.form.value.rules.length,
      }
    }),
    ...policiesOf(view).map(
      (policy): ObjectResult => ({
        object: policy.ref,
        generation: policy.generation,
        tenant: name,
        accepted: policy.newest !== undefined,
        servingGeneration: (policy.newest ?? policy.good)?.generation ?? null,
        count: attacher.attachedRules(policy.ref),
      }),
    ),
  ]
}

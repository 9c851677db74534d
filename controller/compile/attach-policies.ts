// The pass that decides which policies are in force on each rule, and with what config. Pure. Tenant defaults, then
// namespace, Route and rule Policies: the most specific body wins whole. A Tenant's override is a second, stronger layer
// beside whichever body won. Whoever loses is told.
import type { AttachmentPoint, PolicyDefinition, PolicyLayer } from '../../model/define-policy.ts'
import type { Issue } from '../../model/issue.ts'
import { type ObjectRef, objectLabel } from '../../model/resources.ts'
import type { FilterPlan } from '../../model/snapshot.ts'
import type { AdmittedTenant } from './admission.ts'
import type { RouteInForce } from './choose-routes.ts'
import type { ByName } from './indexed.ts'
import { createIssue } from './issues.ts'
import { type Attachment, collectAttachments, type NamespaceAttachments } from './collect-attachments.ts'
import { type PolicyLosses, tellLosses } from './policy-losses.ts'
import type { PreparedPolicy, PreparedRoute } from './prepared.ts'

/** What governs one rule. */
export interface RulePolicies {
  /** In the order of the definitions; absent ones are absent. */
  readonly filters: readonly FilterPlan[]
  /** Policies that should be in force and are not, because their config could not be made. */
  readonly failed: readonly string[]
}

interface Layered {
  readonly plan: FilterPlan | undefined
  readonly failed: boolean
}

/** Attaches the Policies of one tenant. One object for each compile of a tenant. */
export class PolicyAttacher {
  readonly #tenant: AdmittedTenant
  readonly #definitions: readonly PolicyDefinition[]
  readonly #issues: Issue[]
  readonly #namespaces = new Map<string, NamespaceAttachments>()
  /** Configs are shared by all rules that the same bodies govern. */
  readonly #plans = new Map<string, Map<unknown, Map<AttachmentPoint, Layered>>>()
  readonly #losses: PolicyLosses = new Map()

  constructor(tenant: AdmittedTenant, definitions: readonly PolicyDefinition[], issues: Issue[]) {
    this.#tenant = tenant
    this.#definitions = definitions
    this.#issues = issues
  }

  /** Takes the Policies of a namespace in, before any of its rules is asked about. */
  addNamespace(namespace: string, policies: ByName<PreparedPolicy>, routes: ByName<PreparedRoute>): void {
    if (policies.size === 0) return
    this.#namespaces.set(namespace, collectAttachments(this.#tenant.name, policies, routes, this.#issues))
  }

  /** The policies of one rule. */
  forRule(route: RouteInForce, ruleName: string): RulePolicies {
    const filters: FilterPlan[] = []
    const failed: string[] = []
    const attachments = this.#namespaces.get(route.namespace)
    const levels = attachments === undefined ? [] : attachments.levelsOf(route.name, ruleName)
    for (const definition of this.#definitions) {
      const winner = this.#winner(definition.name, levels)
      const layered = this.#layered(definition, winner)
      if (layered.plan !== undefined) filters.push(layered.plan)
      if (layered.failed) failed.push(definition.name)
    }
    return { filters, failed }
  }

  /** Tells every Policy what has no effect. Call it once, after the last rule. */
  finish(): void {
    tellLosses(this.#losses, this.#tenant, this.#definitions, this.#issues)
  }

  /** Rules that a Policy is attached to with at least one body. */
  attachedRules(policy: ObjectRef): number {
    return this.#namespaces.get(policy.namespace)?.rulesOf(policy.name) ?? 0
  }

  /** The most specific body; within a level the first by name. */
  #winner(policy: string, levels: readonly (readonly Attachment[])[]): Attachment | undefined {
    let winner: Attachment | undefined
    let winnerLevel = 0
    levels.forEach((level, index) => {
      for (const attachment of level) {
        if (attachment.form.value.bodies[policy] === undefined) continue
        if (winner === undefined) {
          winner = attachment
          winnerLevel = index
        }
        this.#note(attachment, policy, winner, index === winnerLevel)
      }
    })
    return winner
  }

  #note(attachment: Attachment, policy: string, winner: Attachment, sameLevel: boolean): void {
    let bodies = this.#losses.get(attachment.policy)
    if (bodies === undefined) {
      bodies = new Map()
      this.#losses.set(attachment.policy, bodies)
    }
    let body = bodies.get(policy)
    if (body === undefined) {
      body = { inForce: 0, lost: new Map() }
      bodies.set(policy, body)
    }
    if (winner.policy === attachment.policy) {
      if (winner === attachment) body.inForce += 1
      return
    }
    const lost = body.lost.get(winner.policy)
    if (lost === undefined) body.lost.set(winner.policy, { rules: 1, conflict: sameLevel })
    else {
      lost.rules += 1
      lost.conflict ||= sameLevel
    }
  }

  #layered(definition: PolicyDefinition, winner: Attachment | undefined): Layered {
    let byOrigin = this.#plans.get(definition.name)
    if (byOrigin === undefined) {
      byOrigin = new Map()
      this.#plans.set(definition.name, byOrigin)
    }
    const origin = winner?.policy ?? this.#tenant
    let byPoint = byOrigin.get(origin)
    if (byPoint === undefined) {
      byPoint = new Map()
      byOrigin.set(origin, byPoint)
    }
    const point = winner?.point ?? 'TenantDefaults'
    let layered = byPoint.get(point)
    if (layered === undefined) {
      layered = this.#compileLayers(definition, this.#layersOf(definition.name, winner))
      byPoint.set(point, layered)
    }
    return layered
  }

  #layersOf(policy: string, winner: Attachment | undefined): readonly PolicyLayer<unknown>[] {
    const { defaults = {}, overrides = {} } = this.#tenant.form.value.policies ?? {}
    const origin = this.#tenant.indexed.ref
    const layers: PolicyLayer<unknown>[] = []
    if (overrides[policy] !== undefined) layers.push({ body: overrides[policy], origin, point: 'TenantOverrides' })
    if (winner !== undefined) {
      layers.push({ body: winner.form.value.bodies[policy], origin: winner.policy.ref, point: winner.point })
    } else if (defaults[policy] !== undefined) {
      layers.push({ body: defaults[policy], origin, point: 'TenantDefaults' })
    }
    return layers
  }

  #compileLayers(definition: PolicyDefinition, layers: readonly PolicyLayer<unknown>[]): Layered {
    if (layers.length === 0) return { plan: undefined, failed: false }
    try {
      // The schema of each body was checked by its own definition, which is the one that compiles it.
      const config = definition.compile(layers as readonly PolicyLayer<never>[])
      return { plan: { policy: definition.name, config, origins: layers.map(originText) }, failed: false }
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown'
      const message = `${definition.name} cannot be put in force (${why}), so the rules it governs answer 503.`
      const subject = {
        object: this.#tenant.indexed.ref,
        generation: this.#tenant.indexed.generation,
        tenant: this.#tenant.name,
      }
      this.#issues.push(createIssue(subject, 'degrades', 'Invalid', message, { path: [] }))
      return { plan: undefined, failed: true }
    }
  }
}

/** For explain: `Tenant acme (override)`, `Policy acme-prod/edge`. */
function originText(layer: PolicyLayer<unknown>): string {
  const label = objectLabel(layer.origin)
  if (layer.point === 'TenantOverrides') return `${label} (override)`
  return layer.point === 'TenantDefaults' ? `${label} (default)` : label
}

// What the passes of one tenant may look at: its own namespaces, and those of others only through references that a
// ReferenceGrant permits. Pure. Every look at a foreign namespace is written down, so that the tenant is compiled again
// when that namespace changes, and every grant in use becomes a cross effect.
import { compareText } from '../../model/canonical.ts'
import type { FilledRef } from '../../model/defaults.ts'
import { type ObjectRef, objectKey } from '../../model/resources.ts'
import type { AdmittedTenant } from './admission.ts'
import type { CrossEffect } from './compile-types.ts'
import type { IndexedNamespace, NamespaceConfig, WorldIndex } from './indexed.ts'
import { compareRefs } from './issues.ts'

/** All objects and who owns what. */
export interface World {
  readonly index: WorldIndex
  readonly tenants: ReadonlyMap<string, AdmittedTenant>
  /** Namespace to the tenant that owns it. */
  readonly owners: ReadonlyMap<string, AdmittedTenant>
}

/** What was seen of a namespace of another tenant. */
export interface ForeignLook {
  readonly config: NamespaceConfig | undefined
  /** Its owner: whose pods may stand behind its Services. */
  readonly owner: AdmittedTenant | undefined
}

/** Who refers: a Route from its namespace, or a Tenant, which stands for any namespace of its own. */
export type Referrer = { readonly kind: 'Route'; readonly namespace: string } | { readonly kind: 'Tenant' }

/** The one resolver of references of one tenant, and the book of what it looked at. */
export class TenantView {
  readonly tenant: AdmittedTenant
  readonly #world: World
  readonly #own: ReadonlySet<string>
  readonly #foreign = new Map<string, ForeignLook>()
  readonly #effects = new Map<CrossEffect['cause'], Map<string, ObjectRef>>()

  constructor(tenant: AdmittedTenant, world: World) {
    this.tenant = tenant
    this.#world = world
    this.#own = new Set(tenant.namespaces)
  }

  /** A namespace of the tenant. */
  own(namespace: string): IndexedNamespace | undefined {
    return this.#own.has(namespace) ? this.#world.index.namespaces.get(namespace) : undefined
  }

  /**
   * The objects beside which a referent stands, or undefined where the reference is not permitted. A reference within
   * a namespace is permitted; every other one needs a grant there with exactly this kind and namespace on both sides.
   */
  resolve(from: Referrer, to: FilledRef): NamespaceConfig | 'NotPermitted' | undefined {
    if (from.kind === 'Route' ? from.namespace === to.namespace : this.#own.has(to.namespace)) {
      return this.#world.index.namespaces.get(to.namespace)?.config
    }
    const isOwn = this.#own.has(to.namespace)
    const config = this.#world.index.namespaces.get(to.namespace)?.config
    if (!isOwn) this.#foreign.set(to.namespace, { config, owner: this.#world.owners.get(to.namespace) })
    const grant = config === undefined ? undefined : this.#findGrant(config, from, to)
    if (config === undefined || grant === undefined) return 'NotPermitted'
    if (!isOwn) {
      this.#note('ReferenceGrant', grant)
      this.#note(to.kind === 'Service' ? 'GrantedService' : 'ReferenceGrant', to)
    }
    return config
  }

  /** Namespaces whose pods may stand behind a Service: those of the tenant that owns it, or its own alone. */
  namespacesBehind(namespace: string): readonly string[] {
    return this.#world.owners.get(namespace)?.namespaces ?? [namespace]
  }

  /** Foreign namespaces that were looked at, with what was seen. */
  get foreign(): ReadonlyMap<string, ForeignLook> {
    return this.#foreign
  }

  effects(): readonly CrossEffect[] {
    return [...this.#effects]
      .sort(([a], [b]) => compareText(a, b))
      .map(([cause, objects]) => ({
        tenant: this.tenant.name,
        cause,
        objects: [...objects.values()].sort(compareRefs),
      }))
  }

  #findGrant(config: NamespaceConfig, from: Referrer, to: FilledRef): ObjectRef | undefined {
    for (const grant of config.grants.values()) {
      const spec = grant.newest?.value.spec
      if (spec === undefined) continue
      const fromHere = spec.from.some(
        (each) =>
          each.group === 'atrium.dev' &&
          each.kind === from.kind &&
          (from.kind === 'Route' ? each.namespace === from.namespace : this.#own.has(each.namespace)),
      )
      const toThere = spec.to.some(
        (each) => each.group === '' && each.kind === to.kind && (each.name === undefined || each.name === to.name),
      )
      if (fromHere && toThere) return grant.ref
    }
    return undefined
  }

  #note(cause: CrossEffect['cause'], ref: ObjectRef): void {
    let refs = this.#effects.get(cause)
    if (refs === undefined) {
      refs = new Map()
      this.#effects.set(cause, refs)
    }
    refs.set(objectKey(ref), { kind: ref.kind, namespace: ref.namespace, name: ref.name })
  }
}

// Namespaces by label: which Namespace objects a Tenant's selector takes. Pure. admit-tenants asks it for every Tenant
// with a selector; an index by label keeps 10,000 selectors over 10,000 namespaces cheap.
import type { SourceObject } from '../../model/resources.ts'
import type { TenantSpec } from '../../model/tenant.ts'

type Selector = NonNullable<TenantSpec['namespaceSelector']>
type Requirement = NonNullable<Selector['matchExpressions']>[number]
type Labels = ReadonlyMap<string, string>

interface Labelled {
  readonly name: string
  readonly labels: Labels
}

/** All Namespace objects, by label. */
export class NamespaceLabels {
  readonly #all: Labelled[] = []
  readonly #byValue = new Map<string, Map<string, Labelled[]>>()

  constructor(namespaces: ReadonlyMap<string, SourceObject>) {
    for (const [name, object] of namespaces) {
      const labelled = { name, labels: new Map(Object.entries(object.metadata.labels)) }
      this.#all.push(labelled)
      for (const [key, value] of labelled.labels) {
        let values = this.#byValue.get(key)
        if (values === undefined) {
          values = new Map()
          this.#byValue.set(key, values)
        }
        const list = values.get(value)
        if (list === undefined) values.set(value, [labelled])
        else list.push(labelled)
      }
    }
  }

  /** Names of the namespaces that obey every requirement, in no particular order. */
  select(selector: Selector): readonly string[] {
    const labels = Object.entries(selector.matchLabels ?? {})
    const expressions = selector.matchExpressions ?? []
    // The schema refuses an empty selector; taking nothing is the safe reading should one come through.
    if (labels.length === 0 && expressions.length === 0) return []
    return this.#candidates(labels, expressions)
      .filter(
        (namespace) =>
          labels.every(([key, value]) => namespace.labels.get(key) === value) &&
          expressions.every((requirement) => holds(requirement, namespace.labels)),
      )
      .map((namespace) => namespace.name)
  }

  #candidates(labels: readonly [string, string][], expressions: readonly Requirement[]): readonly Labelled[] {
    const first = labels[0]
    if (first !== undefined) return this.#byValue.get(first[0])?.get(first[1]) ?? []
    const chosen = expressions.find((requirement) => requirement.operator === 'In')
    if (chosen === undefined) return this.#all
    const values = this.#byValue.get(chosen.key)
    return [...new Set(chosen.values ?? [])].flatMap((value) => values?.get(value) ?? [])
  }
}

function holds(requirement: Requirement, labels: Labels): boolean {
  const value = labels.get(requirement.key)
  const values = requirement.values ?? []
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    default:
      return value === undefined
  }
}

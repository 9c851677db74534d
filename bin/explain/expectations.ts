// What a person expects of an explanation, and which of it does not hold. Pure. `--expect` and case files use it.
import type { Explanation } from '../../dataplane/explain-types.ts'

/** Things that can be expected. */
export const EXPECTABLE = [
  'decision',
  'status',
  'error',
  'tenant',
  'host',
  'route',
  'rule',
  'backend',
  'location',
  'target',
] as const
export type Expectable = (typeof EXPECTABLE)[number]

export type Expectations = Readonly<Partial<Record<Expectable, string>>>

/** One expectation that does not hold. */
export interface Unmet {
  readonly what: Expectable
  readonly wanted: string
  /** What it is instead; several where any of them would have done. */
  readonly found: readonly string[]
}

/** `key=value` as an expectation; undefined where it is none. */
export function parseExpectation(text: string): { readonly what: Expectable; readonly wanted: string } | undefined {
  const [key = '', ...rest] = text.split('=')
  const what = EXPECTABLE.find((each) => each === key)
  return what === undefined || rest.length === 0 ? undefined : { what, wanted: rest.join('=') }
}

/** Expectations that do not hold, in the order of EXPECTABLE. */
export function unmet(explanation: Explanation, expectations: Expectations): readonly Unmet[] {
  return EXPECTABLE.flatMap((what) => {
    const wanted = expectations[what]
    if (wanted === undefined) return []
    const found = valuesOf(explanation, what)
    return found.includes(wanted) ? [] : [{ what, wanted, found }]
  })
}

/** Every spelling that is right. */
function valuesOf(explanation: Explanation, what: Expectable): readonly string[] {
  const { route } = explanation
  const present = (value: string | number | null | undefined) =>
    value === null || value === undefined ? [] : [String(value)]
  switch (what) {
    case 'decision':
      return [explanation.decision]
    case 'status':
      return present(explanation.status)
    case 'error':
      return present(explanation.error)
    case 'tenant':
      return present(explanation.tenant)
    case 'host':
      return present(explanation.host)
    case 'location':
      return present(explanation.location)
    case 'target':
      return present(explanation.upstream?.target)
    case 'rule':
      return route === null ? [] : [ruleWord(route)]
    case 'route': {
      if (route === null) return []
      const short = [`${route.namespace}/${route.name}`, route.name]
      // The longest first: it is what a failure shows.
      return [...short.map((name) => `${name}/${ruleWord(route)}`), ...short]
    }
    case 'backend':
      // One of weight 0 gets nothing, so nobody should be able to expect it.
      return explanation.backends
        .filter(({ share }) => share > 0)
        .flatMap(({ service }) => [
          service.name,
          `${service.namespace}/${service.name}`,
          `${service.name}:${service.port}`,
        ])
  }
}

/** The name of the rule, or its place from 0 on as in `spec.rules[0]`, the log and the table of explain. */
function ruleWord({ rule, ruleName }: NonNullable<Explanation['route']>): string {
  return ruleName === '' ? String(rule) : ruleName
}

/** `expected backend=api, got web`. */
export function unmetText({ what, wanted, found }: Unmet): string {
  return `expected ${what}=${wanted}, got ${found[0] ?? 'none'}`
}

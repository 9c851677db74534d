// Conditions of a match beside the path: method, header fields, query parameters. Compiled once, at load time. Pure.
// The router asks `holds` for each request; explain asks `failure` for the same condition in words.
//
// Repeated fields and parameters: all of them must hold, or none. The Gateway API leaves repeats open; whoever sends two
// values of which one holds hopes that the gateway reads one and the backend the other. Whether the rule is the one that
// lets more in or the one that lets less in, nobody knows, so such a request has no route at all.
// Methods are exact: a match on GET does not hold for HEAD.
import { headerId, type RequestHead } from '../../model/filter.ts'
import type { MatchPlan, ValueMatchPlan } from '../../model/snapshot.ts'
import { type PatternBudget, type PatternSource, Undecidable } from './patterns.ts'

/** A condition on a request. */
export interface Predicate {
  /** `parameters` of this request. Throws Undecidable. */
  holds(request: RequestHead, budget: PatternBudget, parameters: QueryParameters): boolean
  /** Why it does not hold, in words; undefined where it holds. Throws Undecidable. */
  failure(request: RequestHead, budget: PatternBudget, parameters: QueryParameters): string | undefined
}

/** Query parameters that are read at most; with more, no match on the query can be decided. */
const MOST_PARAMETERS = 256

/** The conditions of a match in the order in which they are told: method, headers, query. Throws on a bad pattern. */
export function compilePredicates(match: MatchPlan, patterns: PatternSource): readonly Predicate[] {
  const predicates: Predicate[] = []
  if (match.method !== null) predicates.push(methodPredicate(match.method))
  for (const header of match.headers) predicates.push(headerPredicate(header, patterns))
  for (const parameter of match.queryParams) predicates.push(queryPredicate(parameter, patterns))
  return predicates
}

function methodPredicate(method: string): Predicate {
  return {
    holds: (request) => request.method === method,
    failure: (request) => (request.method === method ? undefined : `method: wants ${method}, is ${request.method}`),
  }
}

function headerPredicate(plan: ValueMatchPlan, patterns: PatternSource): Predicate {
  const id = headerId(plan.name)
  const test = valueTest(plan, patterns)
  return valuesPredicate(`header ${plan.name}`, plan, test, (request) => request.getAll(id))
}

function queryPredicate(plan: ValueMatchPlan, patterns: PatternSource): Predicate {
  const test = valueTest(plan, patterns)
  return valuesPredicate(`query ${plan.name}`, plan, test, (_, parameters) => parameters.values(plan.name))
}

function valuesPredicate(
  what: string,
  plan: ValueMatchPlan,
  test: ValueTest,
  read: (request: RequestHead, parameters: QueryParameters) => readonly string[],
): Predicate {
  const wanted = `${what}: wants ${plan.type === 'Exact' ? JSON.stringify(plan.value) : `pattern ${plan.value}`}`
  const holds = (values: readonly string[], budget: PatternBudget) => {
    const [first, ...more] = values
    if (first === undefined) return false
    const held = test(first, budget)
    for (const value of more) if (test(value, budget) !== held) throw new Undecidable(`${what} is given twice`)
    return held
  }
  return {
    holds: (request, budget, parameters) => holds(read(request, parameters), budget),
    failure: (request, budget, parameters) => {
      const values = read(request, parameters)
      if (holds(values, budget)) return undefined
      if (values.length === 0) return `${wanted}, absent`
      return `${wanted}, is ${values.map((value) => JSON.stringify(value)).join(' and ')}`
    },
  }
}

type ValueTest = (value: string, budget: PatternBudget) => boolean

function valueTest(plan: ValueMatchPlan, patterns: PatternSource): ValueTest {
  if (plan.type === 'Exact') return (value) => value === plan.value
  const pattern = patterns(plan.value)
  return (value, budget) => pattern.holds(value, budget)
}

/**
 * The query of one request, read once for all matches of a host, which may be thousands: decoded as a form (URL Standard,
 * application/x-www-form-urlencoded). `&` separates, `+` is a blank, a stray `%` is itself.
 */
export class QueryParameters {
  readonly #query: string
  #values: ReadonlyMap<string, readonly string[]> | undefined

  constructor(query: string) {
    this.#query = query
  }

  /** Values of a parameter in wire order. Throws Undecidable where there are more than 256 parameters. */
  values(name: string): readonly string[] {
    this.#values ??= readQuery(this.#query)
    return this.#values.get(name) ?? []
  }
}

function readQuery(query: string): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, string[]>()
  if (query === '') return values
  let count = 0
  // URLSearchParams drops one leading question mark, which is part of the first name here.
  for (const [name, value] of new URLSearchParams(`&${query}`)) {
    count += 1
    if (count > MOST_PARAMETERS) throw new Undecidable(`query: there are more than ${MOST_PARAMETERS} parameters`)
    const present = values.get(name)
    if (present === undefined) values.set(name, [value])
    else present.push(value)
  }
  return values
}

// Conditions of a match beside the path: method, header fields, query parameters. Compiled once, at load time. Pure.
// The router asks `holds` for each request; explain asks `failure` for the same condition in words.
//
// Repeated fields and parameters: every one of them must hold by itself. The Gateway API leaves repeats open; whoever
// sends two values hopes that the gateway reads one and the backend the other, so a match on either alone is refused.
// Methods are exact: a match on GET does not hold for HEAD.
import { headerId, type RequestHead } from '../../model/filter.ts'
import type { MatchPlan, ValueMatchPlan } from '../../model/snapshot.ts'
import type { PatternBudget, PatternSource } from './patterns.ts'

/** A condition on a request. */
export interface Predicate {
  /** Throws PatternTooCostly. */
  holds(request: RequestHead, budget: PatternBudget): boolean
  /** Why it does not hold, in words; undefined where it holds. Throws PatternTooCostly. */
  failure(request: RequestHead, budget: PatternBudget): string | undefined
}

/** Query parameters that are read at most; a request with more never holds for a match on the query. */
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
  return valuesPredicate(`query ${plan.name}`, plan, test, (request) => queryValues(request.query, plan.name))
}

function valuesPredicate(
  what: string,
  plan: ValueMatchPlan,
  test: ValueTest,
  read: (request: RequestHead) => readonly string[],
): Predicate {
  const wanted = `${what}: wants ${plan.type === 'Exact' ? JSON.stringify(plan.value) : `pattern ${plan.value}`}`
  const holds = (values: readonly string[], budget: PatternBudget) => {
    if (values.length === 0) return false
    for (const value of values) if (!test(value, budget)) return false
    return true
  }
  return {
    holds: (request, budget) => holds(read(request), budget),
    failure: (request, budget) => {
      const values = read(request)
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
 * The values of one parameter, decoded as a form (URL Standard, application/x-www-form-urlencoded): `&` separates, `+`
 * is a blank, a stray `%` is itself. Empty where the parameter is absent or there are more than 256 parameters.
 */
export function queryValues(query: string, name: string): readonly string[] {
  if (query === '') return []
  const values: string[] = []
  let count = 0
  // URLSearchParams drops one leading question mark, which is part of the first name here.
  for (const [key, value] of new URLSearchParams(`&${query}`)) {
    count += 1
    if (count > MOST_PARAMETERS) return []
    if (key === name) values.push(value)
  }
  return values
}

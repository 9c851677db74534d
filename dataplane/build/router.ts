// The router of one host: the first match that holds, in the order that compile gave. Built at load time, no sockets.
// The exchange calls route(), explain calls trace(); both read the same conditions.
import type { RequestHead } from '../../model/filter.ts'
import type { MatchPlan } from '../../model/snapshot.ts'
import { comparablePath } from '../../model/target.ts'
import { compilePath, createPathIndex, pathHolds, type PathIndex, type PathTest } from './path-index.ts'
import { PatternBudget, type PatternSource, PatternTooCostly, Undecidable } from './patterns.ts'
import { compilePredicates, type Predicate, QueryParameters } from './predicates.ts'

/** One match with the program it leads to. */
interface Candidate<Program> {
  readonly plan: MatchPlan
  readonly test: PathTest
  readonly predicates: readonly Predicate[]
  readonly route: Program
}

/** One match, whether it holds, and why or why not: TraceEntry for the programs of rules. */
export interface TracedMatch<Program> {
  readonly match: MatchPlan
  readonly route: Program
  readonly matchIndex: number
  readonly matched: boolean
  readonly why: string
}

/** Chooses among the matches of a host. `Program` is what a match leads to. */
export class Router<Program> {
  readonly #candidates: readonly Candidate<Program>[]
  readonly #index: PathIndex<Candidate<Program>>

  /** `programOf` gives the program of a match; it may depend on the prefix that matched. Throws on a bad pattern. */
  constructor(matches: readonly MatchPlan[], patterns: PatternSource, programOf: (match: MatchPlan) => Program) {
    this.#candidates = matches.map((plan) => ({
      plan,
      test: compilePath(plan.path, patterns),
      predicates: compilePredicates(plan, patterns),
      route: programOf(plan),
    }))
    this.#index = createPathIndex(this.#candidates)
  }

  /**
   * The program of the first match that holds; undefined where none does, and where nobody can say or finding out would
   * cost too much: what was passed over might be the rule with the policy.
   */
  route(request: RequestHead): Program | undefined {
    const budget = new PatternBudget()
    const parameters = new QueryParameters(request.query)
    const taken = (candidate: Candidate<Program>) => accepts(candidate, request, budget, parameters)
    try {
      return this.#index.find(comparablePath(request.path), taken, budget)?.route
    } catch (error) {
      if (error instanceof Undecidable) return undefined
      throw error
    }
  }

  /** Every match in order, whether it holds, and why or why not. */
  trace(request: RequestHead): readonly TracedMatch<Program>[] {
    const path = comparablePath(request.path)
    // Explain may take its time, but asks nothing that a request may not ask.
    const budget = () => new PatternBudget()
    const parameters = new QueryParameters(request.query)
    return this.#candidates.map(({ plan, test, predicates, route }) => {
      const condition = `${plan.path.type} ${plan.path.value}`
      let failure: string | undefined
      if (test.type === 'Never') failure = `path: ${condition} is no valid path`
      else failure = inTime(() => (pathHolds(test, path, budget()) ? undefined : `path: wants ${condition}`))
      for (const predicate of predicates) failure ??= inTime(() => predicate.failure(request, budget(), parameters))
      return {
        match: plan,
        route,
        matchIndex: plan.index,
        matched: failure === undefined,
        why: failure ?? [condition, ...conditionsBeside(plan)].join(', '),
      }
    })
  }
}

/** The failure that a test says, or that it could not be made. */
function inTime(test: () => string | undefined): string | undefined {
  try {
    return test()
  } catch (error) {
    if (!(error instanceof Undecidable)) throw error
    const what = error instanceof PatternTooCostly ? `pattern: ${error.message}` : error.message
    return `${what}, so no rule is chosen`
  }
}

function accepts(
  candidate: Candidate<unknown>,
  request: RequestHead,
  budget: PatternBudget,
  parameters: QueryParameters,
): boolean {
  for (const predicate of candidate.predicates) if (!predicate.holds(request, budget, parameters)) return false
  return true
}

function conditionsBeside(plan: MatchPlan): readonly string[] {
  return [
    ...(plan.method === null ? [] : [`method ${plan.method}`]),
    ...plan.headers.map((header) => `header ${header.name}`),
    ...plan.queryParams.map((parameter) => `query ${parameter.name}`),
  ]
}

// The router of one host: the first match that holds, in the order that compile gave. Built at load time, no sockets.
// The exchange calls route(), explain calls trace(); both read the same conditions.
import type { RequestHead } from '../../model/filter.ts'
import type { MatchPlan } from '../../model/snapshot.ts'
import { comparablePath } from '../../model/target.ts'
import { compilePath, createPathIndex, pathHolds, type PathIndex, type PathTest } from './path-index.ts'
import { compilePredicates, type Predicate } from './predicates.ts'

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
  constructor(matches: readonly MatchPlan[], programOf: (match: MatchPlan) => Program) {
    this.#candidates = matches.map((plan) => ({
      plan,
      test: compilePath(plan.path),
      predicates: compilePredicates(plan),
      route: programOf(plan),
    }))
    this.#index = createPathIndex(this.#candidates)
  }

  /** The program of the first match that holds; undefined where none does. */
  route(request: RequestHead): Program | undefined {
    return this.#index.find(comparablePath(request.path), (candidate) => accepts(candidate, request))?.route
  }

  /** Every match in order, whether it holds, and why or why not. */
  trace(request: RequestHead): readonly TracedMatch<Program>[] {
    const path = comparablePath(request.path)
    return this.#candidates.map(({ plan, test, predicates, route }) => {
      const condition = `${plan.path.type} ${plan.path.value}`
      let failure: string | undefined
      if (test.type === 'Never') failure = `path: ${condition} is no valid path`
      else if (!pathHolds(test, path)) failure = `path: wants ${condition}`
      for (const predicate of predicates) failure ??= predicate.failure(request)
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

function accepts(candidate: Candidate<unknown>, request: RequestHead): boolean {
  for (const predicate of candidate.predicates) if (!predicate.holds(request)) return false
  return true
}

function conditionsBeside(plan: MatchPlan): readonly string[] {
  return [
    ...(plan.method === null ? [] : [`method ${plan.method}`]),
    ...plan.headers.map((header) => `header ${header.name}`),
    ...plan.queryParams.map((parameter) => `query ${parameter.name}`),
  ]
}

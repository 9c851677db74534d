// Patterns of tenants (RE2, linear time), bounded in what they may cost: memory for each, work for each text, time for
// each request. Built at load time; the router and the conditions of matches ask them.
//
// Linear is not cheap: one pattern of 30 steps can take 50 ms and 8 MB on a path of 8 KiB, and a tenant may have
// hundreds. What would cost too much is not asked, and then no rule is chosen at all: a rule that was passed over
// might be the one with the policy.
import { RE2Set } from 're2js'
import type { HostPlan } from '../../model/snapshot.ts'

/** Bytes that the engine may remember of one pattern; with less it forgets and works a little more. */
const ENGINE_MEMORY = 65_536
/** Steps of the pattern times length of the text, for one test: 20 ms at the slowest that was measured (71 ns each). */
const MOST_WORK = 300_000
/** Milliseconds that all tests of one request may take together. */
const MOST_TIME = 10
/** Work below which a request's tests are never judged by the clock, which a busy machine stops now and then. */
const FREE_WORK = 1_000_000

/**
 * Thrown by a condition of which nobody can say whether it holds. Router.route catches it: the request has no route,
 * because what would be passed over might be the rule with the policy.
 */
export class Undecidable extends Error {}

/** Thrown by a test that would cost too much. */
export class PatternTooCostly extends Undecidable {}

/** What the patterns of one request have cost so far. */
export class PatternBudget {
  #work = 0
  #startedAt = 0

  /** Call before each test. Throws PatternTooCostly where it may not be made. */
  spend(work: number): void {
    if (work > MOST_WORK) throw new PatternTooCostly('the text is too long for the pattern')
    if (this.#work === 0) this.#startedAt = performance.now()
    this.#work += work
    if (this.#work > FREE_WORK && performance.now() - this.#startedAt > MOST_TIME) {
      throw new PatternTooCostly('the patterns take too long')
    }
  }
}

/** A pattern for a whole text. */
export class BoundedPattern {
  readonly #set: RE2Set
  readonly #size: number

  /** Throws where the text is no RE2 pattern. */
  constructor(text: string) {
    // A set of one: the only form in which the engine takes a bound on its memory.
    this.#set = new RE2Set(RE2Set.ANCHOR_BOTH, 0, ENGINE_MEMORY)
    this.#set.add(text)
    this.#set.compile()
    this.#size = this.#set.prog.numInst()
  }

  /** Whether the whole text matches. Throws PatternTooCostly where the budget does not allow the question. */
  holds(text: string, budget: PatternBudget): boolean {
    budget.spend(this.#size * (text.length + 1))
    return this.#set.match(text).length > 0
  }
}

/** Gives the pattern of a text, the same one for the same text. Throws where it is no RE2 pattern. */
export type PatternSource = (text: string) => BoundedPattern

/** The patterns that the build of these hosts will ask for, some several times. */
export function* patternsOf(hosts: readonly HostPlan[]): Generator<string> {
  for (const { matches } of hosts) {
    for (const { path, headers, queryParams } of matches) {
      for (const condition of [path, ...headers, ...queryParams]) {
        if (condition.type === 'RegularExpression') yield condition.value
      }
    }
  }
}

/**
 * Patterns by tenant and text, so that an edit compiles only what is new (0.15 ms each) and equal ones are one. Never
 * shared between tenants. Holds what each tenant's last build asked for.
 */
export class PatternCache {
  readonly #byTenant = new Map<string, Map<string, BoundedPattern>>()

  /** The source for one build of a tenant; what the build does not ask for is forgotten with the next one. */
  sourceFor(tenant: string): PatternSource {
    const before = this.#byTenant.get(tenant)
    const used = new Map<string, BoundedPattern>()
    this.#byTenant.set(tenant, used)
    return (text) => {
      const present = used.get(text) ?? before?.get(text) ?? new BoundedPattern(text)
      used.set(text, present)
      return present
    }
  }

  /** The tenant is gone. */
  forget(tenant: string): void {
    this.#byTenant.delete(tenant)
  }
}

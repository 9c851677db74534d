// From a path to the candidates that its text allows, in the order in which the first that holds wins. Load time
// building, no sockets. The router builds one per host; a request only walks it.
import { canonicalPath, comparablePath } from '../../model/target.ts'
import type { MatchPlan } from '../../model/snapshot.ts'
import { type BoundedPattern, type PatternBudget, type PatternSource, PatternTooCostly } from './patterns.ts'

/** Prefixes up to this number are compared one by one; beyond it a trie of segments is faster. */
const MOST_LISTED_PREFIXES = 16

/** A path condition made ready. `key` is comparable text (model/target.ts); for a prefix without its last slash. */
export type PathTest =
  | { readonly type: 'Exact' | 'PathPrefix'; readonly key: string }
  | { readonly type: 'RegularExpression'; readonly pattern: BoundedPattern }
  /** A value that no canonical path can have. */
  | { readonly type: 'Never' }

/** Compiles the path of a match. Throws where the pattern is not RE2. */
export function compilePath(path: MatchPlan['path'], patterns: PatternSource): PathTest {
  if (path.type === 'RegularExpression') return { type: path.type, pattern: patterns(path.value) }
  const canonical = canonicalPath(path.value)
  if (canonical === undefined) return { type: 'Never' }
  const key = comparablePath(canonical)
  if (path.type === 'Exact') return { type: 'Exact', key }
  return { type: 'PathPrefix', key: key.endsWith('/') ? key.slice(0, -1) : key }
}

/** The meaning of a path condition, one by one: what the index must agree with. `path` is comparable. */
export function pathHolds(test: PathTest, path: string, budget: PatternBudget): boolean {
  switch (test.type) {
    case 'Exact':
      return path === test.key
    case 'PathPrefix':
      return prefixHolds(test.key, path)
    case 'RegularExpression':
      return test.pattern.holds(path, budget)
    case 'Never':
      return false
  }
}

/** By whole segments (Gateway API, PathMatchPathPrefix): `/api` holds for `/api` and `/api/x`, not for `/apix`. */
function prefixHolds(key: string, path: string): boolean {
  return path.startsWith(key) && (path.length === key.length || path.charCodeAt(key.length) === 0x2f)
}

/** A candidate in the index: its path condition and whatever the router keeps with it. */
export interface PathCandidate {
  readonly test: PathTest
}

/** Finds the first candidate, in the order given, whose path holds and that `accepts` takes. */
export interface PathIndex<Candidate extends PathCandidate> {
  /** `path` is comparable. Throws PatternTooCostly. */
  find(path: string, accepts: (candidate: Candidate) => boolean, budget: PatternBudget): Candidate | undefined
}

/** Builds the index that suits the candidates; whichever it is, the answer is the first in their order that holds. */
export function createPathIndex<Candidate extends PathCandidate>(
  candidates: readonly Candidate[],
): PathIndex<Candidate> {
  return inPrecedence(candidates) ? new GroupedIndex(candidates) : new ListIndex(candidates)
}

/** One by one. For orders that are not by precedence; compile never makes one. */
class ListIndex<Candidate extends PathCandidate> implements PathIndex<Candidate> {
  readonly #candidates: readonly Candidate[]

  constructor(candidates: readonly Candidate[]) {
    this.#candidates = candidates
  }

  find(path: string, accepts: (candidate: Candidate) => boolean, budget: PatternBudget): Candidate | undefined {
    return this.#candidates.find((candidate) => pathHolds(candidate.test, path, budget) && accepts(candidate))
  }
}

/** Exact paths by map, then patterns in turn, then prefixes from the longest to the shortest. */
class GroupedIndex<Candidate extends PathCandidate> implements PathIndex<Candidate> {
  readonly #exact = new Map<string, Candidate[]>()
  readonly #patterns: { readonly pattern: BoundedPattern; readonly candidate: Candidate }[] = []
  readonly #prefixes: PrefixIndex<Candidate>

  constructor(candidates: readonly Candidate[]) {
    const prefixes = new Map<string, Candidate[]>()
    for (const candidate of candidates) {
      const test = candidate.test
      if (test.type === 'Exact') append(this.#exact, test.key, candidate)
      else if (test.type === 'PathPrefix') append(prefixes, test.key, candidate)
      else if (test.type === 'RegularExpression') this.#patterns.push({ pattern: test.pattern, candidate })
    }
    this.#prefixes = prefixes.size > MOST_LISTED_PREFIXES ? new PrefixTrie(prefixes) : new PrefixList(prefixes)
  }

  find(path: string, accepts: (candidate: Candidate) => boolean, budget: PatternBudget): Candidate | undefined {
    const exact = firstOf(this.#exact.get(path), accepts)
    if (exact !== undefined) return exact
    // The cheap conditions first: a pattern may cost milliseconds on the longest path.
    for (const { pattern, candidate } of this.#patterns) {
      if (acceptsWhere(() => pattern.holds(path, budget), candidate, accepts)) return candidate
    }
    return this.#prefixes.find(path, accepts)
  }
}

/** `accepts` first, then the path; conditions that cannot be decided matter only where the path holds. */
function acceptsWhere<Candidate>(
  pathHolds: () => boolean,
  candidate: Candidate,
  accepts: (candidate: Candidate) => boolean,
): boolean {
  let accepted: boolean
  try {
    accepted = accepts(candidate)
  } catch (error) {
    if (error instanceof PatternTooCostly || pathHolds()) throw error
    return false
  }
  return accepted && pathHolds()
}

interface PrefixIndex<Candidate> {
  find(path: string, accepts: (candidate: Candidate) => boolean): Candidate | undefined
}

class PrefixList<Candidate> implements PrefixIndex<Candidate> {
  /** From the longest key to the shortest: of two that hold for one path the longer comes first. */
  readonly #entries: readonly { readonly key: string; readonly candidates: readonly Candidate[] }[]

  constructor(prefixes: ReadonlyMap<string, readonly Candidate[]>) {
    this.#entries = [...prefixes]
      .map(([key, candidates]) => ({ key, candidates }))
      .sort((a, b) => b.key.length - a.key.length)
  }

  find(path: string, accepts: (candidate: Candidate) => boolean): Candidate | undefined {
    for (const { key, candidates } of this.#entries) {
      if (!prefixHolds(key, path)) continue
      const found = firstOf(candidates, accepts)
      if (found !== undefined) return found
    }
    return undefined
  }
}

interface TrieNode<Candidate> {
  readonly children: Map<string, TrieNode<Candidate>>
  candidates: readonly Candidate[] | undefined
}

class PrefixTrie<Candidate> implements PrefixIndex<Candidate> {
  readonly #root: TrieNode<Candidate> = { children: new Map(), candidates: undefined }

  constructor(prefixes: ReadonlyMap<string, readonly Candidate[]>) {
    for (const [key, candidates] of prefixes) {
      let node = this.#root
      for (const segment of key.split('/').slice(1)) {
        let child = node.children.get(segment)
        if (child === undefined) {
          child = { children: new Map(), candidates: undefined }
          node.children.set(segment, child)
        }
        node = child
      }
      node.candidates = candidates
    }
  }

  find(path: string, accepts: (candidate: Candidate) => boolean): Candidate | undefined {
    return descend(this.#root, path, 1, accepts)
  }
}

/** Deepest first. Depth is bounded by the longest prefix that is configured, not by the request. */
function descend<Candidate>(
  node: TrieNode<Candidate>,
  path: string,
  from: number,
  accepts: (candidate: Candidate) => boolean,
): Candidate | undefined {
  if (from <= path.length && node.children.size > 0) {
    const slash = path.indexOf('/', from)
    const end = slash < 0 ? path.length : slash
    const child = node.children.get(path.slice(from, end))
    const deeper = child === undefined ? undefined : descend(child, path, end + 1, accepts)
    if (deeper !== undefined) return deeper
  }
  return firstOf(node.candidates, accepts)
}

function firstOf<Candidate>(
  candidates: readonly Candidate[] | undefined,
  accepts: (candidate: Candidate) => boolean,
): Candidate | undefined {
  if (candidates === undefined) return undefined
  for (const candidate of candidates) if (accepts(candidate)) return candidate
  return undefined
}

function append<Candidate>(map: Map<string, Candidate[]>, key: string, candidate: Candidate): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [candidate])
  else list.push(candidate)
}

/** Whether visiting exact paths, patterns and then prefixes from long to short meets the candidates in their order. */
function inPrecedence(candidates: readonly PathCandidate[]): boolean {
  const rank = { Exact: 0, RegularExpression: 1, PathPrefix: 2 }
  let reached = 0
  const seen = new Set<string>()
  for (const { test } of candidates) {
    if (test.type === 'Never') continue
    if (rank[test.type] < reached) return false
    reached = rank[test.type]
    if (test.type !== 'PathPrefix') continue
    for (let slash = test.key.lastIndexOf('/'); slash >= 0; slash = test.key.lastIndexOf('/', slash - 1)) {
      if (seen.has(test.key.slice(0, slash))) return false
      if (slash === 0) break
    }
    seen.add(test.key)
  }
  return true
}

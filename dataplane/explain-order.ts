// Why one match stands before another, in words: the criteria of model/precedence.ts, in their order. Pure.
// explain.ts calls it for the matches that hold.
import type { MatchPlan } from '../model/snapshot.ts'
import type { TraceEntry } from './build/program.ts'

/** `chosen, longer prefix` for the winner (against the next one that holds), `lost, shorter prefix` for the others. */
export function explainOrder(entry: TraceEntry, winner: TraceEntry, next: TraceEntry | undefined): string {
  if (entry !== winner) return `lost, ${difference(entry.match, winner.match)}`
  return next === undefined ? 'chosen, the only one' : `chosen, ${difference(winner.match, next.match)}`
}

const RANK = { Exact: 0, RegularExpression: 1, PathPrefix: 2 } as const
const KIND = { Exact: 'exact path', RegularExpression: 'pattern', PathPrefix: 'prefix' } as const

/** What of `a` decides between it and `b`. */
function difference(a: MatchPlan, b: MatchPlan): string {
  if (RANK[a.path.type] !== RANK[b.path.type]) return `${KIND[a.path.type]} against ${KIND[b.path.type]}`
  const longer = a.path.value.length - b.path.value.length
  if (longer !== 0) return `${longer > 0 ? 'longer' : 'shorter'} ${KIND[a.path.type]}`
  if ((a.method === null) !== (b.method === null)) return a.method === null ? 'no method' : 'names a method'
  const headers = a.headers.length - b.headers.length
  if (headers !== 0) return `${headers > 0 ? 'more' : 'fewer'} headers`
  const parameters = a.queryParams.length - b.queryParams.length
  if (parameters !== 0) return `${parameters > 0 ? 'more' : 'fewer'} query parameters`
  return 'by order of namespace, name and place'
}

// Who leads, decided from what was read and written so far. Pure: monotonic milliseconds are a parameter, and what the
// API server answered is handed in. lease.ts carries it out; its simulation test drives several of these against one server.
//
// Safe without synchronous clocks: a holder stops `renewMs` after it SENT its last renewal that was stored, another takes
// over at the earliest `durationMs` after it has SEEN the last change. Clocks are only believed where they are a minute
// apart from being wrong: a lease that ended so long ago by the API server's clock, after an outage, is free at once. Every
// term has a number (fence) above all before it, so that whoever still acts after a pause is refused by the dataplane.

/** What a Lease says. */
export interface LeaseRecord {
  /** '' for nobody. */
  readonly holder: string
  /** `leaseTransitions`: the number of the term. */
  readonly transitions: number
  /** How long the holder asks others to wait, milliseconds. */
  readonly durationMs: number
}

/** How long things take, milliseconds. duration > renew > retry. */
export interface LeaseTimes {
  readonly durationMs: number
  readonly renewMs: number
  readonly retryMs: number
}

/** The time for which this process may lead. */
export interface Term {
  /** Above that of every term before, of whomever. */
  readonly fence: number
  /** Monotonic milliseconds. From then on nothing may be done as leader. */
  readonly until: number
}

/** What a candidate knows. */
export interface CandidateState {
  readonly identity: string
  /** The lease as last read or written; undefined before, null where there is none. */
  readonly record: LeaseRecord | null | undefined
  readonly resourceVersion: string
  /** When this candidate first saw this resourceVersion, monotonic milliseconds. */
  readonly seenAt: number
  readonly term: Term | undefined
  /** The highest fence heard of, from leases and from pods. */
  readonly highest: number
  /** What is known may be out of date: read before writing. */
  readonly mustRead: boolean
}

/** A write that may be tried. `resourceVersion` is undefined to create. */
export interface LeaseWrite {
  readonly record: LeaseRecord
  readonly resourceVersion: string | undefined
}

/** Of a write: stored with a resourceVersion, refused because somebody was faster, or nobody knows. */
export type WriteOutcome = { readonly stored: string } | 'conflict' | 'unknown'

/** Nothing known yet. `identity` must be that of one process, never used again. */
export function newCandidate(identity: string): CandidateState {
  return {
    identity,
    record: undefined,
    resourceVersion: '',
    seenAt: 0,
    term: undefined,
    highest: 0,
    mustRead: true,
  }
}

/** The fence under which this candidate may act at `now`; undefined where it may not. */
export function fenceAt(state: CandidateState, now: number): number | undefined {
  return state.term !== undefined && now < state.term.until ? state.term.fence : undefined
}

/** Whether to read before anything else. A leader that knows its lease writes at once; all others look first. */
export function needsRead(state: CandidateState, now: number): boolean {
  return state.mustRead || fenceAt(state, now) === undefined
}

/** What to write now, if anything: a renewal, or the lease for oneself where it is free. */
export function nextWrite(state: CandidateState, now: number, times: LeaseTimes): LeaseWrite | undefined {
  const { record, identity, highest } = state
  if (record === undefined) return undefined
  const fence = fenceAt(state, now)
  const { durationMs } = times
  if (record !== null && fence !== undefined && record.holder === identity && record.transitions === fence) {
    // A pod that has seen a higher fence refuses this one: the lease was made anew or restored from a backup.
    const transitions = highest > fence ? highest + 1 : fence
    return { record: { holder: identity, transitions, durationMs }, resourceVersion: state.resourceVersion }
  }
  if (record !== null && !isFree(state, record, now, times)) return undefined
  return {
    record: { holder: identity, transitions: Math.max(highest, record?.transitions ?? 0) + 1, durationMs },
    resourceVersion: record === null ? undefined : state.resourceVersion,
  }
}

/** The lease that lets go of leadership; undefined where this candidate does not hold it. */
export function releaseWrite(state: CandidateState): LeaseWrite | undefined {
  const { record, identity } = state
  if (record === undefined || record === null || record.holder !== identity) return undefined
  return { record: { ...record, holder: '' }, resourceVersion: state.resourceVersion }
}

/**
 * What was read at `now`; null for no lease.
 * @param silentMs milliseconds since its last renewal, by the API server's clock and the holder's; 0 where unknown.
 */
export function afterRead(
  state: CandidateState,
  record: LeaseRecord | null,
  resourceVersion: string,
  now: number,
  silentMs = 0,
): CandidateState {
  const isOver = record !== null && silentMs > record.durationMs + CLOCKS_MS
  const same = state.record !== undefined && state.resourceVersion === resourceVersion
  const holds =
    record !== null && record.holder === state.identity && record.transitions === state.term?.fence && state.term
  return {
    ...state,
    record,
    resourceVersion,
    seenAt: same ? state.seenAt : isOver ? now - silentMs : now,
    // Reading never makes a term longer: only the sender knows when a renewal was sent.
    term: holds || undefined,
    highest: Math.max(state.highest, record?.transitions ?? 0),
    mustRead: false,
  }
}

/** What became of a write that was sent at `sentAt`. */
export function afterWrite(
  state: CandidateState,
  write: LeaseWrite,
  outcome: WriteOutcome,
  sentAt: number,
  times: LeaseTimes,
): CandidateState {
  if (typeof outcome === 'string') return { ...state, mustRead: true }
  const { record } = write
  const held = record.holder === state.identity
  return {
    ...state,
    record,
    resourceVersion: outcome.stored,
    seenAt: sentAt,
    term: held ? { fence: record.transitions, until: sentAt + times.renewMs } : undefined,
    highest: Math.max(state.highest, record.transitions),
    mustRead: false,
  }
}

/** A pod said that it has seen this fence. Only what a lease can count to is believed. */
export function heardOf(state: CandidateState, fence: number): CandidateState {
  const believable = Number.isSafeInteger(fence) && fence <= MAX_FENCE
  return believable && fence > state.highest ? { ...state, highest: fence } : state
}

/** What the clocks of a holder and of the API server may differ. */
const CLOCKS_MS = 60_000

/** Half of what `leaseTransitions` (int32) can hold: a liar cannot use the numbers up. */
const MAX_FENCE = 2 ** 30

function isFree(state: CandidateState, record: LeaseRecord, now: number, times: LeaseTimes): boolean {
  if (record.holder === '' || record.holder === state.identity) return true
  return now - state.seenAt >= Math.max(record.durationMs, times.durationMs)
}

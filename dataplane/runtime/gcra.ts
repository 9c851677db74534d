// The arithmetic of every rate limit: GCRA, one number for each bucket (ITU-T I.371, the "virtual scheduling" form).
// Pure. local-state.ts and shared-state.ts keep the number, each in its own memory; nobody else does this arithmetic.

/** Ticks in one millisecond: a quarter of a nanosecond each, so that 64 bits hold 73 years and rates to 80,000,000/s stay within 1 %. */
const TICKS_PER_MILLISECOND = 4_000_000
const TICKS_PER_SECOND = 4_000_000_000

/** The furthest that a bucket may run ahead of the clock: 36 years. Beyond it a burst is cut, closed on doubt. */
const MAX_SPAN = 2 ** 62

/** A rate made ready: `interval` ticks for each request, `span` = burst × interval. */
export interface Rule {
  readonly interval: number
  readonly intervalTicks: bigint
  readonly span: number
  /** The span with what its rounding may have taken. Below 2^50 ticks the slack is under one tick. */
  readonly bound: number
}

/** What became of one request. `next` is the theoretical arrival time to store; meaningless where refused. */
export interface Step {
  readonly allowed: boolean
  readonly next: bigint
  /** Whole requests that could come now. */
  readonly remaining: number
  /** Seconds until the bucket is full again. */
  readonly resetAfter: number
  /** Seconds until one more request would be allowed; 0 when allowed. */
  readonly retryAfter: number
}

/** A rule from `count` requests in `seconds`, of which `burst` may come at once (at least 1). */
export function createRule(rate: { readonly count: number; readonly seconds: number; readonly burst: number }): Rule {
  const exact = (rate.seconds * TICKS_PER_SECOND) / rate.count
  const interval = Math.min(MAX_SPAN, Math.max(1, Math.round(exact)))
  const burst = Math.max(1, Math.floor(rate.burst))
  const span = burst * interval > MAX_SPAN ? Math.floor(MAX_SPAN / interval) * interval : burst * interval
  return { interval, intervalTicks: BigInt(interval), span, bound: span + span * 4 * Number.EPSILON }
}

/** Monotonic milliseconds as ticks. */
export function toTicks(milliseconds: number): bigint {
  return BigInt(Math.floor(milliseconds * TICKS_PER_MILLISECOND))
}

/**
 * One request at `now` against a bucket whose theoretical arrival time is `arrival` (0 for a new one). An arrival
 * time further ahead than this rule can produce was left by another rate: it counts as an empty bucket of this one.
 */
export function step(rule: Rule, arrival: bigint, now: bigint): Step {
  const ahead = aheadOf(rule, arrival, now)
  const allowed = ahead + rule.interval <= rule.bound
  if (!allowed) {
    return {
      allowed,
      next: arrival,
      remaining: 0,
      resetAfter: ahead / TICKS_PER_SECOND,
      retryAfter: (ahead + rule.interval - rule.span) / TICKS_PER_SECOND,
    }
  }
  const after = ahead + rule.interval
  return {
    allowed,
    next: (arrival > now ? arrival : now) + rule.intervalTicks,
    remaining: Math.max(0, Math.floor((rule.bound - after) / rule.interval)),
    resetAfter: after / TICKS_PER_SECOND,
    retryAfter: 0,
  }
}

/** Share of the bucket that is used up, 0 to 1, for a gauge. */
export function usage(rule: Rule, arrival: bigint, now: bigint): number {
  return aheadOf(rule, arrival, now) / rule.span
}

function aheadOf(rule: Rule, arrival: bigint, now: bigint): number {
  return arrival <= now ? 0 : Math.min(Number(arrival - now), rule.span)
}

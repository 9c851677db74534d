// The demo's one number: what the neighbours noticed of the noisy one. Pure, and honest: no ratio from few samples, no
// pass without a ratio. The demo prints it; `--for … --noisy` exits by it.
import { type Buckets, merged } from './histogram.ts'

/** What one tenant's clients saw over a span of time. */
export interface Seen {
  readonly buckets: readonly Buckets[]
  readonly failed: number
  readonly limited: number
}

/** One victim, before and during. Milliseconds. `ratio` is absent below LEAST_SAMPLES on either side. */
export interface VictimFigures {
  readonly tenant: string
  readonly aloneP99: number | undefined
  readonly noisyP99: number | undefined
  readonly samples: { readonly alone: number; readonly noisy: number }
  readonly ratio: number | undefined
  readonly errors: number
  readonly withinBar: boolean
}

/**
 * The judgement over all victims. `undecided`: too few samples of everyone, or slower on a machine that was so busy that
 * the clients themselves were late by more than the bar allows.
 */
export interface Isolation {
  readonly verdict: 'held' | 'broken' | 'undecided'
  /** What 99 % of the requests were sent late by at most, during the noise. Milliseconds. */
  readonly lateP99: number | undefined
  readonly worst: VictimFigures | undefined
  readonly errors: number
  readonly victims: readonly VictimFigures[]
}

/** Fewer samples than this make no ratio: the 99th percentile of 300 samples is the third-worst of them. */
export const LEAST_SAMPLES = 1000
/** A victim may be this much slower … */
const MOST_RATIO = 1.5
/** … or this many milliseconds, whichever is more: a loopback answer is so short that noise of the machine doubles it. */
const MOST_SLOWER_MS = 2

/**
 * Judges the victims: no errors of theirs, and the worst 99th percentile within the bar.
 * @param late how late their clients sent during the noise.
 */
export function judge(
  alone: ReadonlyMap<string, Seen>,
  noisy: ReadonlyMap<string, Seen>,
  late: readonly Buckets[] = [],
): Isolation {
  const victims = [...noisy].map(([tenant, during]): VictimFigures => {
    const before = merged(alone.get(tenant)?.buckets ?? [])
    const after = merged(during.buckets)
    const [aloneP99, noisyP99] = [before.percentile(0.99), after.percentile(0.99)]
    const enough = before.total >= LEAST_SAMPLES && after.total >= LEAST_SAMPLES
    const comparable = enough && aloneP99 !== undefined && noisyP99 !== undefined
    return {
      tenant,
      aloneP99,
      noisyP99,
      samples: { alone: before.total, noisy: after.total },
      ratio: comparable ? noisyP99 / aloneP99 : undefined,
      errors: during.failed + during.limited,
      withinBar: !comparable || noisyP99 <= Math.max(aloneP99 * MOST_RATIO, aloneP99 + MOST_SLOWER_MS),
    }
  })
  const judged = victims.filter((victim) => victim.ratio !== undefined)
  const worst = judged.toSorted((a, b) => (b.ratio ?? 0) - (a.ratio ?? 0))[0]
  const errors = victims.reduce((sum, victim) => sum + victim.errors, 0)
  const lateP99 = merged(late).percentile(0.99)
  const verdict = (): Isolation['verdict'] => {
    if (errors > 0) return 'broken'
    if (victims.every((victim) => victim.withinBar)) return judged.length === 0 ? 'undecided' : 'held'
    return isLate(lateP99) ? 'undecided' : 'broken'
  }
  return { verdict: verdict(), lateP99, worst, errors, victims }
}

/** The clients did not get the machine in time, so what they measured is the machine. */
function isLate(lateP99: number | undefined): lateP99 is number {
  return lateP99 !== undefined && lateP99 > MOST_SLOWER_MS
}

/** `worst victim p99 1.05x of before (acme), 0 victim errors`. */
export function isolationText(isolation: Isolation): string {
  const { worst, errors, verdict, lateP99 } = isolation
  const mishaps = `${errors} victim ${errors === 1 ? 'error' : 'errors'}`
  if (worst?.ratio === undefined || worst.aloneP99 === undefined || worst.noisyP99 === undefined) {
    const most = isolation.victims.toSorted((a, b) => b.samples.noisy - a.samples.noisy)[0]?.samples
    const { alone = 0, noisy = 0 } = most ?? {}
    return `${mishaps}; no ratio yet: ${alone} samples without the noise, ${noisy} with it, ${LEAST_SAMPLES} of each are needed`
  }
  const figures = `${worst.aloneP99.toFixed(1)} -> ${worst.noisyP99.toFixed(1)} ms`
  const broken = verdict === 'broken' ? `, beyond the bar (${MOST_RATIO}x or +${MOST_SLOWER_MS} ms, no errors)` : ''
  const late = isLate(lateP99)
    ? `; this machine is busy: the clients themselves were ${lateP99.toFixed(1)} ms late`
    : ''
  return `worst victim p99 ${worst.ratio.toFixed(2)}x of before (${worst.tenant}, ${figures}), ${mishaps}${broken}${late}`
}

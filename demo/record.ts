// What the demo's clients saw, second by second, sorted by what was going on: nothing special, noise, or something
// else that would spoil a comparison. Pure but for the order of calls.
import type { Buckets } from './histogram.ts'
import type { Seen } from './isolation.ts'
import type { TrafficReport } from './traffic-messages.ts'

/** `warming`: just started. `spoilt`: a backend is dead, or the noise has only just ended. */
export type Phase = 'warming' | 'alone' | 'noisy' | 'spoilt'

interface Second {
  readonly phase: Phase
  readonly report: TrafficReport
}

const KEPT_SECONDS = 60
const SHOWN_SECONDS = 10

/** The last minute of each phase. */
export class TrafficRecord {
  #alone: Second[] = []
  #noisy: Second[] = []
  #latest: Second[] = []

  add(phase: Phase, report: TrafficReport): void {
    const second = { phase, report }
    if (phase === 'alone') this.#alone = [...this.#alone, second].slice(-KEPT_SECONDS)
    if (phase === 'noisy') this.#noisy = [...this.#noisy, second].slice(-KEPT_SECONDS)
    this.#latest = [...this.#latest, second].slice(-SHOWN_SECONDS)
  }

  /** A new flood is compared with what came before it, not with the flood before. */
  forgetNoise(): void {
    this.#noisy = []
  }

  /** Latencies of a tenant over the last ten seconds. */
  latest(tenant: string): readonly Buckets[] {
    return collect(this.#latest, [tenant]).get(tenant)?.buckets ?? []
  }

  get noisySeconds(): number {
    return this.#noisy.length
  }

  /** What these tenants saw before the noise, and during it. */
  compare(tenants: readonly string[]): {
    readonly alone: ReadonlyMap<string, Seen>
    readonly noisy: ReadonlyMap<string, Seen>
    /** How late requests were sent during the noise. */
    readonly late: readonly Buckets[]
  } {
    return {
      alone: collect(this.#alone, tenants),
      noisy: collect(this.#noisy, tenants),
      late: this.#noisy.map(({ report }) => report.late),
    }
  }
}

function collect(seconds: readonly Second[], tenants: readonly string[]): ReadonlyMap<string, Seen> {
  return new Map(
    tenants.map((tenant) => {
      const parts = seconds.flatMap(({ report }) => report.tenants.filter((each) => each.tenant === tenant))
      return [
        tenant,
        {
          buckets: parts.map((part) => part.buckets),
          failed: parts.reduce((sum, part) => sum + part.failed, 0),
          limited: parts.reduce((sum, part) => sum + part.limited, 0),
        },
      ]
    }),
  )
}

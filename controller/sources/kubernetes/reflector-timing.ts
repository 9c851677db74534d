// The clocks of a list-and-watch, and why each is what it is. Pure data. Tests shorten them.
import type { BackoffTiming } from './backoff.ts'

/** Durations of a reflector, in milliseconds where the name does not say otherwise. */
export interface ReflectorTiming {
  /** Asked of the server for a watch that had events: it ends after a random time between the two. */
  readonly busyWatchSeconds: readonly [number, number]
  /**
   * The same for a watch that had none. The server sends a bookmark two seconds before the end it was asked for, so a
   * quiet watch proves itself within a minute, and a resourceVersion never grows old.
   */
  readonly quietWatchSeconds: readonly [number, number]
  /** A watch without a line for this long is not believed: it is opened anew, on a connection of its own. */
  readonly silenceMs: number
  readonly headTimeoutMs: number
  readonly listTimeoutMs: number
  readonly backoff: BackoffTiming
  /**
   * The same for each of the many watches of Secrets and ConfigMaps: thousands that fail together must not be a storm.
   */
  readonly materialBackoff: BackoffTiming
  /** A watch that lived this long was none that fails at once. */
  readonly settledMs: number
  /**
   * A list older than what was seen comes from a server that lags, or from a world restored from a backup. For this long
   * it is refused and asked again elsewhere; after that it is the world.
   */
  readonly disbeliefMs: number
  readonly disbeliefRetryMs: number
  /** When the server is back after it was away, watches that share connections try again within this. */
  readonly returnSpreadMs: number
  /** How often an absent CRD is looked for. */
  readonly absentRecheckMs: number
  /** After the start, failures are retried quickly for this long: rights may be on their way. */
  readonly eagerMs: number
  readonly eagerRetryMs: number
  readonly pageSize: number
  readonly pageBytes: number
}

/** What serves. */
export const REFLECTOR_TIMING: ReflectorTiming = {
  busyWatchSeconds: [300, 600],
  quietWatchSeconds: [28, 38],
  silenceMs: 45_000,
  headTimeoutMs: 10_000,
  listTimeoutMs: 60_000,
  backoff: { baseMs: 250, maxMs: 30_000 },
  materialBackoff: { baseMs: 2_000, maxMs: 30_000 },
  settledMs: 5_000,
  disbeliefMs: 10_000,
  disbeliefRetryMs: 1_000,
  returnSpreadMs: 4_000,
  absentRecheckMs: 60_000,
  eagerMs: 5_000,
  eagerRetryMs: 100,
  pageSize: 500,
  pageBytes: 32 * 1024 * 1024,
}

// Durations, rates and sizes as users write them, turned into milliseconds, requests per second and bytes. Pure.
// Called by the field schemas at admission and by compile; nothing parses them again afterwards.

const DURATION_PART = /([0-9]{1,5})(h|ms|m|s)/gy
const MILLISECONDS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }
const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
}

/** At most one day: nothing in a gateway waits longer, and timers stay within 32 bits. */
export const MAX_DURATION_MS = 86_400_000

/**
 * A Go-style duration in milliseconds (Gateway API GEP-2257).
 * @throws RangeError with a sentence for the author where the text is no duration or longer than a day.
 */
export function parseDuration(text: string): number {
  DURATION_PART.lastIndex = 0
  let total = 0
  let end = 0
  for (let part = DURATION_PART.exec(text); part !== null; part = DURATION_PART.exec(text)) {
    total += Number(part[1]) * (MILLISECONDS[part[2] ?? ''] ?? Number.NaN)
    end = DURATION_PART.lastIndex
  }
  if (end === 0 || end !== text.length) throw new RangeError(`"${text}" is no duration; write 250ms, 5s or 1m30s`)
  if (total > MAX_DURATION_MS) throw new RangeError(`"${text}" is longer than 24h`)
  return total
}

/** A rate: `count` requests in `seconds`. */
export interface Rate {
  readonly count: number
  readonly seconds: number
}

/**
 * A rate such as `500/s`.
 * @throws RangeError with a sentence for the author.
 */
export function parseRate(text: string): Rate {
  const match = /^([1-9][0-9]{0,9})\/(s|m|h|d)$/.exec(text)
  if (match === null) throw new RangeError(`"${text}" is no rate; write 500/s, 20/m, 10000/h or 5/d`)
  return { count: Number(match[1]), seconds: SECONDS[match[2] ?? ''] ?? Number.NaN }
}

/** A duration in milliseconds as users write it, in the largest unit that is exact: `90s`, `250ms`. */
export function formatDuration(milliseconds: number): string {
  const unit =
    ['h', 'm', 's'].find((name) => milliseconds > 0 && milliseconds % (MILLISECONDS[name] ?? 1) === 0) ?? 'ms'
  return `${milliseconds / (MILLISECONDS[unit] ?? 1)}${unit}`
}

/** A size in bytes as users write it, in the largest unit that is exact: `10Mi`. */
export function formatSize(bytes: number): string {
  const unit = ['Ti', 'Gi', 'Mi', 'Ki'].find((name) => bytes > 0 && bytes % (BYTES[name] ?? 1) === 0) ?? ''
  return `${bytes / (BYTES[unit] ?? 1)}${unit}`
}

/** A rate as users write it: `500/s`. */
export function formatRate(rate: Rate): string {
  const unit = Object.keys(SECONDS).find((name) => SECONDS[name] === rate.seconds)
  return unit === undefined ? `${rate.count} in ${rate.seconds} s` : `${rate.count}/${unit}`
}

/**
 * A size in bytes from a Kubernetes quantity
 * (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/), whole bytes only.
 * @throws RangeError with a sentence for the author.
 */
export function parseSize(value: string | number): number {
  const match = /^([0-9]{1,12})(Ki|Mi|Gi|Ti|k|M|G|T)?$/.exec(String(value))
  const bytes = match === null ? Number.NaN : Number(match[1]) * (BYTES[match[2] ?? ''] ?? Number.NaN)
  if (!Number.isSafeInteger(bytes)) throw new RangeError(`"${value}" is no size in bytes; write 10Mi, 512k or 1048576`)
  return bytes
}

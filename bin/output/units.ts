// Numbers as people read them: rates, durations, shares, counts. Pure. Tables, summaries and the demo use it.

/** `1.1ms`, `310ms`, `1.2s`, `3m 20s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 10) return `${milliseconds.toFixed(1)}ms`
  if (milliseconds < 1000) return `${Math.round(milliseconds)}ms`
  if (milliseconds < 60_000) return `${trim(milliseconds / 1000)}s`
  const seconds = Math.round(milliseconds / 1000)
  return `${Math.floor(seconds / 60)}m ${seconds % 60}s`
}

/** How long ago, as kubectl writes it: `12s`, `8m`, `5h`, `3d`. */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000))
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`
  return seconds < 86_400 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`
}

/** `12.5 %` without the blank: `0.0%`, `31%`. */
export function share(part: number, digits = 1): string {
  return `${(part * 100).toFixed(digits)}%`
}

/** `1,204`. */
export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',')
}

/** Bytes a second: `0 B/s`, `812 B/s`, `1.4 MB/s`. */
export function throughput(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000
    unit++
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : trim(value)} ${units[unit]}/s`
}

/** `1 route`, `2 routes`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

/** `500/s`, `20/m`, `10000/h`, `6/d`, as rates are written. */
export function rate(amount: number, seconds: number): string {
  const unit = { 1: 's', 60: 'm', 3600: 'h', 86400: 'd' }[seconds]
  return unit === undefined ? `${amount}/${seconds}s` : `${amount}/${unit}`
}

function trim(value: number): string {
  return value.toFixed(1).replace(/\.0$/, '')
}

// What differs between two plain values, field by field, in words. Pure. The diff of plans and limits uses it.
import { duration, rate } from '../output/units.ts'

/** One field that differs. Absent sides are undefined. */
export interface FieldChange {
  /** `timeouts.backendRequest`. */
  readonly path: string
  readonly before: unknown
  readonly after: unknown
}

/** All leaves in which two values differ, in the order of their names. Lists of equal length compare by position. */
export function fieldChanges(before: unknown, after: unknown, path = ''): readonly FieldChange[] {
  if (Object.is(before, after)) return []
  if (isRecord(before) && isRecord(after)) {
    // A rate is one thing to whoever wrote it as 20/s.
    const isOtherRate = isRate(before) && isRate(after) && RATE.some((name) => before[name] !== after[name])
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
    return [
      ...(isOtherRate ? [{ path, before, after }] : []),
      ...names
        .filter((name) => !isOtherRate || !RATE.some((part) => part === name))
        .flatMap((name) => fieldChanges(before[name], after[name], path === '' ? name : `${path}.${name}`)),
    ]
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    return before.flatMap((item, index) => fieldChanges(item, after[index], `${path}[${index}]`))
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, before, after }]
}

/** `timeouts.backendRequest 10s -> 3s`. */
export function changeText(change: FieldChange): string {
  return `${change.path} ${valueText(change.path, change.before)} -> ${valueText(change.path, change.after)}`
}

const IN_MILLISECONDS = /(^|\.)(timeouts\.\w+|backoff|ejectFor)$/
const LONGEST = 60
const RATE = ['count', 'seconds', 'burst'] as const

function valueText(path: string, value: unknown): string {
  if (value === undefined || value === null) return 'none'
  if (typeof value === 'number' && IN_MILLISECONDS.test(path)) return duration(value).replace('.0ms', 'ms')
  if (isRate(value)) return `${rate(value.count, value.seconds)} burst ${value.burst}`
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text
}

function isRate(value: unknown): value is Record<(typeof RATE)[number], number> {
  return isRecord(value) && typeof value['count'] === 'number' && typeof value['seconds'] === 'number'
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

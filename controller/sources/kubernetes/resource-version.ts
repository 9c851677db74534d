// Order of resourceVersions (KEP-5504: whole numbers that rise over all objects of a resource). Pure.
// reflector, kind-cache and barrier compare by it; what is no number cannot be compared and counts as newer.

/** Negative where `a` is older than `b`, 0 where equal, undefined where they cannot be compared. */
export function compareVersions(a: string, b: string): number | undefined {
  if (a === b) return 0
  if (!isNumber(a) || !isNumber(b)) return undefined
  return a.length === b.length ? (a < b ? -1 : 1) : a.length - b.length
}

/** Whether `a` is known to be older than `b`. */
export function isOlder(a: string, b: string): boolean {
  const order = compareVersions(a, b)
  return order !== undefined && order < 0
}

/** Whether `a` is known to be as new as `b` or newer. */
export function isAtLeast(a: string | undefined, b: string): boolean {
  if (a === undefined) return false
  const order = compareVersions(a, b)
  return order !== undefined && order >= 0
}

/** The newer of two, `b` where they cannot be compared. */
export function newerVersion(a: string | undefined, b: string): string {
  return a !== undefined && isOlder(b, a) ? a : b
}

function isNumber(text: string): boolean {
  return /^[1-9][0-9]{0,30}$|^0$/.test(text)
}

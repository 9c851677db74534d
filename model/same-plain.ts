// Whether two pieces of plain data say the same: JSON values, keys in any order, absent and undefined alike. Pure.

/** As said above. Anything that is no plain data is the same only as itself. */
export function samePlain(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
    for (let index = 0; index < a.length; index++) if (!samePlain(a[index], b[index])) return false
    return true
  }
  if (!isPlain(a) || !isPlain(b)) return false
  const keys = Object.keys(a)
  const others = Object.keys(b)
  // Made by the same code, two objects have the same keys in the same order.
  if (keys.length === others.length) {
    let index = 0
    while (index < keys.length && keys[index] === others[index]) index++
    if (index === keys.length) {
      for (const key of keys) if (!samePlain(a[key], b[key])) return false
      return true
    }
  }
  for (const key of keys) if (!samePlain(a[key], own(b, key))) return false
  for (const key of others) if (b[key] !== undefined && own(a, key) === undefined) return false
  return true
}

/** A key may be called as a field of every object is. */
function own(value: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(value, key) ? value[key] : undefined
}

function isPlain(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

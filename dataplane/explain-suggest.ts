// Did you mean: the name that is nearest to one that was not found. Pure. Callers hand in only names that whoever asks
// may see; bounded by the length of names, and by one pass over them.

/** Edits (a letter more, less, other, or two swapped) up to which a name counts as near. */
const MOST_EDITS = 3

/** The nearest of the names by edits, the first of equals in order of text; undefined where none is near. */
export function nearestName(wanted: string, names: Iterable<string>): string | undefined {
  let best: string | undefined
  let fewest = Math.min(MOST_EDITS, Math.floor(wanted.length / 3)) + 1
  for (const name of names) {
    if (name.startsWith('*.') || Math.abs(name.length - wanted.length) >= fewest + 1) continue
    const count = edits(wanted, name, fewest)
    if (count < fewest || (count === fewest && best !== undefined && name < best)) {
      fewest = count
      best = name
    }
  }
  return best
}

/** Optimal string alignment distance; `limit` + 1 as soon as it must be above `limit`. */
function edits(a: string, b: string, limit: number): number {
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row]
    let lowest = row
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1]
      let count = Math.min(
        (above[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (above[column - 1] ?? 0) + (same ? 0 : 1),
      )
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        count = Math.min(count, (before[column - 2] ?? 0) + 1)
      }
      current.push(count)
      if (count < lowest) lowest = count
    }
    if (lowest > limit) return limit + 1
    before = above
    above = current
  }
  return above[b.length] ?? limit + 1
}

// Small words for messages: a quoted text that cannot grow or break a line, and the name that was probably meant. Pure.
// Used by check-value.ts and by whoever tells an author about a name that does not exist.

const MAX_QUOTED = 64
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu

/** A text for a message: cut at 64 characters, on one line, nothing unprintable in it. */
export function shorten(text: string): string {
  const cut = text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED - 1)}…` : text
  return cut.replace(UNPRINTABLE, '�')
}

/** The same in quotes. */
export function quote(text: string): string {
  return `"${shorten(text)}"`
}

/**
 * The one of `names` that `word` was probably meant to be: equal but for case, or at most two edits away (one for
 * words of up to four letters); undefined where none is near.
 */
export function nearest(word: string, names: readonly string[]): string | undefined {
  if (word === '' || word.length > MAX_QUOTED) return undefined
  const wanted = word.toLowerCase()
  let best: string | undefined
  let bestDistance = (word.length > 4 ? 2 : 1) + 1
  for (const name of names) {
    if (Math.abs(name.length - word.length) >= bestDistance) continue
    const distance = editDistance(wanted, name.toLowerCase())
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** Edits that turn `a` into `b`: a letter more, less, other, or two neighbours exchanged. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1]
      let cost = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      )
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        cost = Math.min(cost, (beforeLast[column - 2] ?? 0) + 1)
      }
      current.push(cost)
    }
    beforeLast = last
    last = current
  }
  return last[b.length] ?? 0
}

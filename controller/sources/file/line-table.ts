// Lines and columns of offsets in a text, found by bisection in a table that is made once. Pure.
// define-objects and locate-field turn offsets into what an editor jumps to.

/** Lines and columns count from 1; columns in UTF-16 code units, as editors do. */
export class LineTable {
  readonly #starts: number[] = [0]

  constructor(text: string) {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) this.#starts.push(at + 1)
  }

  /** The place of an offset. */
  at(offset: number): { readonly line: number; readonly column: number } {
    let low = 0
    let high = this.#starts.length
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if ((this.#starts[middle] ?? Number.POSITIVE_INFINITY) <= offset) low = middle
      else high = middle
    }
    return { line: low + 1, column: Math.max(0, offset - (this.#starts[low] ?? 0)) + 1 }
  }
}

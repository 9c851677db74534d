// Puts lines on a terminal without flicker, in the alternate screen, and gives the terminal back as it was. The demo
// calls `draw` for every change; only lines that differ are written.

const ESCAPE = '\u001b['

/** A terminal that is drawn on. */
export class Canvas {
  readonly #out: NodeJS.WriteStream
  #shown: readonly string[] = []
  #open = false

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  /** Takes the whole terminal until `close`. */
  open(): void {
    this.#open = true
    this.#out.write(`${ESCAPE}?1049h${ESCAPE}?25l${ESCAPE}2J`)
  }

  /** Everything must be written anew: after a resize. */
  forget(): void {
    this.#shown = []
    if (this.#open) this.#out.write(`${ESCAPE}2J`)
  }

  draw(lines: readonly string[]): void {
    if (!this.#open) return
    let text = ''
    const height = Math.max(lines.length, this.#shown.length)
    for (let row = 0; row < height; row += 1) {
      const line = lines[row] ?? ''
      if (line !== this.#shown[row]) text += `${ESCAPE}${row + 1};1H${line}${ESCAPE}0m${ESCAPE}K`
    }
    this.#shown = lines
    // The pair around it asks terminals that can to show the change in one piece.
    if (text !== '') this.#out.write(`${ESCAPE}?2026h${text}${ESCAPE}?2026l`)
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#out.write(`${ESCAPE}?25h${ESCAPE}?1049l`)
  }
}

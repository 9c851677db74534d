// Cuts a stream of bytes into lines, whatever the pieces are. Pure but for Buffer. The client feeds each watch through
// one; a line is text only once it is whole, so a character that two pieces share stays whole too.

/** Collects pieces until a line feed. */
export class LineSplitter {
  readonly #maxBytes: number
  #pieces: Buffer[] = []
  #held = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The lines that `piece` completes, without their ends; undefined where a line is longer than allowed. */
  push(piece: Buffer): readonly string[] | undefined {
    const lines: string[] = []
    let from = 0
    for (;;) {
      const end = piece.indexOf(10, from)
      if (end < 0) break
      if (this.#held + end - from > this.#maxBytes) return undefined
      lines.push(this.#take(piece.subarray(from, end)))
      from = end + 1
    }
    if (from < piece.length) {
      this.#pieces.push(piece.subarray(from))
      this.#held += piece.length - from
    }
    return this.#held > this.#maxBytes ? undefined : lines
  }

  /** Bytes of a line that has not ended. */
  get held(): number {
    return this.#held
  }

  #take(rest: Buffer): string {
    if (this.#held === 0) return rest.toString('utf8')
    const line = Buffer.concat([...this.#pieces, rest]).toString('utf8')
    this.#pieces = []
    this.#held = 0
    return line
  }
}

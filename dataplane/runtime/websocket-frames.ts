// Where WebSocket frames end in one direction of a tunnel (RFC 6455 section 5.2), so that the gateway can say goodbye
// between two of them. Pure; it reads headers and counts payloads, and never looks at or keeps a payload.

/** A close frame from a server, unmasked: 1001, going away (RFC 6455 section 7.4.1). */
export const GOING_AWAY: Uint8Array = Uint8Array.of(0x88, 0x02, 0x03, 0xe9)

/** Follows the frames of one direction. */
export class FrameBoundary {
  #header = new Uint8Array(14)
  #have = 0
  #payloadLeft = 0

  /** Whether a frame of our own could be put in now. */
  get between(): boolean {
    return this.#have === 0 && this.#payloadLeft === 0
  }

  /** Takes the next bytes of the direction. */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#payloadLeft > 0) {
        const taken = Math.min(this.#payloadLeft, chunk.length - at)
        this.#payloadLeft -= taken
        at += taken
        continue
      }
      this.#header[this.#have] = chunk[at] ?? 0
      this.#have += 1
      at += 1
      if (this.#have === this.#headerLength()) {
        this.#payloadLeft = this.#payloadLength()
        this.#have = 0
      }
    }
  }

  #headerLength(): number {
    if (this.#have < 2) return 2
    const second = this.#header[1] ?? 0
    const mask = (second & 0x80) === 0 ? 0 : 4
    const short = second & 0x7f
    return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + mask
  }

  #payloadLength(): number {
    const short = (this.#header[1] ?? 0) & 0x7f
    if (short < 126) return short
    const bytes = short === 126 ? 2 : 8
    let length = 0
    for (let index = 0; index < bytes; index += 1) length = length * 256 + (this.#header[2 + index] ?? 0)
    return length
  }
}

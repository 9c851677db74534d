// Follows chunked framing (RFC 9112 section 7.1) byte by byte up to the last chunk's line. No I/O, no clock; linear for
// any split. Part of response-parser.ts, which hands out the data and reads the trailer section.
import { BACKSLASH, CR, EQUALS, FIELD_VALUE, HEX, LF, QUOTE, SEMICOLON, TOKEN } from './grammar.ts'
import type { ParseProblem } from './response-head.ts'

/** Bounds of threats of the kind "endless extension": bytes for each extension, and for all of one answer. */
const MAX_EXTENSION_BYTES = 256
const MAX_EXTENSIONS_BYTES = 4096
const MAX_SIZE_DIGITS = 8

const SIZE = 0
const SIZE_LF = 1
const EXTENSION_NAME = 2
const EXTENSION_VALUE = 3
const EXTENSION_QUOTED = 4
const EXTENSION_ESCAPED = 5
const EXTENSION_AFTER_QUOTED = 6
const DATA = 7
const DATA_CR = 8
const DATA_LF = 9

/** What stopped `decode`: the input is used up, the last chunk's line was read, or the framing is wrong. */
export type DecodeResult = 'more' | 'last' | ParseProblem

/** One per answer with a chunked body. */
export class ChunkedDecoder {
  /** After `decode`: where reading stopped. */
  position = 0
  /** After `decode`: the body bytes of this input, moved together in place, so that many small chunks are one view. */
  dataStart = 0
  dataEnd = 0
  #state = SIZE
  #digits = 0
  #remaining = 0
  #extension = 0
  #extensions = 0
  /** Whether the present name or value has a byte yet; empty ones are refused. */
  #filled = false

  /** Reads `bytes` from `start` to `end`. The bytes may be moved inside that range. */
  decode(bytes: Uint8Array, start: number, end: number): DecodeResult {
    let position = start
    this.dataStart = start
    this.dataEnd = start
    while (position < end) {
      if (this.#state === DATA) {
        const length = Math.min(this.#remaining, end - position)
        this.#take(bytes, position, length)
        position += length
        this.#remaining -= length
        if (this.#remaining === 0) this.#state = DATA_CR
        continue
      }
      const problem = this.#step(bytes[position] as number)
      position++
      if (problem !== undefined) {
        this.position = position
        return problem
      }
    }
    this.position = position
    return 'more'
  }

  #take(bytes: Uint8Array, position: number, length: number): void {
    if (this.dataEnd === this.dataStart) {
      this.dataStart = position
      this.dataEnd = position + length
    } else {
      bytes.copyWithin(this.dataEnd, position, position + length)
      this.dataEnd += length
    }
  }

  #step(byte: number): DecodeResult | undefined {
    switch (this.#state) {
      case SIZE: {
        const value = HEX[byte] as number
        if (value !== 255) {
          if (++this.#digits > MAX_SIZE_DIGITS) return 'bad chunk size'
          // Multiplied, not shifted: eight digits do not fit into 31 bits.
          this.#remaining = this.#remaining * 16 + value
          return undefined
        }
        if (this.#digits === 0) return 'bad chunk size'
        if (byte === CR) this.#state = SIZE_LF
        else if (byte === SEMICOLON) this.#beginExtension()
        else return 'bad chunk size'
        return undefined
      }
      case SIZE_LF:
        if (byte !== LF) return 'bad line ending'
        this.#digits = 0
        if (this.#remaining === 0) return 'last'
        this.#state = DATA
        return undefined
      case DATA_CR:
        if (byte !== CR) return 'bad chunk end'
        this.#state = DATA_LF
        return undefined
      case DATA_LF:
        if (byte !== LF) return 'bad chunk end'
        this.#state = SIZE
        return undefined
      default:
        return this.#extensionStep(byte)
    }
  }

  #beginExtension(): void {
    this.#state = EXTENSION_NAME
    this.#extension = 0
    this.#filled = false
  }

  /** `;name`, `;name=token` or `;name="quoted"`, without the white space that the RFC calls bad. */
  #extensionStep(byte: number): ParseProblem | undefined {
    const quoted = this.#state === EXTENSION_QUOTED || this.#state === EXTENSION_ESCAPED
    const whole = !quoted && (this.#filled || this.#state === EXTENSION_AFTER_QUOTED)
    if (whole && byte === SEMICOLON) {
      this.#beginExtension()
      return undefined
    }
    if (whole && byte === CR) {
      this.#state = SIZE_LF
      return undefined
    }
    this.#extension++
    this.#extensions++
    if (this.#extension > MAX_EXTENSION_BYTES || this.#extensions > MAX_EXTENSIONS_BYTES) {
      return 'chunk extensions too large'
    }
    return this.#inExtension(byte) ? undefined : 'bad chunk extension'
  }

  /** Whether the byte may stand here. */
  #inExtension(byte: number): boolean {
    switch (this.#state) {
      case EXTENSION_QUOTED:
        if (byte === QUOTE) this.#state = EXTENSION_AFTER_QUOTED
        else if (byte === BACKSLASH) this.#state = EXTENSION_ESCAPED
        else return FIELD_VALUE[byte] === 1
        return true
      case EXTENSION_ESCAPED:
        this.#state = EXTENSION_QUOTED
        return FIELD_VALUE[byte] === 1
      case EXTENSION_AFTER_QUOTED:
        return false
      case EXTENSION_NAME:
        if (byte === EQUALS && this.#filled) {
          this.#state = EXTENSION_VALUE
          this.#filled = false
          return true
        }
        break
      default:
        if (byte === QUOTE && !this.#filled) {
          this.#state = EXTENSION_QUOTED
          return true
        }
    }
    this.#filled = true
    return TOKEN[byte] === 1
  }
}

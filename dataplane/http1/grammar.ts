// Which bytes HTTP/1.1 allows where (RFC 9110 section 5.6, RFC 9112), as tables and patterns. Pure constants.
// The response parser reads bytes with the tables, the request writer checks text with the patterns.

export const CR = 13
export const LF = 10
export const SPACE = 32
export const TAB = 9
export const COLON = 58
export const SEMICOLON = 59
export const EQUALS = 61
export const QUOTE = 34
export const BACKSLASH = 92

const TOKEN_BYTES = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/** 1 for each byte of a token: field names, names of chunk extensions. */
export const TOKEN: Uint8Array = table((byte) => TOKEN_BYTES.includes(String.fromCharCode(byte)))

/** 1 for each byte that a field value or reason phrase may hold: tab, space, visible ASCII, obs-text. */
export const FIELD_VALUE: Uint8Array = table((byte) => byte === TAB || (byte >= SPACE && byte !== 127))

/** Value of a hexadecimal digit, 255 for any other byte. */
export const HEX: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) => {
  const text = String.fromCharCode(byte)
  return /[0-9a-fA-F]/.test(text) ? Number.parseInt(text, 16) : 255
})

/** A field name, or a method. */
export const TOKEN_TEXT = /^[!#$%&'*+\-.^_`|~0-9a-zA-Z]+$/

/** A field value: nothing that could end a line, and nothing beyond one byte (it would be cut to its low byte). */
export const FIELD_VALUE_TEXT = /^[\t\x20-\x7e\x80-\xff]*$/

/** A request target as one word: no space, no control byte, nothing beyond one byte. */
export const TARGET_TEXT = /^[\x21-\x7e\x80-\xff]+$/

function table(allowed: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (allowed(byte) ? 1 : 0))
}

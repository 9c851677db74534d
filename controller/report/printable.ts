// Text of strangers made safe for a terminal: no control bytes, no marks that turn the reading order. Pure.
// Every line that the console writer prints goes through it.

// C0 and C1 controls, line and paragraph separators, and the bidirectional marks of Unicode (UAX 9).
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g

/** The text with every unsafe character written as \u{…}. Line breaks count as unsafe: a line stays one line. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${character.charCodeAt(0).toString(16)}}`)
}

/** JSON text with every unsafe character in its strings written as \uXXXX, which means the same. */
export function printableJson(json: string): string {
  return json.replace(UNSAFE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

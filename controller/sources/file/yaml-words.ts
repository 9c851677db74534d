// Words for what a YAML reader complains about, without a piece of the text: a broken file may hold a password.
// yaml-text calls it for the first complaint of a document.
import type { ErrorCode } from 'yaml'

// Complaints of the library that quote the text, and the plainer ones that we can say better.
const WORDS: Partial<Readonly<Record<ErrorCode, string>>> = {
  ALIAS_PROPS: 'an alias cannot have an anchor or a tag',
  BAD_ALIAS: 'this is no name for an anchor or an alias',
  BAD_COLLECTION_TYPE: 'the tag does not fit the value',
  BAD_DIRECTIVE: 'a line that begins with % is a directive, and this one is not known here',
  BAD_DQ_ESCAPE: 'an escape sequence in double quotes is not known; write \\\\ for a backslash, or use single quotes',
  BAD_PROP_ORDER: 'an anchor or a tag stands in the wrong place',
  BAD_SCALAR_START: 'text that begins with this character must be in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a value in this place needs a line of its own, or quotes: it holds a colon or a dash',
  MULTILINE_IMPLICIT_KEY: 'a key must be on one line; is a colon missing before?',
  RESOURCE_EXHAUSTION: 'the document needs too much room',
  TAB_AS_INDENT: 'a tab cannot indent; use spaces',
  TAG_RESOLVE_FAILED: 'this tag is not known here',
}

/** A sentence without a capital, for after a place. */
export function yamlWords(code: ErrorCode, message: string): string {
  const words = WORDS[code]
  if (words !== undefined) return words
  const line = message.split('\n', 1)[0] ?? ''
  if (code === 'MISSING_CHAR' && line.includes('closing'))
    return `a closing ${line.includes('"') ? 'double' : 'single'} quotation mark is missing`
  // Whatever stands after a colon is quoted from the text.
  const safe = code === 'UNEXPECTED_TOKEN' ? unexpectedWords(line) : line
  return safe.charAt(0).toLowerCase() + safe.slice(1)
}

function unexpectedWords(line: string): string {
  const head = line.split(':', 1)[0] ?? ''
  return /^(Unexpected|Unsupported token|Block scalar header|Expected|Not a YAML token|Document|Source)[-\w ,]*$/.test(
    head,
  )
    ? head.replace(/-/g, ' ')
    : 'something unexpected stands here'
}

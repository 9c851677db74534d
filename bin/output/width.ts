// How wide a text is on a terminal, how to cut and how to wrap it. Pure. Tables, issues and the demo's screen use it.

const SEGMENTER_LOCALE = 'en'
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|^\p{Emoji_Presentation}/u
const INVISIBLE = /^[\p{Mn}\p{Me}\p{Cf}]+$/u
// biome-ignore lint/complexity/useRegexLiterals: an escape character in a literal is easy to lose
const ESCAPES = new RegExp('\u001b\\[[0-9;?]*[A-Za-z]', 'g')
const PLAIN = /^[ -~]*$/

/** Columns that a text takes: wide characters count two, combining ones and colour codes none. */
export function textWidth(text: string): number {
  if (PLAIN.test(text)) return text.length
  const bare = text.replace(ESCAPES, '')
  if (PLAIN.test(bare)) return bare.length
  let width = 0
  for (const { segment } of new Intl.Segmenter(SEGMENTER_LOCALE).segment(bare)) {
    width += INVISIBLE.test(segment) ? 0 : WIDE.test(segment) ? 2 : 1
  }
  return width
}

/** The text, cut with `…` where it is wider than `width`. Not for text with colour codes. */
export function cut(text: string, width: number): string {
  if (textWidth(text) <= width) return text
  let kept = ''
  let taken = 0
  for (const { segment } of new Intl.Segmenter(SEGMENTER_LOCALE).segment(text)) {
    const next = textWidth(segment)
    if (taken + next > width - 1) break
    kept += segment
    taken += next
  }
  return `${kept}…`
}

/** Pads to `width` columns, on the right or, for numbers, on the left. */
export function pad(text: string, width: number, side: 'left' | 'right' = 'left'): string {
  const gap = ' '.repeat(Math.max(0, width - textWidth(text)))
  return side === 'right' ? gap + text : text + gap
}

/** Lines of at most `width` columns, broken between words; a longer word stands alone. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/\s+/)) {
    if (line !== '' && textWidth(line) + 1 + textWidth(word) > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  if (line !== '') lines.push(line)
  return lines
}

/** Wraps a text behind a label: the first line begins with the label, the others with as many blanks. */
export function wrapBehind(label: string, text: string, width: number): string[] {
  const indent = textWidth(label)
  return wrap(text, width - indent).map((line, place) => (place === 0 ? label : ' '.repeat(indent)) + line)
}

import { describe, expect, it } from 'vitest'
import { wantsColor } from '../terminal.ts'
import { escapeCell, markdownTable } from './markdown.ts'
import { tableLines } from './table.ts'
import { count, duration, plural, rate } from './units.ts'
import { cut, pad, textWidth, wrap } from './width.ts'

describe('width', () => {
  it('counts wide characters twice, combining ones and colours not at all', () => {
    expect(textWidth('acme')).toBe(4)
    expect(textWidth('日本')).toBe(4)
    expect(textWidth('e\u0301')).toBe(1)
    expect(textWidth('\u001b[31mred\u001b[0m')).toBe(3)
    expect(pad('日本', 6)).toBe('日本  ')
  })

  it('cuts and wraps to the width', () => {
    expect(cut('abcdef', 4)).toBe('abc…')
    expect(textWidth(cut('日本語日本語', 5))).toBeLessThanOrEqual(5)
    expect(wrap('one two three', 7)).toEqual(['one two', 'three'])
  })
})

describe('table', () => {
  const columns = [
    { title: 'NAME', value: (row: string) => row },
    { title: 'SIZE', value: () => '7', align: 'right' as const, drop: 1 },
    { title: 'MESSAGE', value: (row: string) => row.repeat(30), drop: 2 },
  ]

  it('drops the least important columns and never wraps', () => {
    const wide = tableLines(columns, ['abc'], { width: 200, headers: true })
    expect(wide[0]).toBe('NAME  SIZE  MESSAGE')
    expect(tableLines(columns, ['abc'], { width: 20, headers: true })).toEqual(['NAME  SIZE', 'abc      7'])
    expect(tableLines(columns, ['abc'], { width: 5, headers: false })).toEqual(['abc'])
  })

  it('cuts the widest column when nothing is left to drop', () => {
    const lines = tableLines(
      [columns[0], columns[0]].flatMap((each) => each ?? []),
      ['x'.repeat(60)],
      {
        width: 40,
        headers: true,
      },
    )
    for (const line of lines) expect(textWidth(line)).toBeLessThanOrEqual(40)
  })
})

describe('units', () => {
  it('writes figures as people read them', () => {
    expect([0.83, 310, 1200, 200_000].map(duration)).toEqual(['0.8ms', '310ms', '1.2s', '3m 20s'])
    expect([count(1204), plural(1, 'route'), plural(2, 'policy', 'policies')]).toEqual([
      '1,204',
      '1 route',
      '2 policies',
    ])
    expect([rate(500, 1), rate(7, 3600)]).toEqual(['500/s', '7/h'])
  })
})

describe('colours', () => {
  it('follow the flag, then NO_COLOR, then FORCE_COLOR, then the terminal', () => {
    expect(wantsColor('always', { NO_COLOR: '1' }, false)).toBe(true)
    expect(wantsColor('never', { FORCE_COLOR: '1' }, true)).toBe(false)
    expect(wantsColor('auto', { NO_COLOR: '1', FORCE_COLOR: '1' }, true)).toBe(false)
    expect(wantsColor('auto', { FORCE_COLOR: '1' }, false)).toBe(true)
    expect(wantsColor('auto', {}, true)).toBe(true)
    expect(wantsColor('auto', {}, false)).toBe(false)
  })
})

describe('markdown', () => {
  it('lets no text of an object become markup', () => {
    expect(escapeCell('a | <b> `c` @d\nx')).toBe('a \\| &lt;b> \\`c\\` \\@d x')
    expect(markdownTable(['A'], [['|']])).toBe('| A |\n| --- |\n| \\| |')
  })
})

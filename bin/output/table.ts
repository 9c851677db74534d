// A table that fits: columns with the highest `drop` go first when the width does not suffice, nothing ever wraps. Pure.
import { cut, pad, textWidth } from './width.ts'

/** One column. */
export interface Column<Row> {
  readonly title: string
  value(row: Row): string
  /** Numbers stand to the right. */
  readonly align?: 'left' | 'right'
  /** 0 or absent: never dropped. Higher ones are dropped earlier. */
  readonly drop?: number
  /** Colours the padded cell. */
  paint?(row: Row, cell: string): string
}

const GAP = 2

/** The lines of a table, the headings first unless `headers` is false. */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  options: { readonly width: number; readonly headers: boolean },
): string[] {
  const cells = columns.map((column) => rows.map((row) => column.value(row)))
  const widths = columns.map((column, index) =>
    Math.max(options.headers ? textWidth(column.title) : 0, ...(cells[index] ?? []).map(textWidth)),
  )
  const kept = fitting(columns, widths, options.width)
  const lines: string[] = []
  if (options.headers) {
    lines.push(join(kept.map(({ index, width }) => place(columns[index], columns[index]?.title ?? '', width))))
  }
  rows.forEach((row, number) => {
    const line = kept.map(({ index, width }) => {
      const column = columns[index]
      const cell = place(column, cut(cells[index]?.[number] ?? '', width), width)
      return column?.paint === undefined ? cell : column.paint(row, cell)
    })
    lines.push(join(line))
  })
  return lines
}

function join(cells: readonly string[]): string {
  return cells.join(' '.repeat(GAP)).trimEnd()
}

function place<Row>(column: Column<Row> | undefined, text: string, width: number): string {
  return pad(text, width, column?.align === 'right' ? 'right' : 'left')
}

/** Which columns stay, and how wide they may be: the widest of them gives way when dropping was not enough. */
function fitting<Row>(
  columns: readonly Column<Row>[],
  widths: readonly number[],
  limit: number,
): { index: number; width: number }[] {
  const kept = columns.map((column, index) => ({ index, width: widths[index] ?? 0, drop: column.drop ?? 0 }))
  const total = () => kept.reduce((sum, each) => sum + each.width, 0) + GAP * Math.max(0, kept.length - 1)
  while (total() > limit) {
    const most = Math.max(0, ...kept.map((each) => each.drop))
    if (most === 0) break
    kept.splice(kept.map((each) => each.drop).lastIndexOf(most), 1)
  }
  while (total() > limit) {
    const widest = kept.reduce((best, each) => (each.width > best.width ? each : best))
    if (widest.width <= 8) break
    widest.width -= Math.min(total() - limit, widest.width - 8)
  }
  return kept
}

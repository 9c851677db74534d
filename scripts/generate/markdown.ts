// Small pieces of Markdown: tables, and text that cannot break out of a cell. Part of generate.ts.

/** The first line of every generated page. */
export const PAGE_HEADER = '<!-- Written by `npm run generate`; never edit it. -->\n\n'

/** A table. Cells are Markdown; a pipe or a line break in them is made harmless. */
export function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |\n`
  return line(columns) + line(columns.map(() => '---')) + rows.map(line).join('')
}

/** Text as code, whatever stands in it. */
export function code(text: string): string {
  return text.includes('`') ? `\`\` ${text} \`\`` : `\`${text}\``
}

function cell(text: string): string {
  return text.replaceAll('\n', ' ').replaceAll('|', '\\|')
}

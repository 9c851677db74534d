// Tables for comments on pull requests. Pure; texts of objects are escaped, so that they cannot become markup.

/** A Markdown table. */
export function markdownTable(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(escapeCell).join(' | ')} |`
  return [line(titles), `|${titles.map(() => ' --- |').join('')}`, ...rows.map(line)].join('\n')
}

/** Text that Markdown and HTML leave alone. */
export function escapeCell(text: string): string {
  return text
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/[\\`*_[\]|@#!]/g, (char) => `\\${char}`)
    .replace(/\s+/g, ' ')
}

// `--show-config`: every setting of a verb with its value and where that came from. Pure but for the command it reads.
import type { Command } from 'commander'
import { tableLines } from './output/table.ts'

interface Setting {
  readonly name: string
  readonly value: string
  readonly source: string
}

/** A table of the settings of a verb, at most `width` columns wide. */
export function settingsLines(command: Command, width: number): string[] {
  const rows = command.options
    .filter((option) => option.long !== '--show-config')
    .map((option): Setting => {
      const value: unknown = command.getOptionValue(option.attributeName())
      return {
        name: option.long ?? option.flags,
        // `--no-headers` is kept as headers: false.
        value: option.negate ? (value === false ? 'true' : '-') : text(value),
        source: sourceText(command.getOptionValueSource(option.attributeName()), option.envVar),
      }
    })
  return tableLines(
    [
      { title: 'SETTING', value: (row: Setting) => row.name },
      { title: 'VALUE', value: (row) => row.value },
      { title: 'SOURCE', value: (row) => row.source },
    ],
    rows,
    { width, headers: true },
  )
}

function text(value: unknown): string {
  if (value === undefined) return '-'
  if (value === null) return 'off'
  if (typeof value === 'string') return value === '' ? '""' : value
  return JSON.stringify(value)
}

function sourceText(source: string | undefined, twin: string | undefined): string {
  if (source === 'cli') return 'flag'
  if (source === 'env') return `environment ${twin ?? ''}`.trim()
  return twin === undefined ? 'default' : `default (or ${twin})`
}

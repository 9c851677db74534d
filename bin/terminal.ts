// Where a command writes: data to stdout, everything else to stderr, colours only where they are wanted. Made once per
// command from its flags; nothing below it touches process.stdout.
import { styleText } from 'node:util'

export type Paint = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** Output of one command. */
export interface Terminal {
  /** Data. One or more lines, without the last line end. */
  print(text: string): void
  /** Everything else; silent with --quiet. */
  note(text: string): void
  /** What went wrong; never silent. */
  complain(text: string): void
  /** Details; only with --verbose. */
  detail(text: string): void
  /** The text in a colour where colours are on. */
  paint(style: Paint, text: string): string
  /** Width that tables keep to. */
  readonly columns: number
  readonly verbose: boolean
  readonly quiet: boolean
  /** stdout is a terminal. */
  readonly interactive: boolean
}

/** The flags that decide about output. */
export interface OutputFlags {
  readonly color?: 'auto' | 'always' | 'never' | undefined
  readonly quiet?: boolean | undefined
  readonly verbose?: boolean | undefined
}

const NARROWEST = 80

/** A terminal over this process's streams. Colours: the flag, then NO_COLOR and FORCE_COLOR, then whether stdout is a terminal. */
export function createTerminal(flags: OutputFlags, env: NodeJS.ProcessEnv = process.env): Terminal {
  const interactive = process.stdout.isTTY === true
  const colored = wantsColor(flags.color ?? 'auto', env, interactive)
  return {
    print: (text) => {
      process.stdout.write(`${text}\n`)
    },
    note: (text) => {
      if (flags.quiet !== true) process.stderr.write(`${text}\n`)
    },
    complain: (text) => {
      process.stderr.write(`${text}\n`)
    },
    detail: (text) => {
      if (flags.verbose === true) process.stderr.write(`${text}\n`)
    },
    paint: (style, text) => (colored ? styleText(style, text, { validateStream: false }) : text),
    columns: interactive ? Math.max(NARROWEST, process.stdout.columns) : NARROWEST,
    verbose: flags.verbose === true,
    quiet: flags.quiet === true,
    interactive,
  }
}

/** Whether colours are on: the flag decides, then NO_COLOR, then FORCE_COLOR, then the stream. */
export function wantsColor(flag: 'auto' | 'always' | 'never', env: NodeJS.ProcessEnv, interactive: boolean): boolean {
  if (flag !== 'auto') return flag === 'always'
  if ((env['NO_COLOR'] ?? '') !== '') return false
  const force = env['FORCE_COLOR']
  if (force !== undefined && force !== '0') return true
  return interactive && env['TERM'] !== 'dumb'
}

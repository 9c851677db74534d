// The command tree as completion needs it: verbs, flags, and what may follow each flag. Pure, made from commander.
import type { Command, Option } from 'commander'
import { helpTopics } from '../help-pages.ts'

/** What may stand after a flag or as an operand. */
export type Values =
  | { readonly kind: 'none' }
  | { readonly kind: 'any' }
  | { readonly kind: 'folder' }
  | { readonly kind: 'file' }
  | { readonly kind: 'choices'; readonly choices: readonly string[] }
  | { readonly kind: 'names'; readonly of: 'tenants' | 'urls' }

export interface FlagTree {
  /** `-o` and `--output`. */
  readonly spellings: readonly string[]
  readonly description: string
  readonly values: Values
}

export interface VerbTree {
  readonly name: string
  readonly description: string
  readonly flags: readonly FlagTree[]
  readonly operands: Values
}

const NAMES: Readonly<Record<string, Values>> = {
  '--tenant': { kind: 'names', of: 'tenants' },
  '--url': { kind: 'names', of: 'urls' },
}
const PLACES: Readonly<Record<string, Values>> = {
  dir: { kind: 'folder' },
  file: { kind: 'file' },
}

/** Every verb that is not hidden. */
export function describeTree(program: Command): readonly VerbTree[] {
  const shown = new Set(program.createHelp().visibleCommands(program))
  return program.commands
    .filter((verb) => shown.has(verb))
    .map((verb) => ({
      name: verb.name(),
      description: verb.summary(),
      flags: [
        ...verb.options.map(describeFlag),
        { spellings: ['-h', '--help'], description: 'print help', values: { kind: 'none' } },
      ],
      operands: operandsOf(verb, program),
    }))
}

function describeFlag(option: Option): FlagTree {
  const place = /[<[](\w+)/.exec(option.flags)?.[1] ?? ''
  const named = NAMES[option.long ?? '']
  const values: Values =
    option.argChoices !== undefined
      ? { kind: 'choices', choices: option.argChoices }
      : !option.required && !option.optional
        ? { kind: 'none' }
        : (named ?? PLACES[place] ?? { kind: 'any' })
  const spellings = [option.short, option.long].filter((each) => each !== undefined)
  return { spellings, description: option.description, values }
}

function operandsOf(verb: Command, program: Command): Values {
  const [operand] = verb.registeredArguments
  if (operand === undefined) return { kind: 'none' }
  if (operand.argChoices !== undefined) return { kind: 'choices', choices: operand.argChoices }
  const verbs = program.commands.map((each) => each.name()).filter((name) => name !== 'complete')
  return { kind: 'choices', choices: [...verbs, ...helpTopics()] }
}

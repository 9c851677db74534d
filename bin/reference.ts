// The reference page of the command line, from the command tree itself. Pure. scripts/generate.ts writes it to
// docs/reference/cli.md.
import type { Command, Option } from 'commander'
import { EXIT_CODE_WORDS } from './exit.ts'

const ALWAYS = ['--color', '--quiet', '--verbose', '--show-config']

/** The page, as Markdown. */
export function commandLineReference(program: Command): string {
  const verbs = program.createHelp().visibleCommands(program)
  const common = verbs[0]?.options.filter((option) => ALWAYS.includes(option.long ?? '')) ?? []
  return [
    '<!-- Written by `npm run generate`; never edit it. -->',
    '',
    '# Command line',
    '',
    '`npx atrium <verb> [flags]` in a clone; `npm link` there puts `atrium` on the PATH, as completion wants it. `atrium help` and `atrium help <verb>` print the same.',
    '',
    '| verb | what it does |',
    '| --- | --- |',
    ...verbs.map((verb) => `| [\`${verb.name()}\`](#atrium-${verb.name()}) | ${verb.summary()} |`),
    '',
    'Data goes to stdout, everything else to stderr. Tables fit 80 columns.',
    '',
    '## Flags of every verb',
    '',
    ...flagTable(common),
    '',
    '## Exit codes',
    '',
    '| code | meaning |',
    '| --- | --- |',
    ...EXIT_CODE_WORDS.map(([code, meaning]) => `| ${code} | ${meaning} |`),
    '',
    ...verbs.flatMap(verbPage),
  ].join('\n')
}

function verbPage(verb: Command): readonly string[] {
  const flags = verb.options.filter((option) => !ALWAYS.includes(option.long ?? '') && !option.hidden)
  return [
    `## \`atrium ${verb.name()}\``,
    '',
    ...verb.description().split('\n'),
    '',
    ...operands(verb),
    ...(flags.length === 0 ? [] : [...flagTable(flags), '']),
  ]
}

function operands(verb: Command): readonly string[] {
  return verb.registeredArguments.flatMap((argument) => [
    `\`${argument.required ? `<${argument.name()}>` : `[${argument.name()}]`}\`: ${argument.description}` +
      `${argument.argChoices === undefined ? '' : ` (${argument.argChoices.join(', ')})`}.`,
    '',
  ])
}

function flagTable(options: readonly Option[]): readonly string[] {
  return [
    '| flag | meaning | default | environment |',
    '| --- | --- | --- | --- |',
    ...options.map((option) => {
      const choices = option.argChoices === undefined ? '' : ` (${option.argChoices.join(', ')})`
      const cells = [
        `\`${option.flags}\``,
        escapePipes(option.description + choices),
        defaultText(option),
        option.envVar === undefined ? '' : `\`${option.envVar}\``,
      ]
      return `| ${cells.join(' | ')} |`
    }),
  ]
}

function defaultText(option: Option): string {
  if (option.defaultValueDescription !== undefined) return `\`${option.defaultValueDescription}\``
  if (option.negate || option.defaultValue === undefined) return ''
  return `\`${String(option.defaultValue)}\``
}

function escapePipes(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
}

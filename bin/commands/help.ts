// `atrium help`: the verbs, one verb, or the page of a reason, an error code or a topic. Works offline.
import type { Command } from 'commander'
import { EXIT_CODES } from '../exit.ts'
import { addCommonFlags, type CommonFlags } from '../options.ts'
import { onRun } from './command.ts'

/** Adds the verb to the program. */
export function addHelp(program: Command): void {
  const command = program
    .command('help')
    .summary('a verb, a reason, an error code or a topic')
    .description(
      'Explains a verb (help compile), a reason of a condition (help HostNotOwned), an answer of the gateway ' +
        '(help NoRoute) or a topic (help exit-codes, environment, reasons, errors).',
    )
    .argument('[topic]', 'what to explain')
  addCommonFlags(command)
  onRun<CommonFlags>(command, async (_flags, terminal, [topic]) => {
    if (topic === undefined) {
      terminal.print(program.helpInformation().trimEnd())
      return EXIT_CODES.done
    }
    const verb = program.commands.find((each) => each.name() === topic)
    if (verb !== undefined) {
      terminal.print(verb.helpInformation().trimEnd())
      return EXIT_CODES.done
    }
    const { helpPage, helpTopics } = await import('../help-pages.ts')
    const page = helpPage(topic)
    if (page !== undefined) {
      terminal.print(page.join('\n'))
      return EXIT_CODES.done
    }
    const near = helpTopics().filter((name) => name.toLowerCase().includes(topic.toLowerCase()))
    const hint =
      near.length === 0 ? '`atrium help reasons` lists the reasons.' : `Did you mean ${near.slice(0, 5).join(', ')}?`
    terminal.complain(`atrium help: there is no page ${topic}. ${hint}`)
    return EXIT_CODES.usage
  })
}

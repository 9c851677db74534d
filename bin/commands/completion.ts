// `atrium completion SHELL`: a script for the shell, made from the command tree; and the hidden verb that the script
// asks for names of tenants, routes and hosts, which answers within two seconds or says nothing.
import { Argument, type Command } from 'commander'
import { EXIT_CODES } from '../exit.ts'
import { addCommonFlags, type CommonFlags } from '../options.ts'
import { onRun } from './command.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof SHELLS)[number]

/** Adds the verb, and the hidden one beside it, to the program. */
export function addCompletion(program: Command): void {
  const command = program
    .command('completion')
    .summary('a script that completes verbs, flags and names')
    .description(
      'Prints a completion script.\n' +
        '  bash   source <(atrium completion bash)\n' +
        '  zsh    atrium completion zsh > ~/.zfunc/_atrium   (a folder of your fpath)\n' +
        '  fish   atrium completion fish > ~/.config/fish/completions/atrium.fish',
    )
    .addArgument(new Argument('<shell>', 'for which shell').choices(SHELLS))
  addCommonFlags(command)
  onRun<CommonFlags>(command, async (_flags, terminal, [shell]) => {
    const { describeTree } = await import('../completion/tree.ts')
    const { completionScript } = await import('../completion/scripts.ts')
    terminal.print(completionScript(shell as Shell, describeTree(program)))
    return EXIT_CODES.done
  })
  program
    .command('complete', { hidden: true })
    .argument('<what>')
    .argument('[folders...]')
    .action(async (what: string, folders: readonly string[]) => {
      const { knownNames } = await import('../completion/names.ts')
      for (const name of await knownNames(what, folders)) process.stdout.write(`${name}\n`)
      process.exitCode = EXIT_CODES.done
    })
}

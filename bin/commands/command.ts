// What every verb has in common when it runs: a terminal from its flags, --show-config, and an exit code from the
// promise. Each verb's file calls `onRun` once; the heavy modules are imported only then.
import type { Command } from 'commander'
import { CommandFailure, EXIT_CODES } from '../exit.ts'
import type { CommonFlags } from '../options.ts'
import { createTerminal, type Terminal } from '../terminal.ts'
import { settingsLines } from '../settings.ts'

/** What a verb does: its arguments and flags in, its exit code out. */
export type Run<Flags> = (flags: Flags, terminal: Terminal, operands: readonly string[]) => Promise<number>

/** Registers what the verb does. The exit code goes to process.exitCode, so that what was printed is flushed first. */
export function onRun<Flags extends CommonFlags>(command: Command, run: Run<Flags>): Command {
  return command.action(async () => {
    const flags = command.opts<Flags>()
    const terminal = createTerminal(flags)
    if (flags.showConfig === true) {
      for (const line of settingsLines(command, terminal.columns)) terminal.print(line)
      process.exitCode = EXIT_CODES.done
      return
    }
    try {
      process.exitCode = await run(flags, terminal, command.args)
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error
      terminal.complain(`atrium ${command.name()}: ${error.message}`)
      process.exitCode = error.code
    }
  })
}

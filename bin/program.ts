// The whole command line as one tree: what help, completion and docs/reference/cli.md are made from. Importing it is
// cheap; a verb imports what it needs when it runs.
import { Command, type Option } from 'commander'
import { addCompile } from './commands/compile.ts'
import { addCompletion } from './commands/completion.ts'
import { addCheck } from './commands/check.ts'
import { addController } from './commands/controller.ts'
import { addCurl } from './commands/curl.ts'
import { addDataplane } from './commands/dataplane.ts'
import { addDemo } from './commands/demo.ts'
import { addDiff } from './commands/diff.ts'
import { addExplain } from './commands/explain.ts'
import { addHelp } from './commands/help.ts'
import { addStandalone } from './commands/standalone.ts'
import { addStatus } from './commands/status.ts'
import { addTop } from './commands/top.ts'
import { addVersion, atriumVersion } from './commands/version.ts'

/** A new command tree. */
export function createProgram(): Command {
  const program = new Command('atrium')
    .description('One front door that many tenants share, each as if it had its own.')
    .version(atriumVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this')
    .helpCommand(false)
    .showSuggestionAfterError(true)
    .configureHelp({ helpWidth: 80, optionDescription })
    .exitOverride()
  program.configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'atrium: ')) })
  program.commandsGroup('Run:')
  addStandalone(program)
  addDemo(program)
  addController(program)
  addDataplane(program)
  program.commandsGroup('Ask:')
  addStatus(program)
  addTop(program)
  addExplain(program)
  addCurl(program)
  program.commandsGroup('Before you apply:')
  addCompile(program)
  addDiff(program)
  addCheck(program)
  program.commandsGroup('Housekeeping:')
  addCompletion(program)
  addVersion(program)
  addHelp(program)
  for (const verb of program.commands) {
    verb.copyInheritedSettings(program).helpOption('-h, --help', 'print this')
    verb.showHelpAfterError(`(atrium ${verb.name()} --help shows the flags)`)
  }
  return program.showHelpAfterError('(atrium help lists the verbs)')
}

/** Choices and the default; the environment twin follows from the name, and `atrium help environment` says so. */
function optionDescription(option: Option): string {
  const notes: string[] = []
  if (option.argChoices !== undefined) notes.push(option.argChoices.join(', '))
  const shown = option.defaultValueDescription ?? option.defaultValue
  if (shown !== undefined && typeof shown !== 'boolean') notes.push(`default: ${String(shown)}`)
  return notes.length === 0 ? option.description : `${option.description} (${notes.join('; ')})`
}

// The entry of the command line: parses the arguments, runs a verb, turns what commander says into exit codes.
import { CommanderError } from 'commander'
import { EXIT_CODES } from './exit.ts'
import { createProgram } from './program.ts'

// A reader that closes the pipe (`| head`) has what it wanted.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT_CODES.done)
  throw error
})

try {
  await createProgram().parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  process.exitCode = error.exitCode === 0 ? EXIT_CODES.done : EXIT_CODES.usage
}

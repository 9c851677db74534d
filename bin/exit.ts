// Exit codes of every verb, in one table, and the failure that carries one. Used by all commands; `atrium help
// exit-codes` prints the table.

/** What the codes mean. 130 and 143 are what a shell expects after Ctrl-C and SIGTERM. */
export const EXIT_CODES = {
  done: 0,
  no: 1,
  usage: 2,
  unreachable: 3,
  notAllowed: 4,
  interrupted: 130,
  terminated: 143,
} as const

/** The table as people read it. */
export const EXIT_CODE_WORDS: readonly (readonly [code: number, meaning: string])[] = [
  [0, 'done; the answer is as asked (diff with changes is 0 too)'],
  [1, 'the answer is no: an object rejected, or a check you asked for does not hold (--fail-on, --expect)'],
  [2, 'wrong usage: unknown flag, missing folder, bad value, port in use'],
  [3, 'server not reachable, or timed out; a retry may help'],
  [4, 'not signed in, or not allowed'],
  [130, 'interrupted (Ctrl-C)'],
  [143, 'terminated (SIGTERM)'],
]

/** Ends a command with a code and one message for stderr. Only for the person at the command line, never for an object. */
export class CommandFailure extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** Wrong usage: exit code 2. */
export function usageFailure(message: string): CommandFailure {
  return new CommandFailure(EXIT_CODES.usage, message)
}

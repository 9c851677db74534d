// `atrium version`: which Atrium this is, and which Node it runs on.
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { EXIT_CODES } from '../exit.ts'
import { addCommonFlags, type CommonFlags } from '../options.ts'
import { onRun } from './command.ts'

/** Adds the verb to the program. */
export function addVersion(program: Command): void {
  const command = program.command('version').summary('which Atrium, which Node').description('Prints the version.')
  addCommonFlags(command, ['table', 'json'])
  onRun<CommonFlags>(command, async (flags, terminal) => {
    const facts = { atrium: atriumVersion(), node: process.versions.node, openssl: process.versions.openssl }
    if (flags.output === 'json') {
      const { jsonDocument } = await import('../output/documents.ts')
      terminal.print(jsonDocument({ kind: 'Version', items: [facts] }))
    } else terminal.print(`atrium ${facts.atrium} (node ${facts.node}, openssl ${facts.openssl})`)
    return EXIT_CODES.done
  })
}

/** The version in package.json. */
export function atriumVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  const { version }: { version?: unknown } = JSON.parse(readFileSync(file, 'utf8'))
  return String(version)
}

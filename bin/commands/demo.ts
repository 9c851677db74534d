// `atrium demo`, which is `npm start`: four tenants, live traffic, and a neighbour that floods at the press of a key.
import type { Command } from 'commander'
import { usageFailure } from '../exit.ts'
import {
  addCommonFlags,
  type CommonFlags,
  durationValue,
  flag,
  type PortOrOff,
  port,
  portOrOff,
  wholeNumber,
} from '../options.ts'
import type { Terminal } from '../terminal.ts'
import { onRun } from './command.ts'
import { atriumVersion } from './version.ts'

interface DemoFlags extends CommonFlags {
  readonly port?: number
  readonly tlsPort?: PortOrOff
  readonly adminPort?: PortOrOff
  readonly workers?: number
  readonly for?: number
  readonly noisy?: boolean
  readonly tui: boolean
}

/** Adds the verb to the program. */
export function addDemo(program: Command): void {
  const command = program
    .command('demo')
    .summary('four tenants, live traffic, a noisy neighbour at a key')
    .description(
      'Serves examples/demo with backends and clients of its own. Without a terminal it prints JSON lines. With ' +
        '--for 30s --noisy the exit code says whether the neighbours were left alone: 0 if so, 1 if not.',
    )
    .addOption(flag('--port <port>', 'plain HTTP (default: 8080, or the next free one)').argParser(port))
    .addOption(flag('--tls-port <port>', 'HTTPS, or off (default: 8443, or the next free one)').argParser(portOrOff))
    .addOption(flag('--admin-port <port>', 'admin, or off (default: 9901, or the next free one)').argParser(portOrOff))
    .addOption(
      flag('--workers <number>', 'threads that serve (default: half of the cores, 1 to 4)').argParser(
        wholeNumber(1, 64),
      ),
    )
    .addOption(flag('--for <duration>', 'stop after this long').argParser(durationValue))
    .addOption(flag('--noisy', 'flood for a third of --for, and exit by the isolation line'))
    .addOption(flag('--no-tui', 'JSON lines even on a terminal'))
  addCommonFlags(command)
  onRun<DemoFlags>(command, runDemoVerb)
}

async function runDemoVerb(flags: DemoFlags, terminal: Terminal): Promise<number> {
  if (flags.noisy === true && flags.for === undefined) throw usageFailure('--noisy needs --for, such as --for 30s')
  const { runDemo } = await import('../../demo/main.ts')
  return await runDemo(
    {
      version: atriumVersion(),
      // Imported while the backends start: it is most of the program.
      startGateway: async (folders, written) => {
        const { createDemoGateway } = await import('../demo-gateway.ts')
        return await createDemoGateway(folders, written, flags, terminal)
      },
      forMs: flags.for,
      noisy: flags.noisy === true,
      screen: flags.tui && terminal.interactive && process.stdin.isTTY,
    },
    terminal,
  )
}

// What `atrium standalone` does once its flags are read: starts the gateway, says where it is, and stops it in order when
// a signal comes. bin/commands/standalone.ts calls it.
import { availableParallelism } from 'node:os'
import type { PortOrOff } from './options.ts'
import { plural } from './output/units.ts'
import { firstSignal } from './signals.ts'
import { readCertificate, type Standalone, startStandalone } from './standalone.ts'
import type { Terminal } from './terminal.ts'
import { atriumVersion } from './commands/version.ts'

/** The flags, read and checked. Times in milliseconds. */
export interface ServeFlags {
  readonly config: readonly string[]
  readonly port: number
  readonly tlsPort: PortOrOff
  readonly adminPort: PortOrOff
  readonly workers?: number
  readonly allowEndpoints?: readonly string[]
  readonly trustForwarded?: readonly string[]
  readonly state?: string
  readonly defaultCertificate?: readonly string[]
  readonly accessLog: string
  readonly logFormat: 'text' | 'json'
  readonly drain: number
}

/** Serves until a signal comes; the exit code. */
export async function serve(flags: ServeFlags, terminal: Terminal): Promise<number> {
  // First of all: a signal that comes while it starts ends it in order too.
  const signal = firstSignal()
  const standalone = await startStandalone(
    {
      folders: flags.config,
      port: flags.port,
      tlsPort: flags.tlsPort,
      adminPort: flags.adminPort,
      workers: flags.workers ?? availableParallelism(),
      allowEndpoints: flags.allowEndpoints ?? [],
      trustForwarded: flags.trustForwarded ?? [],
      stateFolder: flags.state,
      defaultCertificate:
        flags.defaultCertificate === undefined ? undefined : readCertificate(flags.defaultCertificate),
      accessLog: flags.accessLog,
    },
    {
      report: { write: terminal.complain, format: flags.logFormat },
      warn: (message, error) => {
        terminal.complain(flags.logFormat === 'json' ? warningLine(message) : `atrium: ${message}`)
        if (error instanceof Error) terminal.detail(error.stack ?? error.message)
      },
    },
  )
  process.on('SIGHUP', () => standalone.dataplane.reopenLog())
  for (const line of startLines(standalone, flags)) terminal.note(line)
  const code = await signal
  terminal.note(`stopping: running requests may take ${flags.drain / 1000} s; the same signal again ends them`)
  await standalone.stop(flags.drain)
  return code
}

function startLines({ controller, dataplane }: Standalone, flags: ServeFlags): readonly string[] {
  const state = controller.loop.state()
  const number = (kind: string) =>
    state?.result.objects.filter(({ object, accepted }) => object.kind === kind && accepted).length ?? 0
  const { http, https, admin } = dataplane.ports
  const addresses = [
    `http ${http}`,
    ...(https === null ? [] : [`https ${https}`]),
    ...(admin === null ? [] : [`admin http://127.0.0.1:${admin}`]),
  ]
  const seconds = (performance.now() / 1000).toFixed(1)
  return [
    `Atrium ${atriumVersion()}  ready in ${seconds} s   ${plural(number('Tenant'), 'tenant')}, ` +
      `${plural(number('Route'), 'route')} from ${flags.config.join(', ')} (edits are live)`,
    addresses.join('   '),
  ]
}

function warningLine(message: string): string {
  return JSON.stringify({ time: new Date().toISOString(), event: 'warning', message })
}

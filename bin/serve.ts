// What `atrium standalone` does once its flags are read: starts the gateway, says where it is, and stops it in order when
// a signal comes. bin/commands/standalone.ts calls it.
import { availableParallelism } from 'node:os'
import type { LoopState } from '../controller/loop.ts'
import { readCertificate } from './default-certificate.ts'
import type { PortOrOff } from './options.ts'
import { bodyLines } from './output/issues.ts'
import { duration, plural } from './output/units.ts'
import { firstSignal } from './signals.ts'
import { checkAccessLog, checkStateFolder } from './start-checks.ts'
import { type Standalone, startStandalone } from './standalone.ts'
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
  readonly publicHttpsPort?: number
  readonly state?: string
  readonly defaultCertificate?: readonly string[]
  readonly accessLog: string
  readonly logFormat: 'text' | 'json'
  readonly drain: number
}

/** Milliseconds before the same warning is told again. */
const REPEAT_AFTER = 60_000
const MOST_REMEMBERED = 100

/** Serves until a signal comes; the exit code. */
export async function serve(flags: ServeFlags, terminal: Terminal): Promise<number> {
  // First of all: a signal that comes while it starts ends it in order too.
  const signal = firstSignal()
  checkAccessLog(flags.accessLog)
  if (flags.state !== undefined) checkStateFolder(flags.state)
  const warn = createWarner(flags, terminal)
  const standalone = await startStandalone(
    {
      folders: flags.config,
      port: flags.port,
      tlsPort: flags.tlsPort,
      adminPort: flags.adminPort,
      workers: flags.workers ?? availableParallelism(),
      allowEndpoints: flags.allowEndpoints ?? [],
      trustForwarded: flags.trustForwarded ?? [],
      ...(flags.publicHttpsPort === undefined ? {} : { publicHttpsPort: flags.publicHttpsPort }),
      stateFolder: flags.state,
      defaultCertificate:
        flags.defaultCertificate === undefined ? undefined : readCertificate(flags.defaultCertificate),
      accessLog: flags.accessLog,
    },
    {
      report: {
        write: terminal.complain,
        format: flags.logFormat,
        layout: (texts, page) => bodyLines(texts, page, terminal.columns),
      },
      warn,
      onCycle: createChangeTeller(terminal),
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
  // Nobody answered: what was in the way has been told, and the loop tries again.
  const ready = state?.acknowledgements.length === 0 ? 'not serving yet' : `ready in ${seconds} s`
  const tenants = number('Tenant')
  return [
    `Atrium ${atriumVersion()}  ${ready}   ${plural(tenants, 'tenant')}, ` +
      `${plural(number('Route'), 'route')} from ${flags.config.join(', ')} (edits are live)`,
    addresses.join('   '),
    ...(tenants === 0 ? ['No Tenant is there yet, so every request is 404 NoHost.'] : []),
  ]
}

/** With --verbose: each change that is active, so that whoever saved a file sees that it counts. */
function createChangeTeller(terminal: Terminal): (state: LoopState) => void {
  let told = 0
  return ({ sequence, acknowledgements, result, activationMs }) => {
    if (sequence === told || acknowledgements.length === 0) return
    told = sequence
    const took = activationMs === undefined ? '' : ` after ${duration(activationMs)}`
    terminal.detail(`change ${sequence} is active${took}: snapshot ${result.snapshot.version.slice(0, 7)}`)
  }
}

/** Tells what goes wrong inside, with its cause; the same again only after a while, since the loop tries every second. */
function createWarner(
  { logFormat }: Pick<ServeFlags, 'logFormat'>,
  terminal: Terminal,
): (message: string, error?: unknown) => void {
  const told = new Map<string, number>()
  return (message, error) => {
    const text = error instanceof Error ? `${message.replace(/\.$/, '')}: ${error.message}` : message
    const now = performance.now()
    if (now - (told.get(text) ?? Number.NEGATIVE_INFINITY) < REPEAT_AFTER) return
    if (told.size >= MOST_REMEMBERED) told.clear()
    told.set(text, now)
    terminal.complain(logFormat === 'json' ? warningLine(text) : `atrium: ${text}`)
    if (error instanceof Error) terminal.detail(error.stack ?? error.message)
  }
}

function warningLine(message: string): string {
  return JSON.stringify({ time: new Date().toISOString(), event: 'warning', message })
}

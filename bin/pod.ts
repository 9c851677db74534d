// What `atrium dataplane` does once its flags are read: the dataplane, its ports for the kubelet and the scraper, and the
// receiver that gets snapshots from controllers; in order when a signal comes. bin/commands/dataplane.ts calls it.
import { availableParallelism } from 'node:os'
import { type AdminListener, openAdmin } from '../dataplane/admin.ts'
import { startDataplane } from '../dataplane/main.ts'
import { startReceiver } from '../dataplane/receive/receiver.ts'
import { everyAddress } from './addresses.ts'
import { atriumVersion } from './commands/version.ts'
import { readCertificate } from './default-certificate.ts'
import { EXIT_CODES } from './exit.ts'
import { firstSignal } from './signals.ts'
import type { Terminal } from './terminal.ts'

/** The flags, read and checked. Times in milliseconds. */
export interface PodFlags {
  readonly release: string
  readonly controller: readonly string[]
  readonly caFile: string
  readonly tokenFile: string
  readonly stateDir?: string
  readonly podName: string
  readonly podUid: string
  readonly port: number
  readonly tlsPort: number
  readonly healthPort: number
  readonly peerPort: number
  readonly metricsPort: number
  readonly workers?: number
  readonly trustForwarded?: readonly string[]
  readonly defaultCertificate?: readonly string[]
  readonly accessLog: string
  readonly series: number
  readonly drainUnready: number
  readonly drain: number
}

/** Serves until a signal comes; the exit code. */
export async function servePod(flags: PodFlags, terminal: Terminal): Promise<number> {
  // First of all: a signal that comes while it starts ends it in order too.
  const signal = firstSignal()
  const say = (event: string, message: string) =>
    terminal.complain(JSON.stringify({ time: new Date().toISOString(), event, message }))
  const host = everyAddress()
  const dataplane = await startDataplane({
    workers: flags.workers ?? availableParallelism(),
    host,
    port: flags.port,
    tlsPort: flags.tlsPort,
    adminPort: null,
    accessLog: flags.accessLog,
    pod: flags.podName,
    seriesBudget: flags.series,
    trustForwarded: flags.trustForwarded ?? [],
    ...(flags.defaultCertificate === undefined
      ? {}
      : { defaultCertificate: readCertificate(flags.defaultCertificate) }),
    notice: ({ text }) => say('warning', text),
  })
  const open = (port: number, shows: 'health' | 'metrics'): Promise<AdminListener> =>
    openAdmin({ host, port, allowedHosts: [], shows }, dataplane.sources)
  const listeners = await Promise.all([open(flags.healthPort, 'health'), open(flags.metricsPort, 'metrics')])
  const receiver = await startReceiver({
    release: flags.release,
    name: flags.podName,
    uid: flags.podUid,
    host,
    port: flags.peerPort,
    controllers: flags.controller,
    tokenFile: flags.tokenFile,
    authorityFile: flags.caFile,
    ...(flags.stateDir === undefined ? {} : { lastGoodFolder: flags.stateDir }),
    target: dataplane,
    warn: (message) => say('warning', message),
  })
  say('started', `atrium ${atriumVersion()} dataplane ${flags.podName}`)
  await signal
  say('stopping', `unready for ${flags.drainUnready / 1000} s, then ${flags.drain / 1000} s for running requests`)
  // It goes on receiving while it still serves: a host may move to another tenant meanwhile.
  const { finished, cut } = await dataplane.drain({ unreadyFor: flags.drainUnready, timeout: flags.drain })
  await receiver.stop()
  await Promise.all(listeners.map((listener) => listener.close()))
  await dataplane.stop()
  say('stopped', `${finished} connections ended by themselves, ${cut} were cut`)
  return EXIT_CODES.done
}

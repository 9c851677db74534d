// What `atrium controller` does once its flags are read: finds its credentials, starts a replica, says in JSON lines what
// happens, and stops in order when a signal comes. bin/commands/controller.ts calls it.
import { startCluster } from '../controller/cluster.ts'
import { ApiFailure } from '../controller/sources/kubernetes/api-failure.ts'
import { loadCredentials } from '../controller/sources/kubernetes/credentials.ts'
import { POLICIES } from '../policies/index.ts'
import { everyAddress } from './addresses.ts'
import { atriumVersion } from './commands/version.ts'
import { EXIT_CODES, usageFailure } from './exit.ts'
import { firstSignal } from './signals.ts'
import type { Terminal } from './terminal.ts'

/** The flags, read and checked. Times in milliseconds. */
export interface ControlFlags {
  readonly release: string
  readonly namespace?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly watchNamespaces?: readonly string[]
  readonly allowEndpoints?: readonly string[]
  readonly hostTransferDelay: number
  readonly leaseDuration: number
  readonly podName: string
  readonly podUid: string
  readonly podIp: string
  readonly port: number
  readonly healthPort: number
  readonly peerPort: number
  readonly metricsPort: number
}

/** Runs until a signal comes; the exit code. */
export async function control(flags: ControlFlags, terminal: Terminal): Promise<number> {
  // First of all: a signal that comes while it starts ends it too.
  const signal = firstSignal()
  const say = (event: string, fields: Readonly<Record<string, unknown>>) =>
    terminal.complain(JSON.stringify({ time: new Date().toISOString(), event, ...fields }))
  const credentials = await loadCredentials({
    ...(flags.kubeconfig === undefined ? {} : { kubeconfig: flags.kubeconfig }),
    ...(flags.context === undefined ? {} : { context: flags.context }),
  }).catch((error: unknown) => {
    if (error instanceof ApiFailure) throw usageFailure(`${error.message}.`)
    throw error
  })
  say('starting', { version: atriumVersion(), release: flags.release, pod: flags.podName })
  const starting = startCluster({
    credentials,
    version: atriumVersion(),
    release: flags.release,
    namespace: flags.namespace ?? credentials.namespace,
    pod: { name: flags.podName, uid: flags.podUid, address: flags.podIp },
    host: everyAddress(),
    ports: { health: flags.healthPort, pods: flags.peerPort, metrics: flags.metricsPort, api: flags.port },
    policies: POLICIES,
    allowEndpoints: flags.allowEndpoints ?? [],
    watchNamespaces: flags.watchNamespaces ?? [],
    hostTransferDelay: flags.hostTransferDelay,
    leaseTimes: leaseTimes(flags.leaseDuration),
    warn: (message, error) => say('warning', { message, ...(error instanceof Error ? { cause: error.message } : {}) }),
    note: say,
  })
  const first = await Promise.race([starting, signal])
  // Whoever has not begun to serve has nothing to end in order.
  if (typeof first === 'number') process.exit(first)
  await signal
  say('stopping', {})
  await first.stop()
  say('stopped', {})
  return EXIT_CODES.done
}

/** The proportions of client-go. */
function leaseTimes(durationMs: number) {
  if (durationMs < 1_000) throw usageFailure('--lease-duration is at least 1s.')
  return { durationMs, renewMs: (durationMs * 2) / 3, retryMs: (durationMs * 2) / 15 }
}

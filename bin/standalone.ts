// The composition root of standalone: a folder as the source, the controller, and the dataplane in the same process.
// `atrium standalone` and the demo start one; everything they hand in is decided by their flags.
import { networkInterfaces } from 'node:os'
import type { Controller } from '../controller/main.ts'
import type { Source } from '../controller/sources/source.ts'
import { type Dataplane, startDataplane } from '../dataplane/main.ts'
import { PortTaken } from '../dataplane/ports.ts'
import type { CertificateMaterial } from '../dataplane/tls/host-identity.ts'
import { everyAddress } from './addresses.ts'
import { usageFailure } from './exit.ts'
import type { StandaloneListeners } from './folder-controller.ts'
import type { PortOrOff } from './options.ts'

/** What to serve, and how. */
export interface StandaloneSettings {
  readonly folders: readonly string[]
  /** The folders are read when this resolves; meanwhile the workers start. */
  readonly written?: Promise<void>
  readonly port: number
  readonly tlsPort: PortOrOff
  readonly adminPort: PortOrOff
  readonly workers: number
  readonly allowEndpoints: readonly string[]
  readonly trustForwarded: readonly string[]
  /** Where clients find https; the TLS port where it is left out. */
  readonly publicHttpsPort?: number
  readonly stateFolder: string | undefined
  readonly defaultCertificate: CertificateMaterial | undefined
  /** `stdout`, `off` or a file. */
  readonly accessLog: string
}

/** A running gateway. */
export interface Standalone {
  readonly dataplane: Dataplane
  readonly controller: Controller
  readonly source: Source
  /** Ends the controller, lets running requests end for `drainMs`, then stops. */
  stop(drainMs: number): Promise<void>
}

/** Starts serving; resolves when the first configuration is active. Fails with a usage failure where a flag is to blame. */
export async function startStandalone(
  settings: StandaloneSettings,
  listeners: StandaloneListeners,
): Promise<Standalone> {
  const dataplane = await startDataplane({
    workers: settings.workers,
    host: everyAddress(),
    port: settings.port,
    tlsPort: orNull(settings.tlsPort),
    adminPort: orNull(settings.adminPort),
    accessLog: settings.accessLog,
    trustForwarded: settings.trustForwarded,
    publicHttpsPort: settings.publicHttpsPort ?? (settings.tlsPort === 'off' ? 443 : 'listener'),
    ...(settings.defaultCertificate === undefined ? {} : { defaultCertificate: settings.defaultCertificate }),
    meanwhile: () => void import('./folder-controller.ts'),
    notice: ({ text }) => listeners.warn(text),
  }).catch((error: unknown) => {
    if (error instanceof PortTaken)
      throw usageFailure(`${error.message}; ${flagOf(error.port, settings)} takes another.`)
    throw error
  })
  try {
    await settings.written
    const { startFolderController } = await import('./folder-controller.ts')
    const { controller, source } = await startFolderController(
      {
        folders: settings.folders,
        allowEndpoints: settings.allowEndpoints,
        ownAddresses: ownAddresses(settings),
        stateFolder: settings.stateFolder,
        dataplane,
      },
      listeners,
    )
    return {
      dataplane,
      controller,
      source,
      async stop(drainMs) {
        await controller.stop()
        if (drainMs > 0) await dataplane.drain({ unreadyFor: 0, timeout: drainMs })
        await dataplane.stop()
      },
    }
  } catch (error) {
    await dataplane.stop()
    throw error
  }
}

/** Where Atrium itself listens: no tenant's backend may be there, whatever range the operator allows. */
function ownAddresses({ port, tlsPort, adminPort }: StandaloneSettings): readonly string[] {
  const open = [port, tlsPort].filter((each) => each !== 'off' && each !== 0)
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const bracketed = addresses.map(({ address, family }) => (family === 'IPv6' ? `[${address}]` : address))
  return [
    ...open.flatMap((each) => ['0.0.0.0', '[::]', ...bracketed].map((address) => `${address}:${each}`)),
    ...(adminPort === 'off' || adminPort === 0 ? [] : [`127.0.0.1:${adminPort}`]),
  ]
}

function orNull(port: PortOrOff): number | null {
  return port === 'off' ? null : port
}

function flagOf(port: number, settings: StandaloneSettings): string {
  if (port === settings.adminPort) return '--admin-port'
  return port === settings.tlsPort ? '--tls-port' : '--port'
}

// The composition root of standalone: a folder as the source, the controller, and the dataplane in the same process.
// `atrium standalone` and the demo start one; everything they hand in is decided by their flags.
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import type { LoopState } from '../controller/loop.ts'
import { type Controller, startController } from '../controller/main.ts'
import { createInProcessPublisher } from '../controller/publish/in-process.ts'
import { createFileSource } from '../controller/sources/file/file-source.ts'
import { inspectSecret } from '../controller/sources/inspect-material.ts'
import type { Source } from '../controller/sources/source.ts'
import { type Dataplane, startDataplane } from '../dataplane/main.ts'
import { PortTaken } from '../dataplane/ports.ts'
import type { CertificateMaterial } from '../dataplane/tls/host-identity.ts'
import { POLICIES } from '../policies/index.ts'
import { everyAddress } from './addresses.ts'
import { usageFailure } from './exit.ts'
import { sha256 } from './load.ts'
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
  readonly stateFolder: string | undefined
  readonly defaultCertificate: CertificateMaterial | undefined
  /** `stdout`, `off` or a file. */
  readonly accessLog: string
}

/** Whom to tell. */
export interface StandaloneListeners {
  /** What became of objects: `format` decides how it reads. Without: nobody. */
  readonly report?: { readonly write: (line: string) => void; readonly format: 'text' | 'json' }
  readonly onCycle?: (state: LoopState) => void
  /** What an operator should know, one sentence, with its cause for those who want to know more. */
  readonly warn: (message: string, error?: unknown) => void
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
  const source = createFileSource({ folders: settings.folders })
  const dataplane = await startDataplane({
    workers: settings.workers,
    host: everyAddress(),
    port: settings.port,
    tlsPort: orNull(settings.tlsPort),
    adminPort: orNull(settings.adminPort),
    accessLog: settings.accessLog,
    trustForwarded: settings.trustForwarded,
    ...(settings.defaultCertificate === undefined ? {} : { defaultCertificate: settings.defaultCertificate }),
    notice: ({ text }) => listeners.warn(text),
  }).catch((error: unknown) => {
    if (error instanceof PortTaken)
      throw usageFailure(`${error.message}; ${flagOf(error.port, settings)} takes another.`)
    throw error
  })
  try {
    await settings.written
    const controller = await startController({
      source,
      publisher: createInProcessPublisher(
        (snapshot, sequence) => dataplane.activate(snapshot, sequence),
        (error) => listeners.warn('A change could not be made active.', error),
      ),
      settings: {
        digest: sha256,
        policies: POLICIES,
        allowEndpoints: settings.allowEndpoints,
        ownAddresses: ownAddresses(settings),
      },
      ...(settings.stateFolder === undefined ? {} : { stateFolder: settings.stateFolder }),
      ...(listeners.report === undefined ? {} : { console: listeners.report }),
      ...(listeners.onCycle === undefined ? {} : { onCycle: listeners.onCycle }),
      warn: listeners.warn,
    })
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

/** Chain and key out of PEM files, whichever holds which. Fails where they do not belong together. */
export function readCertificate(files: readonly string[]): CertificateMaterial {
  const text = files.map(readText).join('\n')
  const blocks = text.match(/-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----/g) ?? []
  const keys = blocks.filter((block) => block.includes('PRIVATE KEY-----'))
  const chain = blocks.filter((block) => block.startsWith('-----BEGIN CERTIFICATE-----'))
  const encode = (pem: readonly string[]) => new TextEncoder().encode(`${pem.join('\n')}\n`)
  const { certificate } = inspectSecret({ 'tls.crt': encode(chain), 'tls.key': encode(keys.slice(0, 1)) })
  const problem = certificate === undefined ? 'there is no certificate in it' : certificate.problem
  if (certificate === undefined || problem !== undefined) {
    throw usageFailure(`--default-certificate ${files.join(', ')}: ${problem}.`)
  }
  return { chainPem: certificate.chainPem, keyPem: certificate.keyPem }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw usageFailure(`--default-certificate: ${file} cannot be read.`)
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

// `atrium standalone`: the gateway from a folder of YAML, live on edit, no cluster. Runs until it is told to stop.
import type { Command } from 'commander'
import { usageFailure } from '../exit.ts'
import {
  addCommonFlags,
  allowEndpointsFlag,
  cidr,
  collect,
  type CommonFlags,
  configFlag,
  durationValue,
  flag,
  port,
  type PortOrOff,
  portOrOff,
  wholeNumber,
} from '../options.ts'
import type { Terminal } from '../terminal.ts'
import { onRun } from './command.ts'

interface StandaloneFlags extends CommonFlags {
  readonly config?: readonly string[]
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

const MOST_WORKERS = 256

/** Adds the verb to the program. */
export function addStandalone(program: Command): void {
  const command = program
    .command('standalone')
    .summary('serve a folder of YAML, live on edit')
    .description(
      'Serves the Tenants, Routes and Policies of a folder, with the Services and EndpointSlices beside them: the same ' +
        'YAML that kubectl apply takes. Edits are live; a broken edit is reported and the last good form goes on serving.',
    )
    .addOption(configFlag())
    .addOption(flag('--port <port>', 'plain HTTP').argParser(port).default(8080))
    .addOption(flag('--tls-port <port>', 'HTTPS, or off').argParser(portOrOff).default(8443))
    .addOption(
      flag('--admin-port <port>', 'health, metrics, status on 127.0.0.1, or off').argParser(portOrOff).default(9901),
    )
    .addOption(
      flag('--workers <number>', 'threads that serve (default: one per core)').argParser(wholeNumber(1, MOST_WORKERS)),
    )
    .addOption(allowEndpointsFlag())
    .addOption(
      flag('--trust-forwarded <cidr>', 'proxies whose X-Forwarded-* are believed; repeatable').argParser(collect(cidr)),
    )
    .addOption(
      flag('--public-https-port <port>', 'where clients find HTTPS, for redirects (default: --tls-port)').argParser(
        port,
      ),
    )
    .addOption(flag('--state <dir>', 'where claims and last good forms survive a restart (default: memory)'))
    .addOption(
      flag(
        '--default-certificate <file>',
        'PEM for hosts without a certificate: chain, then key; repeatable',
      ).argParser(collect((text) => text)),
    )
    .addOption(flag('--access-log <where>', 'one JSON line per request: stdout, off, or a file').default('stdout'))
    .addOption(
      flag('--log-format <format>', 'how stderr reads, not the access log').choices(['text', 'json']).default('text'),
    )
    .addOption(
      flag('--drain <duration>', 'how long running requests may take after SIGTERM')
        .argParser(durationValue)
        .default(30_000, '30s'),
    )
  addCommonFlags(command)
  onRun<StandaloneFlags>(command, runStandalone)
}

async function runStandalone(flags: StandaloneFlags, terminal: Terminal): Promise<number> {
  if (flags.config === undefined) throw usageFailure('Say which folder: --config DIR')
  const { serve } = await import('../serve.ts')
  return await serve({ ...flags, config: flags.config }, terminal)
}

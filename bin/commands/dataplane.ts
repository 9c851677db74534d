// `atrium dataplane`: a pod that serves what a controller pushes to it. The chart's Deployment runs it; it needs no rights at the API server.
import { type Command, Option } from 'commander'
import { usageFailure } from '../exit.ts'
import { addCommonFlags, cidr, collect, type CommonFlags, durationValue, flag, port, wholeNumber } from '../options.ts'
import type { Terminal } from '../terminal.ts'
import { onRun } from './command.ts'

interface DataplaneFlags extends CommonFlags {
  readonly release: string
  readonly controller?: readonly string[]
  readonly caFile?: string
  readonly tokenFile?: string
  readonly stateDir?: string
  readonly podName?: string
  readonly podUid?: string
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

/** Adds the verb to the program. */
export function addDataplane(program: Command): void {
  const command = program
    .command('dataplane')
    .summary('serve what a controller pushes, in a pod')
    .description(
      'Serves requests in a pod of a cluster. It asks a controller for a certificate with the token that is mounted for ' +
        'it, takes snapshots over mutual TLS, and is ready once it has a complete one. The chart runs it.',
    )
    .addOption(flag('--release <name>', 'name of the release that it belongs to').default('atrium'))
    .addOption(flag('--controller <host:port>', 'where controllers are; repeatable').argParser(collect(hostAndPort)))
    .addOption(flag('--ca-file <file>', 'authorities of the release, PEM'))
    .addOption(flag('--token-file <file>', 'token with which it asks for its certificate'))
    .addOption(flag('--state-dir <dir>', 'memory that outlives the container, for the last good snapshot'))
    .addOption(new Option('--pod-name <name>', 'name of this Pod').env('POD_NAME'))
    .addOption(new Option('--pod-uid <uid>', 'UID of this Pod').env('POD_UID'))
    .addOption(flag('--port <port>', 'plain HTTP').argParser(port).default(8080))
    .addOption(flag('--tls-port <port>', 'HTTPS').argParser(port).default(8443))
    .addOption(flag('--health-port <port>', 'health and readiness, for the kubelet').argParser(port).default(9901))
    .addOption(flag('--peer-port <port>', 'snapshots and questions of controllers').argParser(port).default(9902))
    .addOption(flag('--metrics-port <port>', 'metrics of all tenants').argParser(port).default(9903))
    .addOption(flag('--workers <number>', 'threads that serve (default: one per core)').argParser(wholeNumber(1, 256)))
    .addOption(
      flag('--trust-forwarded <cidr>', 'proxies whose X-Forwarded-* are believed; repeatable').argParser(collect(cidr)),
    )
    .addOption(
      flag(
        '--default-certificate <file>',
        'PEM for hosts without a certificate: chain, then key; repeatable',
      ).argParser(collect((text) => text)),
    )
    .addOption(flag('--access-log <where>', 'one JSON line per request: stdout, off, or a file').default('stdout'))
    .addOption(
      flag('--series <number>', 'time series that it shows').argParser(wholeNumber(200, 1_000_000)).default(2_000),
    )
    .addOption(
      flag('--drain-unready <duration>', 'how long it still takes connections after SIGTERM, unready')
        .argParser(durationValue)
        .default(5_000, '5s'),
    )
    .addOption(
      flag('--drain <duration>', 'how long running requests may take after that')
        .argParser(durationValue)
        .default(45_000, '45s'),
    )
  addCommonFlags(command)
  onRun<DataplaneFlags>(command, runDataplane)
}

async function runDataplane(flags: DataplaneFlags, terminal: Terminal): Promise<number> {
  const { controller, caFile, tokenFile, podName, podUid } = flags
  if (controller === undefined || caFile === undefined || tokenFile === undefined) {
    throw usageFailure('Say where controllers are and how to prove who this is: --controller, --ca-file, --token-file')
  }
  if (podName === undefined || podUid === undefined) {
    throw usageFailure('Say which Pod this is: POD_NAME and POD_UID, by the downward API')
  }
  const { servePod } = await import('../pod.ts')
  return await servePod({ ...flags, controller, caFile, tokenFile, podName, podUid }, terminal)
}

function hostAndPort(text: string): string {
  if (!/^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$/.test(text)) {
    throw usageFailure(`--controller ${text}: write host:port.`)
  }
  return text
}

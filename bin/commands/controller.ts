// `atrium controller`: a replica that watches the API server and brings snapshots to dataplane pods. The chart runs it.
import { type Command, Option } from 'commander'
import { usageFailure } from '../exit.ts'
import { addCommonFlags, allowEndpointsFlag, collect, type CommonFlags, durationValue, flag, port } from '../options.ts'
import type { Terminal } from '../terminal.ts'
import { onRun } from './command.ts'

interface ControllerFlags extends CommonFlags {
  readonly release: string
  readonly namespace?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly watchNamespaces?: readonly string[]
  readonly allowEndpoints?: readonly string[]
  readonly hostTransferDelay: number
  readonly leaseDuration: number
  readonly podName?: string
  readonly podUid?: string
  readonly podIp?: string
  readonly port: number
  readonly healthPort: number
  readonly peerPort: number
  readonly metricsPort: number
}

const DAY = 86_400_000

/** Adds the verb to the program. */
export function addController(program: Command): void {
  const command = program
    .command('controller')
    .summary('watch a cluster and push to its dataplane, in a pod')
    .description(
      'Watches Tenants, Routes and Policies of a cluster, compiles them, and pushes them to the dataplane pods of the ' +
        'release. Of several replicas one leads; the others hold the newest snapshot and answer. The chart runs it.',
    )
    .addOption(
      flag('--release <name>', 'name of the release: first part of the names of its objects').default('atrium'),
    )
    .addOption(
      new Option('--namespace <name>', 'where the release lives (default: that of the credentials)').env(
        'POD_NAMESPACE',
      ),
    )
    .addOption(flag('--kubeconfig <file>', 'credentials (default: those of the pod)'))
    .addOption(flag('--context <name>', 'context of the kubeconfig'))
    .addOption(
      flag('--watch-namespaces <name>', 'only these namespaces; repeatable (default: all)').argParser(
        collect((text) => text),
      ),
    )
    .addOption(allowEndpointsFlag())
    .addOption(
      flag('--host-transfer-delay <duration>', 'how long a host that was let go stays with its tenant')
        .argParser(durationValue)
        .default(DAY, '24h'),
    )
    .addOption(
      flag('--lease-duration <duration>', 'how long others wait for a leader that is silent')
        .argParser(durationValue)
        .default(15_000, '15s'),
    )
    .addOption(new Option('--pod-name <name>', 'name of this Pod').env('POD_NAME'))
    .addOption(new Option('--pod-uid <uid>', 'UID of this Pod').env('POD_UID'))
    .addOption(new Option('--pod-ip <address>', 'address of this Pod').env('POD_IP'))
    .addOption(flag('--port <port>', 'API: HTTPS with bearer tokens').argParser(port).default(9943))
    .addOption(flag('--health-port <port>', 'health and readiness, for the kubelet').argParser(port).default(9901))
    .addOption(flag('--peer-port <port>', 'certificates and snapshots for pods').argParser(port).default(9902))
    .addOption(flag('--metrics-port <port>', 'metrics').argParser(port).default(9903))
  addCommonFlags(command)
  onRun<ControllerFlags>(command, runController)
}

async function runController(flags: ControllerFlags, terminal: Terminal): Promise<number> {
  const { podName, podUid, podIp } = flags
  if (podName === undefined || podUid === undefined || podIp === undefined) {
    throw usageFailure('Say which Pod this is: POD_NAME, POD_UID and POD_IP, by the downward API')
  }
  const { control } = await import('../control.ts')
  return await control({ ...flags, podName, podUid, podIp }, terminal)
}

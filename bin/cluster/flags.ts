// How a verb reaches a server: the flags of all that ask a running Atrium, in the order in which they are tried.
import { type Command, Option } from 'commander'
import { durationValue, flag } from '../options.ts'

/** What was given. Times in milliseconds. */
export interface ServerFlags {
  readonly server?: string
  readonly token?: string
  readonly caFile?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly release: string
  readonly releaseNamespace: string
  readonly serviceAccount?: string
  readonly timeout: number
}

/** Adds the flags for a cluster. */
export function addClusterFlags(command: Command): Command {
  command.optionsGroup('Cluster:')
  command.addOption(flag('--kubeconfig <file>', 'kubeconfig (default: KUBECONFIG, then ~/.kube/config)'))
  command.addOption(flag('--context <name>', 'context of the kubeconfig'))
  command.addOption(flag('--release <name>', 'name of the release').default('atrium'))
  command.addOption(flag('--release-namespace <name>', 'where the release lives').default('atrium-system'))
  command.addOption(
    flag('--timeout <duration>', 'how long to wait for an answer').argParser(durationValue).default(30_000, '30s'),
  )
  return command
}

/** Adds the flags for the controller's API: an address and a token, or a cluster. */
export function addServerFlags(command: Command): Command {
  command.optionsGroup('Server:')
  command.addOption(flag('--server <url>', "address of the controller's API (default: found by the kubeconfig)"))
  command.addOption(flag('--token <token>', 'token for the audience atrium-console; better in ATRIUM_TOKEN'))
  command.addOption(flag('--ca-file <file>', 'authorities of that server, PEM'))
  addClusterFlags(command)
  command.addOption(
    new Option('--service-account <name>', 'whose short token to ask for (default: <release>-cli)').env(
      'ATRIUM_SERVICE_ACCOUNT',
    ),
  )
  return command
}

// Atrium as the tests install it, and where they reach it. One release in `atrium-system`, shared by all files.
import { join } from 'node:path'
import { get, helm, kubectl, tryKubectl } from './kubectl.ts'
import { reachable } from './reachable.ts'

export const NAMESPACE = 'atrium-system'
const CHART = join(import.meta.dirname, '..', '..', 'charts', 'atrium')

/** Values of the tests: small requests, so that a node of two cores holds them. */
const VALUES = [
  'controller.resources.requests.cpu=100m',
  'dataplane.resources.requests.cpu=100m',
  'dataplane.drain.unreadyFor=3s',
]

/** Installs the chart, or brings it up to date, and waits until everything is ready. */
export function install(...values: readonly string[]): void {
  const image = process.env['ATRIUM_E2E_IMAGE'] ?? ''
  const [, repository, tag] = /^(.+):([^:/]+)$/.exec(image) ?? []
  const own = repository === undefined ? [] : [`image.repository=${repository}`, `image.tag=${tag}`]
  const set = [...VALUES, ...own, ...values].flatMap((value) => ['--set', value])
  const timing = ['--wait', '--timeout', '3m']
  helm(['upgrade', '--install', 'atrium', CHART, '-n', NAMESPACE, '--create-namespace', ...timing, ...set])
}

/** Changes these values of the release as it is, and waits for nothing. `kubectl scale` would own what helm sets later. */
export function change(...values: readonly string[]): void {
  helm(['upgrade', 'atrium', CHART, '-n', NAMESPACE, '--reuse-values', ...values.flatMap((value) => ['--set', value])])
}

/** Takes the release away, with everything of Atrium's in the cluster. */
export function uninstall(): void {
  helm(['uninstall', 'atrium', '-n', NAMESPACE, '--ignore-not-found', '--wait'])
  const crds = ['tenants', 'routes', 'policies'].map((plural) => `${plural}.atrium.dev`)
  kubectl(['delete', '--ignore-not-found', 'crd', ...crds])
  kubectl(['delete', '--ignore-not-found', 'namespace', NAMESPACE])
}

/** A pod as `kubectl get` shows it, in part. */
export interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string }
  readonly status: {
    readonly podIP?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
    readonly containerStatuses?: readonly { readonly restartCount: number }[]
  }
}

/** Pods of one half, those that end left out. */
export function podsOf(component: 'controller' | 'dataplane'): readonly Pod[] {
  const { items } = get<{ items: readonly Pod[] }>(
    'pods',
    '-n',
    NAMESPACE,
    '-l',
    `app.kubernetes.io/component=${component}`,
  )
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
}

/** A host and port where this machine reaches the gateway's plain and TLS listeners. */
export interface GatewayAddress {
  readonly host: string
  readonly port: number
  readonly tlsPort: number
}

interface ServiceObject {
  readonly spec: {
    readonly clusterIP: string
    readonly ports: readonly { readonly name: string; readonly nodePort?: number }[]
  }
}

/** The Service's own address where this machine has a way there, else a port of a node. */
export async function gatewayAddress(): Promise<GatewayAddress> {
  const { spec } = get<ServiceObject>('service', 'atrium', '-n', NAMESPACE)
  if (await reachable(spec.clusterIP, 80)) return { host: spec.clusterIP, port: 80, tlsPort: 443 }
  const { items } = get<{ items: { status: { addresses: { type: string; address: string }[] } }[] }>('nodes')
  const host = items[0]?.status.addresses.find(({ type }) => type === 'InternalIP')?.address ?? ''
  const nodePort = (name: string) => spec.ports.find((port) => port.name === name)?.nodePort ?? 0
  return { host, port: nodePort('http'), tlsPort: nodePort('https') }
}

/** What a person looks at when something failed: pods, events, the last lines of every log. */
export function describeInstallation(): string {
  const lines = [`kubectl get all -n ${NAMESPACE} -o wide`, `kubectl get events -n ${NAMESPACE}`]
  const outputs = [
    kubectl(['get', 'all', '-n', NAMESPACE, '-o', 'wide']),
    kubectl(['get', 'events', '-n', NAMESPACE, '--sort-by=.lastTimestamp']),
  ]
  for (const component of ['controller', 'dataplane'] as const) {
    for (const { metadata } of podsOf(component)) {
      lines.push(`kubectl logs ${metadata.name}`)
      // Of the access log only what failed: it is long.
      const { stdout } = tryKubectl(['logs', '-n', NAMESPACE, metadata.name, '--tail=20000'])
      const told = stdout
        .split('\n')
        .filter(
          (line) => !line.includes('"event.name":"http.access"') || line.includes('"http.response.status_code":5'),
        )
      outputs.push(told.slice(-30).join('\n'))
    }
  }
  return lines.map((line, index) => `$ ${line}\n${outputs[index]}`).join('\n')
}

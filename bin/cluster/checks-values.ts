// Whether a cluster has what the values of an install ask of it. Reads only. `atrium check --pre` runs them.
import type { ChartValues } from './chart-values.ts'
import { type Check, type Finding, finding } from './findings.ts'
import type { ServerFlags } from './flags.ts'
import type { Kubernetes } from './kubernetes.ts'

/** Images and names of agents that enforce NetworkPolicies, as DaemonSets are called. */
const ENFORCERS = [
  'calico',
  'canal',
  'cilium',
  'antrea',
  'kube-router',
  'weave',
  'kube-ovn',
  'ovnkube',
  'kindnet',
  'network-polic',
  'azure-npm',
]
const CRDS = ['tenants', 'routes', 'policies'].map((plural) => `${plural}.atrium.dev`)

/** The checks, in the order in which they are told. */
export function checksOfValues(kubernetes: Kubernetes, values: ChartValues, flags: ServerFlags): readonly Check[] {
  return [
    () => Promise.resolve(names(values)),
    () => Promise.resolve(image(values)),
    () => definitions(kubernetes, values, flags),
    () => things(kubernetes, values, flags),
    () => nodes(kubernetes, values),
    () => autoscaling(kubernetes, values),
    () => policies(kubernetes, values),
  ]
}

function names({ unknown }: ChartValues): readonly Finding[] {
  return unknown.map(({ path, nearest }) =>
    finding(
      'values',
      'fail',
      `${path} is no value of this chart: helm refuses it`,
      nearest === undefined ? 'charts/atrium/README.md lists all' : `did you mean ${nearest}?`,
    ),
  )
}

function image(values: ChartValues): readonly Finding[] {
  const repository = String(values.at('image.repository'))
  if (repository !== 'atrium.local/atrium') return [finding('values', 'ok', `image from ${repository}`)]
  const hint = 'push it to your registry and set image.repository, or load it into each node (npm run image)'
  return [
    finding(
      'values',
      'warn',
      `image.repository is ${repository}, which no registry has: every node must hold it`,
      hint,
    ),
  ]
}

async function definitions(
  kubernetes: Kubernetes,
  values: ChartValues,
  { release, releaseNamespace }: ServerFlags,
): Promise<readonly Finding[]> {
  const installs = values.at('crds.install') === true
  const found: Finding[] = []
  for (const name of CRDS) {
    const { status, body } = await kubernetes.ask({
      path: `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`,
    })
    if (status === 403) return [finding('values', 'note', 'you may not read CustomResourceDefinitions')]
    if (status === 404) {
      if (!installs)
        found.push(
          finding('values', 'fail', `crds.install is false, and ${name} is not there`, 'kubectl apply -f crds/'),
        )
      continue
    }
    const annotations: Readonly<Record<string, unknown>> = Object(Object(Object(body).metadata).annotations)
    // The first part of every object's name, as the chart makes it of the release's name.
    const isOurs = (name: string) => release === name || release === `${name}-atrium`
    const owner = [annotations['meta.helm.sh/release-namespace'], annotations['meta.helm.sh/release-name']]
    if (!installs || (owner[0] === releaseNamespace && isOurs(String(owner[1])))) continue
    const text =
      owner[1] === undefined
        ? `${name} is there, and no release owns it`
        : `${name} is owned by release ${owner.join('/')}`
    const hint = 'helm refuses to install over it: crds.install=false, or helm install --take-ownership'
    found.push(finding('values', 'fail', text, hint))
  }
  return found
}

/** What values name must be there. */
async function things(
  kubernetes: Kubernetes,
  values: ChartValues,
  { releaseNamespace }: ServerFlags,
): Promise<readonly Finding[]> {
  const found: Finding[] = []
  const has = async (path: string) => (await kubernetes.ask({ path })).status !== 404
  const priority = String(values.at('dataplane.priorityClassName'))
  if (priority !== '' && !(await has(`/apis/scheduling.k8s.io/v1/priorityclasses/${priority}`))) {
    found.push(
      finding(
        'values',
        'fail',
        `dataplane.priorityClassName: there is no PriorityClass ${priority}`,
        'make it, or leave the value empty',
      ),
    )
  }
  const secret = String(values.at('dataplane.defaultCertificate'))
  if (secret !== '') {
    const { status, body } = await kubernetes.ask({ path: `/api/v1/namespaces/${releaseNamespace}/secrets/${secret}` })
    const place = `Secret ${releaseNamespace}/${secret}`
    const hint = `kubectl -n ${releaseNamespace} create secret tls ${secret} --cert FILE --key FILE`
    if (status === 404)
      found.push(
        finding('values', 'fail', `dataplane.defaultCertificate: there is no ${place}; pods wait for it`, hint),
      )
    else if (status === 200 && Object(body).type !== 'kubernetes.io/tls') {
      found.push(
        finding('values', 'fail', `dataplane.defaultCertificate: ${place} is not of type kubernetes.io/tls`, hint),
      )
    }
  }
  for (const namespace of listOf(values.at('controller.watchNamespaces'))) {
    if (await has(`/api/v1/namespaces/${namespace}`)) continue
    found.push(finding('values', 'warn', `controller.watchNamespaces: there is no Namespace ${namespace} yet`))
  }
  return found
}

async function nodes(kubernetes: Kubernetes, values: ChartValues): Promise<readonly Finding[]> {
  const wanted = Object.entries(Object(values.at('dataplane.nodeSelector')))
  const { status, body } = await kubernetes.ask({ path: '/api/v1/nodes', query: { limit: 5_000 } })
  if (status !== 200) return [finding('values', 'note', 'you may not list Nodes')]
  const { items } = Object(body)
  const all: readonly unknown[] = Array.isArray(items) ? items : []
  const fitting = all.filter((node) => {
    const labels = Object(Object(Object(node).metadata).labels)
    return wanted.every(([name, value]) => labels[name] === value)
  })
  if (fitting.length === 0) {
    const text = wanted.length === 0 ? 'there is no Node' : 'dataplane.nodeSelector fits no Node'
    return [finding('values', 'fail', text, 'kubectl get nodes --show-labels')]
  }
  const replicas = Number(values.at('dataplane.replicas'))
  const isDeployment = values.at('dataplane.kind') === 'Deployment'
  if (isDeployment && fitting.length === 1 && replicas > 1) {
    return [finding('values', 'note', `${replicas} dataplane pods on one Node: when it goes, all go`)]
  }
  return []
}

async function autoscaling(kubernetes: Kubernetes, values: ChartValues): Promise<readonly Finding[]> {
  if (values.at('dataplane.autoscaling.enabled') !== true) return []
  if (values.at('dataplane.kind') === 'DaemonSet') {
    return [finding('values', 'warn', 'dataplane.autoscaling.enabled has no effect with dataplane.kind DaemonSet')]
  }
  const { status } = await kubernetes.ask({ path: '/apis/metrics.k8s.io/v1beta1' })
  if (status === 200) return [finding('values', 'ok', 'the metrics API that autoscaling asks is there')]
  return [
    finding(
      'values',
      'fail',
      'dataplane.autoscaling.enabled, but nothing serves metrics.k8s.io',
      'install metrics-server',
    ),
  ]
}

async function policies(kubernetes: Kubernetes, values: ChartValues): Promise<readonly Finding[]> {
  if (values.at('networkPolicy.enabled') !== true) {
    return [finding('network', 'warn', 'networkPolicy.enabled is false: every pod may read the metrics of all tenants')]
  }
  const { status, body } = await kubernetes.ask({ path: '/apis/apps/v1/daemonsets', query: { limit: 5_000 } })
  if (status !== 200)
    return [finding('network', 'note', 'you may not list DaemonSets, so who enforces NetworkPolicies is not seen')]
  const { items } = Object(body)
  const all = (Array.isArray(items) ? items : []).map((each: unknown) => String(Object(Object(each).metadata).name))
  const agents = all.filter((name) => ENFORCERS.some((part) => name.includes(part)))
  if (agents.length > 0) return [finding('network', 'ok', `${agents.join(', ')} enforces NetworkPolicies`)]
  const text = 'no agent is seen that is known to enforce NetworkPolicies'
  return [finding('network', 'note', text, 'once installed, `atrium check --probe` tries it with a pod')]
}

function listOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : []
}

// Whether the cluster enforces NetworkPolicies: a pod that is none of Atrium's tries ports that must be open to it and ports
// that must not. Makes that pod and takes it away; only `atrium check --probe` does it.
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Finding, finding } from './findings.ts'
import type { ServerFlags } from './flags.ts'
import { failureOf, type Kubernetes, releasePods } from './kubernetes.ts'

/** A port of the release, and whether a stranger may reach it. */
interface Target {
  readonly what: string
  readonly address: string
  readonly port: number
  readonly open: boolean
}

const WAIT_MS = 60_000
const BETWEEN_MS = 500
const CONNECT_MS = 3_000

/** Tries it. */
export async function networkPolicies(kubernetes: Kubernetes, flags: ServerFlags): Promise<readonly Finding[]> {
  const { releaseNamespace: namespace, release } = flags
  const policy = `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies/${release}-dataplane`
  if ((await kubernetes.read(policy)) === undefined) {
    return [finding('network', 'note', 'networkPolicy.enabled is false: there is nothing to try')]
  }
  const [controller, dataplane] = await Promise.all([
    releasePods(kubernetes, flags, 'controller'),
    releasePods(kubernetes, flags, 'dataplane'),
  ])
  const [leads, serves] = [controller[0], dataplane[0]]
  if (leads === undefined || serves === undefined) return [finding('network', 'note', 'no pods to try it on')]
  const targets: readonly Target[] = [
    { what: 'dataplane', address: serves.address, port: 8_080, open: true },
    { what: 'dataplane', address: serves.address, port: 9_902, open: false },
    { what: 'controller', address: leads.address, port: 9_943, open: true },
    { what: 'controller', address: leads.address, port: 9_902, open: false },
  ]
  const pods = `/api/v1/namespaces/${namespace}/pods`
  const name = `atrium-probe-${randomBytes(4).toString('hex')}`
  const image = imageOf(await kubernetes.read(`${pods}/${serves.name}`))
  const made = await kubernetes.ask({ method: 'POST', path: pods, body: probePod(name, image, targets) })
  if (made.status === 403) return [finding('network', 'note', `you may not make a pod in ${namespace} to try it with`)]
  if (made.status !== 201) throw failureOf(made.status, `make Pod ${namespace}/${name}`)
  try {
    return judge(targets, await answersOf(kubernetes, `${pods}/${name}`))
  } finally {
    await kubernetes.ask({ method: 'DELETE', path: `${pods}/${name}`, query: { gracePeriodSeconds: 0 } })
  }
}

/** What the pod saw, or nothing where it never ran. */
async function answersOf(kubernetes: Kubernetes, path: string): Promise<readonly boolean[] | undefined> {
  const until = performance.now() + WAIT_MS
  while (performance.now() < until) {
    await sleep(BETWEEN_MS)
    const { phase } = Object(Object(await kubernetes.read(path)).status)
    if (phase !== 'Succeeded' && phase !== 'Failed') continue
    const [line = ''] = (await kubernetes.lines(`${path}/log`)) ?? []
    return /^(open|shut)( (open|shut))*$/.test(line) ? line.split(' ').map((word) => word === 'open') : undefined
  }
  return undefined
}

/** What follows from it. */
export function judge(targets: readonly Target[], answers: readonly boolean[] | undefined): readonly Finding[] {
  if (answers?.length !== targets.length) {
    const hint = 'kubectl get events: no room on a node, or the image cannot be had'
    return [finding('network', 'warn', 'the pod that was to try the NetworkPolicies did not run', hint)]
  }
  const wrong = targets.filter(({ open }, index) => answers[index] !== open)
  if (wrong.length === 0)
    return [finding('network', 'ok', 'NetworkPolicies are enforced: a stranger reaches what is public, and no more')]
  const shut = wrong.filter(({ open }) => open).map(placeOf)
  const open = wrong.filter((target) => !target.open).map(placeOf)
  return [
    ...(shut.length === 0
      ? []
      : [
          finding(
            'network',
            'warn',
            `a pod of this namespace cannot reach ${shut.join(' and ')}`,
            'another NetworkPolicy keeps it from sending, or the network between nodes is broken',
          ),
        ]),
    ...(open.length === 0
      ? []
      : [
          finding(
            'network',
            'warn',
            `a stranger reaches ${open.join(' and ')}: NetworkPolicies are not enforced, or another one lets it in`,
            'without a certificate it gets nothing there, but metrics of all tenants (9903) are open to every pod: take a network plugin that enforces NetworkPolicy, such as Calico or Cilium; kubectl get networkpolicy shows others',
          ),
        ]),
  ]
}

function placeOf({ what, address, port }: Target): string {
  return `port ${port} of the ${what} (${address})`
}

function imageOf(pod: unknown): { readonly image: string; readonly pullSecrets: readonly unknown[] } {
  const { containers, imagePullSecrets } = Object(Object(pod).spec)
  const [first] = Array.isArray(containers) ? containers : []
  return {
    image: String(Object(first).image),
    pullSecrets: Array.isArray(imagePullSecrets) ? imagePullSecrets : [],
  }
}

function probePod(name: string, { image, pullSecrets }: ReturnType<typeof imageOf>, targets: readonly Target[]) {
  const places = JSON.stringify(targets.map(({ address, port }) => [address, port]))
  const script = `
    const { connect } = require('node:net')
    const tried = ([host, port]) => new Promise((resolve) => {
      const socket = connect({ host, port, timeout: ${CONNECT_MS} })
      const end = (word) => { socket.destroy(); resolve(word) }
      socket.on('connect', () => end('open')).on('error', () => end('shut')).on('timeout', () => end('shut'))
    })
    Promise.all(${places}.map(tried)).then((words) => console.log(words.join(' ')))`
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { 'app.kubernetes.io/name': 'atrium-probe' } },
    spec: {
      restartPolicy: 'Never',
      activeDeadlineSeconds: 60,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      imagePullSecrets: pullSecrets,
      securityContext: { runAsNonRoot: true, runAsUser: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'probe',
          image,
          imagePullPolicy: 'IfNotPresent',
          command: ['/usr/local/bin/node', '-e', script],
          resources: { requests: { cpu: '10m', memory: '32Mi' }, limits: { memory: '96Mi' } },
          securityContext: {
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
            readOnlyRootFilesystem: true,
          },
        },
      ],
    },
  }
}

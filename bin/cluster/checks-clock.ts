// Whether clocks agree: this machine's and each node's with the API server's. Reads only. Both kinds of `atrium check` ask.
import type { ApiResponse } from '../../controller/sources/kubernetes/client.ts'
import { plural } from '../output/units.ts'
import { type Finding, finding } from './findings.ts'
import type { Kubernetes } from './kubernetes.ts'

/** A clock that is further off makes logs, metrics and certificates hard to read. */
const WARN_MS = 10_000
/** Certificates of the release are valid from one hour before they are made; beyond that a pod refuses them. */
const FAIL_MS = 3_600_000
/** A kubelet renews its Lease every ten seconds; Kubernetes takes a node for gone after fifty. */
const RENEWED_MS = 50_000

/** The clocks of this machine and of the nodes. */
export async function clocks(kubernetes: Kubernetes): Promise<readonly Finding[]> {
  const asked = Date.now()
  const { serverTime } = await kubernetes.ask({ path: '/version' })
  if (serverTime === undefined) return [finding('clocks', 'note', 'the API server does not tell its time')]
  const answered = Date.now()
  const [leases, nodes] = await Promise.all([
    kubernetes.ask({ path: '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases', query: { limit: 5_000 } }),
    kubernetes.ask({ path: '/api/v1/nodes', query: { limit: 5_000 } }),
  ])
  // Date has whole seconds, so the middle of that second is nearest.
  const here = (asked + answered) / 2 - (serverTime + 500)
  return [ofThisMachine(here), ...ofNodes(leases, nodes)]
}

function ofThisMachine(ahead: number): Finding {
  if (Math.abs(ahead) < WARN_MS) return finding('clocks', 'ok', 'this machine and the API server agree')
  const text = `this machine's clock is ${offBy(ahead)} that of the API server`
  return finding('clocks', 'warn', text, 'set it by NTP; tokens and certificates may seem expired, or not yet valid')
}

function ofNodes(leases: ApiResponse, nodes: ApiResponse): readonly Finding[] {
  if (leases.status !== 200 || nodes.status !== 200 || leases.serverTime === undefined) {
    return [finding('clocks', 'note', 'you may not read the Leases of nodes, which tell their time')]
  }
  const ready = new Set(itemsOf(nodes).filter(isReady).map(nameOf))
  const off = itemsOf(leases)
    .filter((lease) => ready.has(nameOf(lease)))
    .map((lease) => ({ name: nameOf(lease), ahead: aheadBy(lease, leases.serverTime ?? 0) }))
    .filter(({ ahead }) => Math.abs(ahead) >= WARN_MS)
  if (off.length === 0) return [finding('clocks', 'ok', `${plural(ready.size, 'node')} and the API server agree`)]
  return off.map(({ name, ahead }) => {
    const verdict = Math.abs(ahead) >= FAIL_MS ? 'fail' : 'warn'
    return finding(
      'clocks',
      verdict,
      `the clock of node ${name} is ${offBy(ahead)} that of the API server`,
      'set it by NTP',
    )
  })
}

/** How far a node's clock is ahead, as far as that can be told: a Lease that is younger than the renewals are apart says nothing. */
function aheadBy(lease: unknown, serverTime: number): number {
  const renewed = Date.parse(String(Object(Object(lease).spec).renewTime))
  if (Number.isNaN(renewed)) return 0
  const ahead = renewed - (serverTime + 1_000)
  return ahead > 0 ? ahead : Math.min(0, ahead + RENEWED_MS)
}

function offBy(ahead: number): string {
  const seconds = Math.round(Math.abs(ahead) / 1_000)
  const amount = seconds < 600 ? `${seconds} s` : `${Math.round(seconds / 60)} min`
  return `${amount} ${ahead > 0 ? 'ahead of' : 'behind'}`
}

function isReady(node: unknown): boolean {
  const { conditions } = Object(Object(node).status)
  return (Array.isArray(conditions) ? conditions : []).some((each: unknown) => {
    return Object(each).type === 'Ready' && Object(each).status === 'True'
  })
}

function nameOf(object: unknown): string {
  return String(Object(Object(object).metadata).name)
}

function itemsOf({ body }: ApiResponse): readonly unknown[] {
  const { items } = Object(body)
  return Array.isArray(items) ? items : []
}

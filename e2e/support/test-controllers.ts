// Controllers of the release as the chart makes them, but for what a test needs: no kubelet that ends one because it is
// stopped, and one that is killed begins again at once, without the kubelet's growing wait. Used by the test of the leader.
import { apply, get, kubectl } from './kubectl.ts'
import { install, NAMESPACE, type Pod } from './installation.ts'
import { atriumProcess } from './processes.ts'
import type { Api } from './api.ts'

const NAME = 'atrium-controller-under-test'
const LABEL = { 'atrium.dev/under-test': 'yes' }
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=atrium.dev/under-test%3Dyes`
const LEASE = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/atrium-controller`

/** Runs the program with its arguments, again and again. */
const AGAIN = `
const { spawn } = require('child_process')
let ends = false
let child
const run = () => {
  child = spawn(process.execPath, process.argv.slice(1), { stdio: 'inherit' })
  child.on('exit', () => ends ? process.exit() : run())
}
process.on('SIGTERM', () => { ends = true; child.kill('SIGTERM') })
run()
`

interface Deployment {
  readonly metadata: { readonly labels: object }
  readonly spec: {
    readonly selector: { readonly matchLabels: object }
    readonly template: {
      readonly metadata: { readonly labels: object }
      readonly spec: { readonly containers: readonly [Readonly<Record<string, unknown>>] }
    }
  }
}

/** Puts them in the place of the chart's. `leaseDuration` as the flag takes it. */
export function runTestControllers(replicas: number, leaseDuration: string, ...values: readonly string[]): void {
  const { metadata, spec } = get<Deployment>('deployment', 'atrium-controller', '-n', NAMESPACE)
  const { template, selector } = spec
  const [container] = template.spec.containers
  const args = [...(container['args'] as string[]), `--lease-duration=${leaseDuration}`]
  const copy = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: NAMESPACE, name: NAME, labels: metadata.labels },
    spec: {
      replicas,
      selector: { matchLabels: { ...selector.matchLabels, ...LABEL } },
      template: {
        metadata: { labels: { ...template.metadata.labels, ...LABEL } },
        spec: {
          ...template.spec,
          terminationGracePeriodSeconds: 5,
          containers: [
            {
              ...container,
              command: ['/usr/local/bin/node', '-e', AGAIN, '/app/bin/atrium.js'],
              args,
              livenessProbe: undefined,
            },
          ],
        },
      },
    },
  }
  apply(JSON.stringify(copy))
  kubectl(['rollout', 'status', '-n', NAMESPACE, `deployment/${NAME}`, '--timeout=120s'])
  install('controller.replicas=0', ...values)
}

/** Puts the chart's back. */
export function removeTestControllers(): void {
  install()
  kubectl(['delete', '-n', NAMESPACE, '--ignore-not-found', `deployment/${NAME}`])
}

/** Who holds the lease. */
export interface Leader {
  /** Of one process. */
  readonly identity: string
  readonly fence: number
  readonly pod: Pod
  readonly pid: number
}

/** The present leader, where it is one of these and this machine sees its process. */
export async function leader(api: Api): Promise<Leader | undefined> {
  const { identity, fence } = await leaseHolder(api)
  const pods: readonly Pod[] = Object((await api.call('GET', PODS)).body).items
  const pod = pods.find(({ metadata }) => identity.startsWith(`${metadata.name}_`))
  const pid = pod && atriumProcess(pod.metadata.uid, 'controller')
  return pod === undefined || pid === undefined ? undefined : { identity, fence, pod, pid }
}

/** What the lease says. */
export async function leaseHolder(api: Api): Promise<{ readonly identity: string; readonly fence: number }> {
  const { spec } = Object((await api.call('GET', LEASE)).body)
  const { holderIdentity = '', leaseTransitions = 0 } = Object(spec)
  return { identity: String(holderIdentity), fence: Number(leaseTransitions) }
}

/** Resolves with whoever leads when it is another process than that. Rejects after `timeout` milliseconds. */
export async function otherLeader(api: Api, than: string, timeout: number) {
  const end = performance.now() + timeout
  for (;;) {
    const holder = await leaseHolder(api)
    if (holder.identity !== '' && holder.identity !== than) return holder
    if (performance.now() > end) throw new Error(`after ${timeout} ms ${than} leads still, by the lease`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

// A proxy between the controllers and the API server, which holds back what the watch of one resource says. For a cluster
// of e2e/cluster, whose authority lies beside its kubeconfig. In a thread of its own: tests wait for kubectl and helm
// without serving anybody. Used by the tests on a cluster.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { kubectl } from './kubectl.ts'

/** What the thread is given. */
export interface ApiProxyPlan {
  /** Folder with ca.crt and ca.key. */
  readonly authority: string
  /** Of the API server; the proxy listens on its address, at 443. */
  readonly host: string
  readonly port: string
}

/** What the thread is told later. */
export interface Hold {
  readonly plural: string
  readonly milliseconds: number
}

/** A running proxy. */
export interface ApiProxy {
  readonly host: string
  /** From now on what this watch says comes so many milliseconds late; 0 for at once. */
  hold(plural: string, milliseconds: number): void
  /** Requests that were passed on. */
  passed(): Promise<number>
  close(): Promise<void>
}

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: { readonly server: string } }[]
}

/** Folder of the cluster's authority; undefined where the cluster is not one of e2e/cluster. */
export function authorityFolder(): string | undefined {
  const folder = join(dirname(process.env['KUBECONFIG'] ?? ''), 'pki')
  return existsSync(join(folder, 'ca.key')) ? folder : undefined
}

/** Starts one on the address of the API server, at the port that clusters' Services give it. */
export async function startApiProxy(authority: string): Promise<ApiProxy> {
  const { clusters } = JSON.parse(kubectl(['config', 'view', '-o', 'json'])) as Kubeconfig
  const { hostname, port } = new URL(clusters[0]?.cluster.server ?? '')
  const plan: ApiProxyPlan = { authority, host: hostname, port }
  const worker = new Worker(new URL('./api-proxy-worker.ts', import.meta.url), { workerData: plan })
  const next = () =>
    new Promise<number>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  await next()
  return {
    host: hostname,
    hold: (plural, milliseconds) => worker.postMessage({ plural, milliseconds } satisfies Hold),
    async passed() {
      const answer = next()
      worker.postMessage('passed')
      return await answer
    },
    async close() {
      await worker.terminate()
    },
  }
}

// The API server, for what is measured or done hundreds of times: starting kubectl takes longer than the call. Straight to
// it where the kubeconfig has a client certificate, else through `kubectl proxy`, which takes a tenth of a core for 100
// calls/s. Used by the tests on a cluster.
import { Agent, request as plainRequest, type ClientRequest, type RequestOptions } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import { kubectl, kubectlInBackground } from './kubectl.ts'

/** An answer. */
export interface ApiAnswer {
  readonly status: number
  readonly body: unknown
  /** performance.now() when the head of the answer was here. */
  readonly answeredAt: number
}

export type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'

/** A connection to the API server. */
export interface Api {
  call(method: Method, path: string, body?: unknown): Promise<ApiAnswer>
  close(): void
}

/** Opens one. */
export async function openApi(): Promise<Api> {
  const way = straight() ?? (await throughProxy())
  const call: Api['call'] = (method, path, body) =>
    new Promise((resolve, reject) => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
      const headers = body === undefined ? {} : { 'content-type': type }
      const request = way.request({ method, path, headers, timeout: 30_000 })
      request.on('timeout', () => request.destroy(new Error(`${method} ${path}: no answer in time`)))
      request.on('error', (error: NodeJS.ErrnoException) => {
        // A connection that was kept ended with the API server that it led to; another one leads to the next.
        if (request.reusedSocket && error.code === 'ECONNRESET') call(method, path, body).then(resolve, reject)
        else reject(error)
      })
      request.on('response', (response) => {
        const answeredAt = performance.now()
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          const json = response.headers['content-type']?.includes('json') === true
          resolve({ status: response.statusCode ?? 0, body: json ? JSON.parse(text) : text, answeredAt })
        })
      })
      request.end(body === undefined ? undefined : JSON.stringify(body))
    })
  return { call, close: way.close }
}

interface Way {
  request(options: RequestOptions): ClientRequest
  close(): void
}

/** The part of a kubeconfig that is read, as kubectl flattens it. */
interface Kubeconfig {
  readonly clusters: readonly {
    readonly cluster: { readonly server: string; readonly 'certificate-authority-data'?: string }
  }[]
  readonly users: readonly {
    readonly user: { readonly 'client-certificate-data'?: string; readonly 'client-key-data'?: string }
  }[]
}

const KEPT = { keepAlive: true, maxSockets: 32 }

function straight(): Way | undefined {
  const view = ['config', 'view', '--raw', '--minify', '--flatten', '--output=json']
  const { clusters, users } = JSON.parse(kubectl(view)) as Kubeconfig
  const cluster = clusters[0]?.cluster
  const user = users[0]?.user
  const authority = cluster?.['certificate-authority-data']
  const [cert, key] = [user?.['client-certificate-data'], user?.['client-key-data']]
  if (cluster === undefined || authority === undefined || cert === undefined || key === undefined) return undefined
  const { protocol, hostname, port } = new URL(cluster.server)
  if (protocol !== 'https:') return undefined
  const pem = (text: string) => Buffer.from(text, 'base64').toString()
  const agent = new TlsAgent({ ...KEPT, ca: pem(authority), cert: pem(cert), key: pem(key) })
  const at = { agent, host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? 443 : Number(port) }
  return { request: (options) => tlsRequest({ ...options, ...at }), close: () => agent.destroy() }
}

async function throughProxy(): Promise<Way> {
  const proxy = await kubectlInBackground(['proxy', '--port=0', '--v=0'])
  const agent = new Agent(KEPT)
  const at = { agent, host: '127.0.0.1', port: Number(/:(\d+)\s*$/.exec(proxy.line)?.[1]) }
  return {
    request: (options) => plainRequest({ ...options, ...at }),
    close: () => {
      agent.destroy()
      proxy.stop()
    },
  }
}

/** Paths of Atrium's own kinds. */
export function ownPath(plural: 'tenants' | 'routes' | 'policies', namespace?: string): string {
  const within = namespace === undefined ? '' : `/namespaces/${namespace}`
  return `/apis/atrium.dev/v1alpha1${within}/${plural}`
}

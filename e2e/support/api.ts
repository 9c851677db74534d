// The API server through `kubectl proxy`, for what is measured or done hundreds of times: starting kubectl takes longer
// than the call. Used by the tests on a cluster.
import { Agent, request } from 'node:http'
import { kubectlInBackground } from './kubectl.ts'

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
  const proxy = await kubectlInBackground(['proxy', '--port=0', '--v=0'])
  const port = Number(/:(\d+)\s*$/.exec(proxy.line)?.[1])
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  return {
    call: (method, path, body) =>
      new Promise((resolve, reject) => {
        const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
        const headers = body === undefined ? {} : { 'content-type': type }
        const call = request({ host: '127.0.0.1', port, agent, method, path, headers, timeout: 30_000 })
        call.on('timeout', () => call.destroy(new Error(`${method} ${path}: no answer in time`)))
        call.on('error', reject)
        call.on('response', (response) => {
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
        call.end(body === undefined ? undefined : JSON.stringify(body))
      }),
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

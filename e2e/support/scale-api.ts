// The API server at full speed: HTTPS of our own with the certificate of the kubeconfig, many calls at once. For tests
// that make tens of thousands of objects, where `kubectl proxy` would take half of the machine.
import { Agent, request } from 'node:https'
import { kubectl } from './kubectl.ts'

/** A connection as administrator. */
export interface AdminApi {
  /** One call. Rejects where the answer is not among `fine`, with what was said. */
  call(method: string, path: string, body?: unknown, fine?: readonly number[]): Promise<unknown>
  /** The text of an answer that is no JSON. */
  text(path: string): Promise<string>
  close(): void
}

interface KubeConfig {
  readonly clusters: readonly {
    readonly cluster: { readonly server: string; readonly 'certificate-authority-data': string }
  }[]
  readonly users: readonly {
    readonly user: { readonly 'client-certificate-data'?: string; readonly 'client-key-data'?: string }
  }[]
}

const TIMEOUT = 60_000
const CREATED = [200, 201, 409]

/** Opens it. Throws where the kubeconfig has no client certificate. */
export function openAdminApi(sockets: number): AdminApi {
  const config = JSON.parse(kubectl(['config', 'view', '--raw', '--minify', '--flatten', '-o', 'json'])) as KubeConfig
  const cluster = config.clusters[0]?.cluster
  const user = config.users[0]?.user
  if (cluster === undefined || user?.['client-certificate-data'] === undefined) {
    throw new Error('the kubeconfig has no client certificate: this test calls the API server with one')
  }
  const agent = new Agent({
    keepAlive: true,
    maxSockets: sockets,
    ca: decode(cluster['certificate-authority-data']),
    cert: decode(user['client-certificate-data']),
    key: decode(user['client-key-data'] ?? ''),
  })
  const send = (method: string, path: string, body: unknown) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
      const headers = text === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(text) }
      const call = request(new URL(path, cluster.server), { agent, method, headers, timeout: TIMEOUT })
      call.on('timeout', () => call.destroy(new Error(`${method} ${path}: no answer in time`)))
      call.on('error', reject)
      call.on('response', (response) => {
        let answer = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          answer += chunk
        })
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: answer }))
      })
      call.end(text)
    })
  return {
    async call(method, path, body, fine = CREATED) {
      const { status, text } = await send(method, path, body)
      if (!fine.includes(status)) throw new Error(`${method} ${path}: ${status} ${text.slice(0, 300)}`)
      return text.startsWith('{') ? (JSON.parse(text) as unknown) : undefined
    },
    text: async (path) => (await send('GET', path, undefined)).text,
    close: () => agent.destroy(),
  }
}

/** Runs something for each item, so many at once. Stops at the first failure. */
export async function forEach<Item>(
  items: Iterable<Item>,
  atOnce: number,
  run: (item: Item) => Promise<unknown>,
): Promise<number> {
  const iterator = items[Symbol.iterator]()
  let count = 0
  const lane = async () => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) {
      await run(next.value)
      count++
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  return count
}

function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString()
}

// The release's authority in a Secret, written only over the version that was read, and the bundle that everybody may
// believe in a ConfigMap, which dataplane pods mount. controller/cluster.ts makes both.
import { Hidden } from '../../model/hidden.ts'
import { type ApiCall, type ApiCalls, FIELD_MANAGER } from '../api-calls.ts'
import type { AuthorityStore } from '../publish/authority.ts'

export interface AuthorityPlace {
  readonly api: ApiCalls
  readonly namespace: string
  readonly release: string
  readonly labels: Readonly<Record<string, string>>
}

const FIELD = 'authority.json'
const TIMEOUT_MS = 10_000

/** The Secret `<release>-ca`. */
export function createAuthorityStore({ api, namespace, release, labels }: AuthorityPlace): AuthorityStore {
  const collection = `/api/v1/namespaces/${namespace}/secrets`
  const path = `${collection}/${release}-ca`
  return {
    async load() {
      const { status, body } = await api.request({ path, timeoutMs: TIMEOUT_MS })
      if (status === 404) return undefined
      if (status !== 200) throw new Error(`GET ${path} answered ${status}`)
      const { data, metadata } = Object(body)
      const content: unknown = Object(data)[FIELD]
      if (typeof content !== 'string') throw new Error(`Secret ${release}-ca has no ${FIELD}: restore it, or remove it`)
      return {
        content: new Hidden(Buffer.from(content, 'base64').toString('utf8')),
        version: String(Object(metadata).resourceVersion),
      }
    },
    async save(content, version) {
      const metadata = {
        name: `${release}-ca`,
        namespace,
        labels,
        ...(version === undefined ? {} : { resourceVersion: version }),
      }
      const data = { [FIELD]: Buffer.from(content.reveal()).toString('base64') }
      const call: ApiCall = {
        ...(version === undefined ? { method: 'POST', path: collection } : { method: 'PUT', path }),
        query: { fieldManager: FIELD_MANAGER },
        body: { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data },
        timeoutMs: TIMEOUT_MS,
      }
      const answer = await api.request(call)
      if (answer.status === 409 || answer.status === 404) return undefined
      if (answer.status < 200 || answer.status >= 300)
        throw new Error(`${path}: the API server answered ${answer.status}`)
      return String(Object(Object(answer.body).metadata).resourceVersion)
    },
  }
}

/** Writes the bundle to the ConfigMap `<release>-ca`, unless it says that already. */
export async function showBundle({ api, namespace, release, labels }: AuthorityPlace, pem: string): Promise<void> {
  const collection = `/api/v1/namespaces/${namespace}/configmaps`
  const path = `${collection}/${release}-ca`
  const there = await api.request({ path, timeoutMs: TIMEOUT_MS })
  if (there.status === 200 && Object(Object(there.body).data)['ca.crt'] === pem) return
  const metadata = { name: `${release}-ca`, namespace, labels }
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'ca.crt': pem } }
  const { status } = await api.request({
    ...(there.status === 404 ? { method: 'POST', path: collection } : { method: 'PUT', path }),
    query: { fieldManager: FIELD_MANAGER },
    body,
    timeoutMs: TIMEOUT_MS,
  })
  if (status < 200 || status >= 300) throw new Error(`${path}: the API server answered ${status}`)
}

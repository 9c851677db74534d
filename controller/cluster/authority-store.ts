// The release's authority in a Secret, written only over the version that was read, and the bundle that everybody may
// believe in a ConfigMap, which dataplane pods mount. An annotation on the Secret asks for another authority, and one
// tells how far that is. controller/cluster.ts makes both.
import { Hidden } from '../../model/hidden.ts'
import { parseDuration } from '../../model/quantity.ts'
import { type ApiCall, type ApiCalls, FIELD_MANAGER, PATCH_TYPES } from '../api-calls.ts'
import type { AuthorityStore, RotationRequest } from '../publish/authority.ts'

export interface AuthorityPlace {
  readonly api: ApiCalls
  readonly namespace: string
  readonly release: string
  readonly labels: Readonly<Record<string, string>>
}

const FIELD = 'authority.json'
const TIMEOUT_MS = 10_000
/** On the Secret: any new text asks for another authority. docs/cluster.md tells of all three. */
const ASKED = 'atrium.dev/rotate'
const OVERLAP = 'atrium.dev/rotate-overlap'
const PROGRESS = 'atrium.dev/rotation'
const DEFAULT_OVERLAP = 3_600_000

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
        request: readRequest(Object(Object(metadata).annotations)),
      }
    },
    async save(content, version, progress) {
      const metadata = {
        name: `${release}-ca`,
        namespace,
        labels,
        ...(version === undefined ? {} : { resourceVersion: version }),
        ...(progress === undefined ? {} : { annotations: { [PROGRESS]: progress } }),
      }
      const data = { [FIELD]: Buffer.from(content.reveal()).toString('base64') }
      const call: ApiCall = {
        // A patch leaves what others wrote on it, the request among it.
        ...(version === undefined
          ? { method: 'POST', path: collection }
          : { method: 'PATCH', path, contentType: PATCH_TYPES.merge }),
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

function readRequest(annotations: Readonly<Record<string, unknown>>): RotationRequest | undefined {
  const word = annotations[ASKED]
  if (typeof word !== 'string' || word === '') return undefined
  return { word: word.slice(0, 100), overlap: overlapOf(annotations[OVERLAP]) }
}

/** What cannot be read counts as not written: the progress shows the times. */
function overlapOf(text: unknown): number {
  try {
    return typeof text === 'string' ? parseDuration(text) : DEFAULT_OVERLAP
  } catch {
    return DEFAULT_OVERLAP
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

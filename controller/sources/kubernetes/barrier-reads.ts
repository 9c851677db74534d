// The reads behind the barrier: the Policies of one namespace as they were when a Route was written, and a Tenant as it
// is. source.ts calls them for each round and merges the answers.
import type { ApiClient, ApiRequest, ApiResponse } from './client.ts'
import { API_RESOURCES, listPath } from './kinds.ts'
import { readPages } from './read-pages.ts'

const TIMEOUT_MS = 5_000
const PAGE = 500
/** Invalid, Gone (compacted away), and Gateway Timeout (not reached yet): a consistent read has none of these reasons. */
const EXACT_REFUSED: ReadonlySet<number> = new Set([400, 410, 504])

/**
 * All Policies of a namespace as they were at a version, and the version that was read. A consistent read is the way
 * where the exact one is refused (the version is compacted away, or the world went back). Rejects with one sentence.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list
 */
export async function readNamespacePolicies(
  client: ApiClient,
  namespace: string,
  at: string,
  signal: AbortSignal,
): Promise<{ readonly items: readonly unknown[]; readonly version: string }> {
  const exact = { resourceVersion: at, resourceVersionMatch: 'Exact' }
  const read = (await readAll(client, namespace, exact, signal)) ?? (await readAll(client, namespace, {}, signal))
  if (read === undefined) throw new Error('policies: the API server does not list them')
  return read
}

/** undefined where the exact read is refused. */
async function readAll(
  client: ApiClient,
  namespace: string,
  query: NonNullable<ApiRequest['query']>,
  signal: AbortSignal,
): Promise<{ readonly items: readonly unknown[]; readonly version: string } | undefined> {
  const resource = API_RESOURCES.Policy
  const items: unknown[] = []
  const path = listPath(resource, resource.prefixes[0] ?? '', namespace)
  const read = await readPages({
    client,
    request: { path, query, signal, timeoutMs: TIMEOUT_MS },
    pageSize: PAGE,
    onItems: (page) => items.push(...page),
  })
  if (read.complete) return { items, version: read.version }
  if (query['resourceVersionMatch'] !== undefined && EXACT_REFUSED.has(read.response.status)) return undefined
  throw refused('policies', read.response)
}

/** A Tenant; undefined where it is gone. Rejects with one sentence. */
export async function readTenant(client: ApiClient, name: string, signal: AbortSignal): Promise<unknown> {
  const resource = API_RESOURCES.Tenant
  const path = `${listPath(resource, resource.prefixes[0] ?? '', undefined)}/${encodeURIComponent(name)}`
  const response = await client.request({ path, signal, timeoutMs: TIMEOUT_MS })
  if (response.status === 404) return undefined
  if (response.status !== 200) throw refused('tenants', response)
  return response.body
}

function refused(what: string, response: ApiResponse): Error {
  return new Error(`${what}: the API server answered ${response.status}`)
}

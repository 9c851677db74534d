// The consistent reads behind the barrier: the Policies of one namespace and a Tenant, as they are now or later, asked of
// the API server without a resourceVersion. source.ts calls them for each round and merges the answers.
import type { ApiClient, ApiResponse } from './client.ts'
import { API_RESOURCES, listPath } from './kinds.ts'
import { readPages } from './read-pages.ts'

const TIMEOUT_MS = 5_000
const PAGE = 500

/** All Policies of a namespace, and the version of that list. Rejects with one sentence. */
export async function readNamespacePolicies(
  client: ApiClient,
  namespace: string,
  signal: AbortSignal,
): Promise<{ readonly items: readonly unknown[]; readonly version: string }> {
  const resource = API_RESOURCES.Policy
  const items: unknown[] = []
  const read = await readPages({
    client,
    request: { path: listPath(resource, resource.prefixes[0] ?? '', namespace), signal, timeoutMs: TIMEOUT_MS },
    pageSize: PAGE,
    onItems: (page) => items.push(...page),
  })
  if (!read.complete) throw refused('policies', read.response)
  return { items, version: read.version }
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

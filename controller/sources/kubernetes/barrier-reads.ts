// The consistent reads behind the barrier: the Policies of one namespace and a Tenant, as they are now or later, asked of
// the API server without a resourceVersion. source.ts calls them for each round and merges the answers.
import type { ApiClient, ApiResponse } from './client.ts'
import { API_RESOURCES, listPath } from './kinds.ts'
import { itemsOf } from './keep-object.ts'
import { isRecord, recordIn, textIn } from './raw.ts'

const TIMEOUT_MS = 5_000
const PAGE = 500

/** All Policies of a namespace, and the version of that list. Rejects with one sentence. */
export async function readNamespacePolicies(
  client: ApiClient,
  namespace: string,
  signal: AbortSignal,
): Promise<{ readonly items: readonly unknown[]; readonly version: string }> {
  const resource = API_RESOURCES.Policy
  const path = listPath(resource, resource.prefixes[0] ?? '', namespace)
  const items: unknown[] = []
  let version = ''
  let proceed = ''
  do {
    const response = await client.request({
      path,
      query: { limit: PAGE, continue: proceed === '' ? undefined : proceed },
      signal,
      timeoutMs: TIMEOUT_MS,
    })
    if (response.status !== 200) throw refused('policies', response)
    const metadata = isRecord(response.body) ? recordIn(response.body, 'metadata') : {}
    if (version === '') version = textIn(metadata, 'resourceVersion')
    items.push(...itemsOf(response.body))
    proceed = textIn(metadata, 'continue')
  } while (proceed !== '')
  return { items, version }
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

// A consistent list, page by page: all pages are of one moment, the first's. The reflector lists whole kinds with it, the
// barrier the Policies of one namespace.
import type { ApiClient, ApiRequest, ApiResponse } from './client.ts'
import { isRecord, listIn, recordIn, textIn } from './raw.ts'

/** What to list. */
export interface PagedList {
  readonly client: Pick<ApiClient, 'request'>
  /** Without limit and continue. */
  readonly request: ApiRequest
  readonly pageSize: number
  readonly onItems: (items: readonly unknown[]) => void
}

/** The version of a complete list, or the answer that was none. */
export type PagesResult =
  | { readonly complete: true; readonly version: string }
  | { readonly complete: false; readonly response: ApiResponse; readonly first: boolean }

const WITHOUT_VERSION = { resourceVersion: undefined, resourceVersionMatch: undefined }

/** Reads all pages. Rejects with ApiFailure where no answer came. */
export async function readPages({ client, request, pageSize, onItems }: PagedList): Promise<PagesResult> {
  let version = ''
  let proceed = ''
  for (let page = 0; ; page++) {
    // A token names its version itself, and the API server refuses both together.
    const place = proceed === '' ? request.query : { ...request.query, ...WITHOUT_VERSION, continue: proceed }
    const response = await client.request({ ...request, query: { ...place, limit: pageSize } })
    if (response.status !== 200) return { complete: false, response, first: page === 0 }
    const body = isRecord(response.body) ? response.body : {}
    if (page === 0) version = versionOf(response.body)
    onItems(listIn(body, 'items'))
    proceed = textIn(recordIn(body, 'metadata'), 'continue')
    if (proceed === '') return { complete: true, version }
  }
}

/** The resourceVersion of a list; '' where it has none. */
export function versionOf(body: unknown): string {
  return isRecord(body) ? textIn(recordIn(body, 'metadata'), 'resourceVersion') : ''
}

// What those who write to the API server need of a client: one JSON call, one answer. Types and names only.
// controller/sources/kubernetes/client.ts is one; lease, stores, the status writer, grants and the API's reviews take it.

/** A call. */
export interface ApiCall {
  /** Default GET. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Names in it are encoded by the caller. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: unknown
  /** Of the body. Default: application/json. */
  readonly contentType?: string
  /** Milliseconds for the whole answer. */
  readonly timeoutMs?: number
}

/** An answer, whatever its status. */
export interface ApiResult {
  readonly status: number
  /** Parsed JSON; undefined where there was none. */
  readonly body: unknown
  /** Milliseconds that the server asks us to wait, where it does. */
  readonly retryAfterMs: number | undefined
  /** The server's clock, milliseconds since the epoch, from its Date field. */
  readonly serverTime?: number | undefined
}

/** One API server. Rejects only where no answer came: whether the call was carried out is then unknown. */
export interface ApiCalls {
  request(call: ApiCall): Promise<ApiResult>
}

/** Media types of a PATCH body. */
export const PATCH_TYPES = {
  merge: 'application/merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

/** The field manager of everything that the controller writes. */
export const FIELD_MANAGER = 'atrium-controller'

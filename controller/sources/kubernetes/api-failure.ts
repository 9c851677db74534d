// Why a call to the API server brought no answer. Pure. The client throws it; whoever calls decides by `kind`.
// Messages hold hosts, paths and error codes, never a header, a token or a body.

/**
 * network: no connection, or it broke. timeout: no answer in time. aborted: the caller gave up. tooLarge: the answer is
 * larger than the caller takes. unreadable: no JSON. credentials: there is nothing to authenticate with.
 */
export type FailureKind = 'network' | 'timeout' | 'aborted' | 'tooLarge' | 'unreadable' | 'credentials'

/** A call without an answer. */
export class ApiFailure extends Error {
  readonly kind: FailureKind

  constructor(kind: FailureKind, message: string) {
    super(message)
    this.name = 'ApiFailure'
    this.kind = kind
  }
}

/** The code of a system or TLS error, as far as there is one. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  if ('code' in error && typeof error.code === 'string') return error.code
  return error.name
}

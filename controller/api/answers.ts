// What the API answers, as types: `/api/v1/…` gives one of these as JSON, and the command line prints it. Fields are only
// ever added within v1.

/** A dataplane pod as the replica that answered sees it. */
export interface PodLine {
  readonly name: string
  readonly uid: string
  readonly address: string
  /** current: it has the newest version. */
  readonly state: 'current' | 'behind' | 'unreachable'
  readonly version: string
  /** Why it could not be read, '' where it could. */
  readonly problem: string
  readonly ready: boolean
  readonly draining: boolean
}

/** A tenant in one line. */
export interface TenantLine {
  readonly tenant: string
  readonly ready: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly suspended: boolean
  readonly hosts: number
  readonly namespaces: number
  readonly routes: { readonly serving: number; readonly all: number }
}

/** Something that a person should look at. */
export interface AttentionLine {
  readonly tenant: string
  /** `Route acme/shop`. */
  readonly object: string
  readonly ready: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  /** RFC 3339, since when this replica has seen it so. */
  readonly since: string
}

/** GET /api/v1/status */
export interface StatusAnswer {
  readonly version: string
  readonly release: string
  /** The replica that answered, and the one that leads ('' for none). */
  readonly replica: string
  readonly leader: string
  readonly snapshot: {
    readonly version: string
    readonly endpointsRevision: string
    /** RFC 3339. */
    readonly compiledAt: string
    /** From the last change to the last pod, milliseconds; null where this replica has not published. */
    readonly activationMs: number | null
  }
  readonly pods: readonly PodLine[]
  readonly tenants: readonly TenantLine[]
  readonly attention: readonly AttentionLine[]
  /** Whole sentences: what is not complete in this answer, and what the source complains of. */
  readonly warnings: readonly string[]
}

/** Figures of one tenant over all pods that answered, since their start. */
export interface TopLine {
  readonly tenant: string
  readonly requests: Readonly<Record<string, number>>
  /** Of them, how many a limit refused: the answers 429. */
  readonly limited: number
  /** By the upper bound of their duration in milliseconds, `+Inf` the last. */
  readonly durations: Readonly<Record<string, number>>
  readonly bytesOut: number
  readonly activeRequests: number
  readonly connections: number
  readonly routes: number
  readonly endpoints: { readonly ready: number; readonly all: number }
}

/** GET /api/v1/top */
export interface TopAnswer {
  /** RFC 3339, of the reading. */
  readonly time: string
  readonly pods: { readonly answered: number; readonly all: number }
  /** Of the pods that answered, since their start: seconds of CPU, and threads that serve. Null for who sees one tenant. */
  readonly cpu: { readonly seconds: number; readonly workers: number } | null
  readonly tenants: readonly TopLine[]
  readonly warnings: readonly string[]
}

/** Body of every answer that is none of the above. */
export interface ApiProblem {
  readonly error: string
  readonly message: string
}

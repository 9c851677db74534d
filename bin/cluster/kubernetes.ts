// The cluster of a kubeconfig, for verbs: calls to its API server whose failures are exit codes, and the pods of a
// release. Everything that a verb reads of a cluster comes through here.
import type { ApiRequest, ApiResponse } from '../../controller/sources/kubernetes/client.ts'
import type { Credentials } from '../../controller/sources/kubernetes/access.ts'
import { CommandFailure, EXIT_CODES, usageFailure } from '../exit.ts'
import type { ServerFlags } from './flags.ts'

/** A cluster. */
export interface Kubernetes {
  readonly credentials: Credentials
  /** Resolves whatever the status is. Fails with 3 where nobody answers. */
  ask(request: ApiRequest): Promise<ApiResponse>
  /** The body of a 200. Fails with 3, 4, or what 404 means: undefined. */
  read(path: string, query?: ApiRequest['query']): Promise<unknown>
  /** The lines of a text that ends, such as a log; undefined where they cannot be had. */
  lines(path: string, query?: ApiRequest['query']): Promise<readonly string[] | undefined>
  close(): void
}

/** A pod of the release. */
export interface ReleasePod {
  readonly name: string
  readonly ready: boolean
  readonly address: string
  readonly version: string
}

/** Opens a cluster. Fails with 2 where there is no kubeconfig that can be used. */
export async function openKubernetes(
  flags: Pick<ServerFlags, 'kubeconfig' | 'context' | 'timeout'>,
): Promise<Kubernetes> {
  const { createApiClient } = await import('../../controller/sources/kubernetes/client.ts')
  const { loadCredentials } = await import('../../controller/sources/kubernetes/credentials.ts')
  const credentials = await loadCredentials({
    ...(flags.kubeconfig === undefined ? {} : { kubeconfig: flags.kubeconfig }),
    ...(flags.context === undefined ? {} : { context: flags.context }),
  }).catch((error: unknown) => {
    throw usageFailure(`${wordsOf(error)}.`)
  })
  const client = createApiClient({ credentials, userAgent: 'atrium-cli' })
  const ask = async (request: ApiRequest): Promise<ApiResponse> =>
    await client.request({ timeoutMs: flags.timeout, ...request }).catch((error: unknown) => {
      throw new CommandFailure(EXIT_CODES.unreachable, `the API server does not answer: ${wordsOf(error)}`)
    })
  return {
    credentials,
    ask,
    async read(path, query) {
      const { status, body } = await ask({ path, ...(query === undefined ? {} : { query }) })
      if (status === 200) return body
      if (status === 404) return undefined
      throw failureOf(status, path)
    },
    lines: (path, query) =>
      new Promise((resolve) => {
        const lines: string[] = []
        const asked = { path, timeoutMs: flags.timeout, ...(query === undefined ? {} : { query }) }
        client
          .watch({ ...asked, onLine: (line) => lines.push(line), onEnd: () => resolve(lines) })
          .then(({ open }) => {
            if (!open) resolve(undefined)
          })
          .catch(() => resolve(undefined))
      }),
    close: () => client.close(),
  }
}

/** What a status of the API server means for a person. */
export function failureOf(status: number, what: string): CommandFailure {
  if (status === 401) return new CommandFailure(EXIT_CODES.notAllowed, `the API server does not know you (${what})`)
  if (status === 403) return new CommandFailure(EXIT_CODES.notAllowed, `you may not: ${what}`)
  return new CommandFailure(EXIT_CODES.unreachable, `the API server answered ${status} (${what})`)
}

/** Pods of one half of the release that run and are not ending, ready ones first. */
export async function releasePods(
  kubernetes: Kubernetes,
  flags: Pick<ServerFlags, 'releaseNamespace'>,
  component: 'controller' | 'dataplane',
): Promise<readonly ReleasePod[]> {
  const labelSelector = `app.kubernetes.io/name=atrium,app.kubernetes.io/component=${component}`
  const list = Object(await kubernetes.read(`/api/v1/namespaces/${flags.releaseNamespace}/pods`, { labelSelector }))
  const items: readonly unknown[] = Array.isArray(list.items) ? list.items : []
  const pods = items.map((item): ReleasePod & { running: boolean } => {
    const { metadata, status } = Object(item)
    const { name, labels, deletionTimestamp } = Object(metadata)
    const { phase, podIP, conditions } = Object(status)
    const ready = (Array.isArray(conditions) ? conditions : []).some((each: unknown) => {
      return Object(each).type === 'Ready' && Object(each).status === 'True'
    })
    return {
      name: String(name),
      ready,
      running: phase === 'Running' && deletionTimestamp === undefined,
      address: typeof podIP === 'string' ? podIP : '',
      version: String(Object(labels)['app.kubernetes.io/version'] ?? ''),
    }
  })
  return pods.filter(({ running }) => running).sort((a, b) => Number(b.ready) - Number(a.ready))
}

/** An error in words, without its stack. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

// One request of `atrium curl`, with the cluster that it goes to. Types only.
import type { ServerFlags } from './flags.ts'

/** One request. */
export interface CurlRequest
  extends Pick<ServerFlags, 'kubeconfig' | 'context' | 'release' | 'releaseNamespace' | 'timeout'> {
  readonly url: URL
  readonly request?: string
  readonly header?: readonly { readonly name: string; readonly value: string }[]
  readonly data?: string
  readonly insecure?: boolean
  readonly fail?: boolean
  readonly pod?: string
  readonly cacert?: readonly string[]
}

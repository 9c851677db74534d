// Finds the credentials of this process as kubectl and the client libraries do: those of the pod, or a kubeconfig's.
// bin/ and the composition roots call it and hand the result to createApiClient.
import type { Credentials } from './access.ts'
import { readInCluster } from './in-cluster.ts'
import { readKubeconfig } from './kubeconfig.ts'

/** Which credentials to use. */
export interface CredentialsOptions {
  /** Path of a kubeconfig. Without: the service account where the process runs in a pod, else KUBECONFIG or ~/.kube/config. */
  readonly kubeconfig?: string
  /** Context of the kubeconfig. Default: its current one. */
  readonly context?: string
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Folder of the service account's files. */
  readonly serviceAccountFolder?: string
}

/** Finds credentials as kubectl and the client libraries do. Throws ApiFailure with one sentence where there are none. */
export async function loadCredentials(options: CredentialsOptions = {}): Promise<Credentials> {
  const environment = options.environment ?? process.env
  const host = environment['KUBERNETES_SERVICE_HOST']
  if (options.kubeconfig === undefined && host !== undefined && host !== '') {
    return readInCluster({
      host,
      port: Number(environment['KUBERNETES_SERVICE_PORT'] ?? 443),
      ...(options.serviceAccountFolder === undefined ? {} : { folder: options.serviceAccountFolder }),
    })
  }
  return readKubeconfig(options.kubeconfig, options.context, environment)
}

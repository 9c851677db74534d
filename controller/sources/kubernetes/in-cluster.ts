// Credentials of a pod: the files that the kubelet keeps fresh. Reads them again each minute and after a 401, because
// a projected token is replaced long before it ends. loadCredentials calls it.
import { join } from 'node:path'
import { Hidden } from '../../../model/hidden.ts'
import type { Access, Credentials } from './access.ts'
import { readText } from './credential-file.ts'
import { RenewedAccess } from './renewed-access.ts'

const FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount'
const READ_AGAIN_MS = 60_000

/** Where the API server is, from the environment of the pod. */
export interface InClusterOptions {
  readonly host: string
  readonly port: number
  readonly folder?: string
  /** Milliseconds after which the files are read again. Default: a minute. */
  readonly readAgainMs?: number
}

/** Reads the service account of this pod. Rejects with ApiFailure where its files are not there. */
export async function readInCluster(options: InClusterOptions): Promise<Credentials> {
  const folder = options.folder ?? FOLDER
  const read = async (): Promise<{ access: Access; until: number }> => {
    const [token, ca] = await Promise.all([readText(join(folder, 'token')), readText(join(folder, 'ca.crt'))])
    return {
      access: { ca, token: new Hidden(token.trim()) },
      until: performance.now() + (options.readAgainMs ?? READ_AGAIN_MS),
    }
  }
  const renewed = new RenewedAccess(read)
  await renewed.get()
  const namespace = await readText(join(folder, 'namespace')).catch(() => 'default')
  return {
    server: { host: options.host, port: options.port, path: '' },
    namespace: namespace.trim(),
    access: (refused) => renewed.get(refused),
  }
}

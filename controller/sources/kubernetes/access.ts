// How to reach an API server and who one is there. Types only. credentials.ts finds them, the client asks for access
// before each call, so what was rotated is in use at once.
import type { Hidden } from '../../../model/hidden.ts'

/** Where the API server is. */
export interface ApiServer {
  readonly host: string
  readonly port: number
  /** Path in front of every request; '' for most. */
  readonly path: string
  /** Name that the server's certificate must have, where it is not the host. */
  readonly serverName?: string
}

/** What one call authenticates with. Equal contents need not be the same object. */
export interface Access {
  /** Authorities that the server's certificate must come from, PEM; those of the system where absent. */
  readonly ca?: string
  readonly certificate?: string
  readonly key?: Hidden<string>
  readonly token?: Hidden<string>
}

/** Credentials that may change while in use. */
export interface Credentials {
  readonly server: ApiServer
  /** Namespace of the pod or of the kubeconfig's context. */
  readonly namespace: string
  /**
   * What to authenticate with now. `refused` is what a 401 answered: it is read anew, unless that has happened since.
   * Rejects with ApiFailure where nothing can be read.
   */
  access(refused?: Access): Promise<Access>
}

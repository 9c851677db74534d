// The one canonical request, as routing, policies, limits, the log and the upstream bytes read it. Pure data with the
// methods of Head. request-head.ts makes it from a checked head; nobody parses a header, path or host again.
import type { ClientIdentity, RequestHead } from '../../model/filter.ts'
import { FieldList } from './field-list.ts'
import type { BelievedHops } from './forwarded.ts'

/** A request as everything after the codec sees it. */
export class ReceivedRequest extends FieldList implements RequestHead {
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly path: string
  readonly query: string
  /** Port that the client wrote behind the host, null where it wrote none. */
  readonly hostPort: number | null
  readonly client: ClientIdentity
  /** What trusted hops said; null where the peer is none. */
  readonly hops: BelievedHops | null
  /** X-Request-ID of a trusted hop, '' for none. */
  readonly givenId: string

  constructor(identity: RequestIdentity, flat: string[], lower: string[]) {
    super(flat, lower)
    this.method = identity.method
    this.scheme = identity.scheme
    this.host = identity.host
    this.path = identity.path
    this.query = identity.query
    this.hostPort = identity.hostPort
    this.client = identity.client
    this.hops = identity.hops
    this.givenId = identity.givenId
  }

  /** Host with the port that the client wrote. */
  get authority(): string {
    return this.hostPort === null ? this.host : `${this.host}:${this.hostPort}`
  }

  /** The port that the client sees: the one it wrote, else its scheme's. */
  get visiblePort(): number {
    return this.hostPort ?? (this.scheme === 'https' ? 443 : 80)
  }
}

/** Everything but the fields. */
export type RequestIdentity = Pick<
  ReceivedRequest,
  'method' | 'scheme' | 'host' | 'path' | 'query' | 'hostPort' | 'client' | 'hops' | 'givenId'
>

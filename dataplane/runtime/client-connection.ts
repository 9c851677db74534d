// One client connection, whatever the codec: who is at the other end, and whose limits it counts in. Carriers make one
// for each socket and close it once; exchanges charge it to the tenants that it speaks for.
import type { AddressRanges } from '../../model/address.ts'
import type { ClientIdentity } from '../../model/filter.ts'
import type { ClientConnection, ConnectionTls } from './carrier.ts'
import { identityOfPeer } from './forwarded.ts'
import type { TenantState } from './pod-state.ts'

/** What a carrier knows when a connection stands. */
export interface ConnectionFacts {
  /** Address of the socket's other end, as the socket gives it. */
  readonly peerAddress: string
  readonly localPort: number
  readonly tls: ConnectionTls | null
  readonly trusted: AddressRanges
  /** Asked for each request on a TLS connection: its client certificate is no longer good. */
  readonly revoked?: () => boolean
}

/** See ClientConnection. */
export class Connection implements ClientConnection {
  readonly client: ClientIdentity
  readonly secure: boolean
  readonly tls: ConnectionTls | null
  readonly localPort: number
  readonly trustedHop: boolean
  readonly trusted: AddressRanges
  readonly #revoked: (() => boolean) | undefined
  #first: TenantState | undefined
  #others: Set<TenantState> | undefined
  #closed = false

  constructor(facts: ConnectionFacts) {
    this.client = identityOfPeer(facts.peerAddress)
    this.secure = facts.tls !== null
    this.tls = facts.tls
    this.localPort = facts.localPort
    this.trusted = facts.trusted
    this.trustedHop = facts.trusted.contains(this.client.bytes)
    this.#revoked = facts.revoked
  }

  revoked(): boolean {
    return this.#revoked?.() ?? false
  }

  charge(state: TenantState, bound: number | null): boolean {
    if (this.#first === state || this.#others?.has(state)) return true
    if (this.#closed || !state.connections.tryAcquire(bound)) return false
    if (this.#first === undefined) this.#first = state
    else {
      this.#others ??= new Set()
      this.#others.add(state)
    }
    return true
  }

  /** Gives all places back. Called by the carrier when the socket is gone; later charges fail. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#first?.connections.release()
    for (const state of this.#others ?? []) state.connections.release()
    this.#first = undefined
    this.#others = undefined
  }
}

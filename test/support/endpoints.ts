// Endpoints for tests of balancing and health: real pod state of one thread, clients that must not be asked.
import type { EndpointHandle } from '../../dataplane/build/program.ts'
import { createLocalState } from '../../dataplane/runtime/local-state.ts'
import type { EndpointClient } from '../../dataplane/runtime/upstream.ts'
import type { PoolId } from '../../model/snapshot.ts'

const POOL: PoolId = { tenant: 'acme', namespace: 'shop', service: 'api', port: 80, tls: '' }

/** A client that knows only whether it was closed. */
export class UnusedClient implements EndpointClient {
  readonly idle = 0
  readonly busy = 0
  closed = false

  send(): never {
    throw new Error('This client must not be asked.')
  }

  close(): void {
    this.closed = true
  }
}

/** `count` endpoints of one pool at 10.0.0.1 and on, in order. */
export function createEndpoints(count: number): EndpointHandle[] {
  const state = createLocalState().tenant('acme')
  return Array.from({ length: count }, (_, index) => {
    const address = `10.0.${Math.floor(index / 200)}.${(index % 200) + 1}`
    return {
      address,
      port: 8080,
      label: `${address}:8080`,
      state: state.endpoint(POOL, address, 8080),
      client: new UnusedClient(),
    }
  })
}

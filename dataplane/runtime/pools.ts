// The endpoints of this worker, by pool: one table that outlives every configuration. receive.ts updates it when the
// snapshot's pools change; build.ts takes a BackendProgram for each backend of a rule; the exchange picks and reports.
import type { Pool, PoolId, RoutePlan, WeightedBackend } from '../../model/snapshot.ts'
import { poolKey } from '../../model/snapshot.ts'
import type { BackendProgram, EndpointHandle } from '../build/program.ts'
import { createEndpointClient } from '../http1/client.ts'
import { TransferMemory } from '../http1/socket.ts'
import { type Balancer, compareEndpoints, createBalancer, type EndpointSet } from './balance.ts'
import { recordFailure, recordSuccess } from './health.ts'
import type { TenantState } from './pod-state.ts'
import type { EndpointClient } from './upstream.ts'

/** How a table makes clients, and where its randomness comes from. */
export interface PoolTableOptions {
  /** The client of one endpoint; the HTTP/1.1 client, with buffers shared by the whole table, where it is left out. */
  readonly createClient?: (address: string, port: number) => EndpointClient
  /** Numbers in [0, 1): where balancers begin. */
  readonly random?: () => number
}

/** See the head of this file. Keys are poolKey, so the tenant is part of every key. */
export class PoolTable {
  readonly #pools = new Map<string, LivePool>()
  readonly #createClient: (address: string, port: number) => EndpointClient
  readonly #random: () => number

  constructor(options: PoolTableOptions = {}) {
    const memory = new TransferMemory()
    this.#createClient = options.createClient ?? ((address, port) => createEndpointClient({ address, port, memory }))
    this.#random = options.random ?? Math.random
  }

  /**
   * Takes over these pools and forgets those whose poolKey is in `removed`. An endpoint that stays keeps its handle,
   * connections and state; one that leaves is closed after its requests.
   */
  update(pools: readonly Pool[], removed: readonly string[]): void {
    for (const pool of pools) this.#live(pool.id).replace(pool)
    for (const key of removed) {
      this.#pools.get(key)?.close()
      this.#pools.delete(key)
    }
  }

  /** A backend of a rule, ready to be asked. A pool that is not known (yet) has no endpoints. */
  backend(plan: WeightedBackend & { readonly pool: PoolId }, route: RoutePlan, state: TenantState): BackendProgram {
    return new PoolBackend(this, plan, route, createBalancer(route.balance, this.#random()), state)
  }

  /** The pool as it is now. A tenant's state gives it its counters when it is first asked for. */
  find(key: string, state: TenantState): LivePool | undefined {
    const pool = this.#pools.get(key)
    pool?.bind(state)
    return pool
  }

  /** Endpoints of a pool as numbers, for metrics and the admin listener. */
  count(id: PoolId, now: number): { readonly ready: number; readonly draining: number; readonly ejected: number } {
    const set = this.#pools.get(poolKey(id))?.endpoints ?? EMPTY
    const all = [...set.ready, ...set.draining]
    const ejected = all.filter((endpoint) => endpoint.state.ejectedUntil() > now).length
    return { ready: set.ready.length, draining: set.draining.length, ejected }
  }

  /** Closes all connections: idle ones at once, busy ones after their request. */
  close(): void {
    for (const pool of this.#pools.values()) pool.close()
    this.#pools.clear()
  }

  #live(id: PoolId): LivePool {
    const key = poolKey(id)
    const present = this.#pools.get(key)
    if (present !== undefined) return present
    const created = new LivePool(id, this.#createClient)
    this.#pools.set(key, created)
    return created
  }
}

const EMPTY: EndpointSet = { ready: [], draining: [] }

/** One pool and its handles. Handles exist from the moment that a tenant's state is known. */
class LivePool {
  endpoints: EndpointSet = EMPTY
  closed = false
  readonly #id: PoolId
  readonly #createClient: (address: string, port: number) => EndpointClient
  #plan: Pool | undefined
  #state: TenantState | undefined

  constructor(id: PoolId, createClient: (address: string, port: number) => EndpointClient) {
    this.#id = id
    this.#createClient = createClient
  }

  replace(plan: Pool): void {
    this.#plan = plan
    this.#rebuild()
  }

  bind(state: TenantState): void {
    if (this.#state === state) return
    const { ready, draining } = this.endpoints
    this.#state = state
    // Counters of another state object: new handles, the same connections.
    this.endpoints = EMPTY
    this.#rebuild(new Map([...ready, ...draining].map((endpoint) => [endpoint.label, endpoint.client])))
  }

  close(): void {
    this.closed = true
    for (const endpoint of [...this.endpoints.ready, ...this.endpoints.draining]) endpoint.client.close()
    this.endpoints = EMPTY
  }

  /** `clients`: connections to take over where there is no handle yet. */
  #rebuild(clients: ReadonlyMap<string, EndpointClient> = new Map()): void {
    const state = this.#state
    if (state === undefined || this.#plan === undefined) return
    const present = new Map<string, EndpointHandle>()
    for (const endpoint of [...this.endpoints.ready, ...this.endpoints.draining]) present.set(endpoint.label, endpoint)
    const ready: EndpointHandle[] = []
    const draining: EndpointHandle[] = []
    for (const plan of [...this.#plan.endpoints].sort(compareEndpoints)) {
      const label = endpointLabel(plan.address, plan.port)
      const handle = present.get(label) ?? {
        address: plan.address,
        port: plan.port,
        label,
        state: state.endpoint(this.#id, plan.address, plan.port),
        client: clients.get(label) ?? this.#createClient(plan.address, plan.port),
      }
      present.delete(label)
      if (plan.state === 'ready') ready.push(handle)
      else draining.push(handle)
    }
    this.endpoints = { ready, draining }
    for (const gone of present.values()) gone.client.close()
  }
}

/** A backend of one rule. It finds its pool again where that was removed and came back. */
class PoolBackend implements BackendProgram {
  readonly service: BackendProgram['service']
  readonly #table: PoolTable
  readonly #key: string
  readonly #settings: RoutePlan['passiveHealth']
  readonly #balancer: Balancer
  readonly #state: TenantState
  #pool: LivePool | undefined

  constructor(
    table: PoolTable,
    plan: WeightedBackend & { readonly pool: PoolId },
    route: RoutePlan,
    balancer: Balancer,
    state: TenantState,
  ) {
    this.service = plan.service
    this.#table = table
    this.#key = poolKey(plan.pool)
    this.#settings = route.passiveHealth
    this.#balancer = balancer
    this.#state = state
    this.#pool = table.find(this.#key, state)
  }

  pick(tried: readonly EndpointHandle[], now: number): EndpointHandle | undefined {
    return this.#balancer.pick(this.#endpoints(), tried, now)
  }

  report(endpoint: EndpointHandle, failed: boolean, now: number): void {
    if (!failed) {
      recordSuccess(endpoint.state, now)
      return
    }
    const { ready, draining } = this.#endpoints()
    recordFailure(endpoint.state, ready.includes(endpoint) ? ready : draining, this.#settings, now)
  }

  #endpoints(): EndpointSet {
    if (this.#pool === undefined || this.#pool.closed) this.#pool = this.#table.find(this.#key, this.#state)
    return this.#pool?.endpoints ?? EMPTY
  }
}

function endpointLabel(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

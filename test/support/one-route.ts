// A program with one tenant and one route, built by the real builder over endpoints that the test plays. For tests of
// the exchange and the carriers, which are not about routing.
import { buildTenant } from '../../dataplane/build/build.ts'
import type { Filters } from '../../dataplane/build/chain.ts'
import { HostTable } from '../../dataplane/build/host-table.ts'
import type { BackendProgram, EndpointHandle } from '../../dataplane/build/program.ts'
import { createLocalState } from '../../dataplane/runtime/local-state.ts'
import type { EndpointClient } from '../../dataplane/runtime/upstream.ts'
import type { HostTls, RoutePlan, TenantLimits, TenantShard } from '../../model/snapshot.ts'
import { createTestContext, type TestContext } from './serve-context.ts'

/** What may differ from a plain route of tenant acme at app.test. */
export interface OneRoute {
  readonly plan?: Partial<RoutePlan>
  readonly limits?: Partial<TenantLimits>
  readonly tls?: HostTls | null
  readonly suspended?: boolean
  readonly filters?: Filters
  readonly clock?: () => number
}

/** Reports of passive health: endpoint and whether it failed. */
export interface OneRouteContext extends TestContext {
  readonly reports: { readonly label: string; readonly failed: boolean }[]
}

const POOL = { tenant: 'acme', namespace: 'acme-prod', service: 'web', port: 80, tls: '' } as const
const SERVICE = { namespace: 'acme-prod', name: 'web', port: '80' } as const

/** A context whose only route leads to `clients`, asked in their order. */
export function oneRoute(clients: readonly EndpointClient[], options: OneRoute = {}): OneRouteContext {
  const state = createLocalState(options.clock === undefined ? {} : { clock: options.clock })
  const reports: { label: string; failed: boolean }[] = []
  const endpoints: EndpointHandle[] = clients.map((client, index) => {
    const address = `10.0.0.${index + 1}`
    return {
      address,
      port: 8080,
      label: `${address}:8080`,
      state: state.tenant('acme').endpoint(POOL, address, 8080),
      client,
    }
  })
  const backend: BackendProgram = {
    service: SERVICE,
    pick: (tried) => endpoints.find((endpoint) => !tried.includes(endpoint)),
    report: (endpoint, failed) => void reports.push({ label: endpoint.label, failed }),
  }
  const hosts = new HostTable()
  hosts.replace(
    'acme',
    buildTenant(shardOf(options), { state, pools: { backend: () => backend }, filters: options.filters ?? {} }),
  )
  return Object.assign(createTestContext(hosts, state), { reports })
}

function shardOf(options: OneRoute): TenantShard {
  const id = { tenant: 'acme', namespace: 'acme-prod', route: 'web', rule: 0, ruleName: '' }
  return {
    tenant: 'acme',
    hash: 'test',
    suspended: options.suspended ?? false,
    limits: { requests: null, concurrency: null, connections: null, bodySize: 10_485_760, ...options.limits },
    hosts: [
      {
        host: 'app.test',
        tls: options.tls ?? null,
        matches: [
          {
            path: { type: 'PathPrefix', value: '/' },
            method: null,
            headers: [],
            queryParams: [],
            route: 0,
            index: 0,
          },
        ],
      },
    ],
    routes: [
      {
        id,
        action: { type: 'forward', backends: [{ weight: 1, pool: POOL, service: SERVICE }] },
        rewrite: null,
        requestHeaders: null,
        responseHeaders: null,
        filters: [],
        balance: 'LeastConnections',
        timeouts: { request: null, backendRequest: 10_000, connect: 1_000, idle: 60_000 },
        retry: { attempts: 2, onConnectFailure: true, backoff: 0 },
        passiveHealth: { consecutiveFailures: 5, ejectFor: 10_000, maxEjectedPercent: 50 },
        ...options.plan,
      },
    ],
    certificates: new Map(),
    authorities: new Map(),
  }
}

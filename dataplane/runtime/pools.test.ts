// The table of pools: identity over updates, pools that come late, leave and come back, health reported through it.
import { describe, expect, it } from 'vitest'
import { type Endpoint, type Pool, type PoolId, poolKey, type RoutePlan } from '../../model/snapshot.ts'
import { UnusedClient } from '../../test/support/endpoints.ts'
import type { EndpointHandle } from '../build/program.ts'
import { createLocalState } from './local-state.ts'
import { PoolTable } from './pools.ts'

const ID: PoolId = { tenant: 'acme', namespace: 'shop', service: 'api', port: 80, tls: '' }

const pool = (id: PoolId, addresses: readonly string[], state: Endpoint['state'] = 'ready'): Pool => ({
  id,
  hash: addresses.join(),
  endpoints: addresses.map((address) => ({ address, port: 8080, zone: '', state })),
})

const route: RoutePlan = {
  id: { tenant: 'acme', namespace: 'shop', route: 'web', rule: 0, ruleName: '' },
  action: { type: 'forward', backends: [] },
  rewrite: null,
  requestHeaders: null,
  responseHeaders: null,
  filters: [],
  balance: 'RoundRobin',
  timeouts: { request: null, backendRequest: 1000, connect: 1000, idle: 1000 },
  retry: { attempts: 0, onConnectFailure: true, backoff: 0 },
  passiveHealth: { consecutiveFailures: 2, ejectFor: 100, maxEjectedPercent: 50 },
}

const plan = { weight: 1, pool: ID, service: { namespace: 'shop', name: 'api', port: '80' } }

function setup() {
  const clients = new Map<string, UnusedClient>()
  const table = new PoolTable({
    random: () => 0,
    createClient: (address) => {
      const client = new UnusedClient()
      clients.set(address, client)
      return client
    },
  })
  return { table, clients, tenant: createLocalState().tenant('acme') }
}

describe('PoolTable', () => {
  it('is empty for a pool that it does not know, and serves it from the moment it comes', () => {
    const { table, tenant } = setup()
    const backend = table.backend(plan, route, tenant)
    expect(backend.pick([], 0)).toBeUndefined()
    table.update([pool(ID, ['10.0.0.1'])], [])
    expect(backend.pick([], 0)?.label).toBe('10.0.0.1:8080')
    table.update([], [poolKey(ID)])
    expect(backend.pick([], 0)).toBeUndefined()
    table.update([pool(ID, ['10.0.0.2'])], [])
    expect(backend.pick([], 0)?.label).toBe('10.0.0.2:8080')
  })

  it('keeps handles of endpoints that stay, closes those that leave, over any number of rules', () => {
    const { table, clients, tenant } = setup()
    table.update([pool(ID, ['10.0.0.1', '10.0.0.2'])], [])
    const first = table.backend(plan, route, tenant)
    const second = table.backend(plan, { ...route, balance: 'LeastConnections' }, tenant)
    const before = new Set([first.pick([], 0), first.pick([], 0)])
    table.update([pool(ID, ['10.0.0.3', '10.0.0.2'])], [])
    const after = new Set([second.pick([], 0), second.pick([], 0)])
    const kept = [...before].filter((endpoint) => after.has(endpoint))
    expect(kept.map((endpoint) => endpoint?.label)).toEqual(['10.0.0.2:8080'])
    expect(clients.get('10.0.0.1')?.closed).toBe(true)
    expect(clients.get('10.0.0.2')?.closed).toBe(false)
    table.close()
    expect(clients.get('10.0.0.2')?.closed).toBe(true)
  })

  it('moves an endpoint from ready to draining without a new handle', () => {
    const { table, tenant } = setup()
    table.update([pool(ID, ['10.0.0.1'])], [])
    const backend = table.backend(plan, route, tenant)
    const before = backend.pick([], 0)
    table.update([pool(ID, ['10.0.0.1'], 'draining')], [])
    expect(backend.pick([], 0)).toBe(before)
    expect(table.count(ID, 0)).toEqual({ ready: 0, draining: 1, ejected: 0 })
  })

  it('keeps tenants apart whose parts would join to the same text', () => {
    const { table } = setup()
    const state = createLocalState()
    const other: PoolId = { ...ID, tenant: 'acm', namespace: 'eshop' }
    table.update([pool(ID, ['10.0.0.1']), pool(other, ['10.0.0.9'])], [])
    const mine = table.backend(plan, route, state.tenant('acme'))
    const theirs = table.backend({ ...plan, pool: other }, route, state.tenant('acm'))
    expect(mine.pick([], 0)?.address).toBe('10.0.0.1')
    expect(theirs.pick([], 0)?.address).toBe('10.0.0.9')
    expect(mine.pick([mine.pick([], 0) as EndpointHandle], 0)).toBeUndefined()
  })

  it('ejects by what is reported, at most the share, and shows it', () => {
    const { table, tenant } = setup()
    table.update([pool(ID, ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'])], [])
    const backend = table.backend(plan, route, tenant)
    const all = [1, 2, 3, 4].map(() => backend.pick([], 0) as EndpointHandle)
    for (const endpoint of all) {
      backend.report(endpoint, true, 0)
      backend.report(endpoint, true, 0)
    }
    expect(table.count(ID, 50)).toEqual({ ready: 4, draining: 0, ejected: 2 })
    const picked = new Set(Array.from({ length: 12 }, () => backend.pick([], 50)))
    expect(picked).toEqual(new Set(all.slice(2)))
    backend.report(all[0] as EndpointHandle, false, 200)
    expect(table.count(ID, 200).ejected).toBe(0)
  })

  it('writes IPv6 endpoints in brackets', () => {
    const { table, tenant } = setup()
    table.update([pool(ID, ['fd00::1'])], [])
    expect(table.backend(plan, route, tenant).pick([], 0)?.label).toBe('[fd00::1]:8080')
  })
})

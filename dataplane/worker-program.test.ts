import { expect, it } from 'vitest'
import type { TenantShard } from '../model/snapshot.ts'
import { FILTERS } from '../policies/filters.ts'
import { makeHost, makeMatch, makeRoute, makeShard } from '../test/support/shard.ts'
import { createAllocator } from '../test/support/shared-state.ts'
import { HostTable } from './build/host-table.ts'
import { LeaseRegistry } from './runtime/leases.ts'
import { PoolTable } from './runtime/pools.ts'
import { SharedState } from './runtime/shared-state.ts'
import { TlsTable } from './tls/tls-table.ts'
import { packShard } from './worker-messages.ts'
import { WorkerProgram } from './worker-program.ts'

/** A program over state that has granted what this shard needs. */
function setUp(shard: TenantShard) {
  const now = () => performance.now()
  const allocator = createAllocator({ workers: 1, now })
  const state = new SharedState(allocator.root, 0)
  const leases = new LeaseRegistry(now)
  leases.stop()
  const hosts = new HostTable()
  const tables = { state, leases, hosts, pools: new PoolTable(), tls: new TlsTable(), filters: FILTERS }
  allocator.grantTenant(shard, [], 0)
  return {
    program: new WorkerProgram(tables),
    hosts,
    item: { tenant: shard.tenant, shard: packShard(shard), change: null, grant: allocator.tenantGrant(shard) },
  }
}

it('lets requests through while it compiles a tenant’s patterns, however many those are', async () => {
  const patterns = Array.from({ length: 300 }, (_, index) => `/${index}/\\pL{300}`)
  const matches = patterns.map((value, index) => makeMatch({ type: 'RegularExpression', value }, { index }))
  const { program, hosts, item } = setUp(
    makeShard('acme', { hosts: [makeHost('a.test', { matches })], routes: [makeRoute('acme', 'web')] }),
  )
  let turns = 0
  const turn = () => {
    turns += 1
    if (!done) setImmediate(turn)
  }
  let done = false
  setImmediate(turn)
  expect(await program.prepare([], [item])).toEqual([])
  done = true
  // Each pattern takes about a slice.
  expect(turns).toBeGreaterThan(10)
  await program.commit([], { tenants: [], pools: [] })
  expect(hosts.lookup('a.test')).toBeDefined()
})

// Reads the shared memory of all workers into totals: one look at everything, taken in slices so that no loop stands
// still. metrics.ts writes the text from it, admin.ts the status. Reads only.
import { tupleKey } from '../../model/resources.ts'
import type { EndpointRecord, RouteRecord, StateAllocator, TenantRecord } from './shared-state-allocator.ts'
import {
  CODE_CLASSES,
  concurrencyPlaces,
  connectionPlaces,
  ENDPOINT_EJECTED,
  LIMITER_CELL,
  LIMITER_OVERFLOWS,
  POD_COLUMN,
  ROUTE_COLUMN,
} from './shared-state-layout.ts'
import { createRule, toTicks, usage } from './gcra.ts'
import type { Views } from './shared-state-metrics.ts'

/** A tenant's column, all workers added up, in the places of the layout's TenantColumn. */
export type TenantTotals = Float64Array

/** Adds a tenant's columns up. */
export function totalsOf(state: StateAllocator, root: Views): TenantTotals {
  const { column, metricsAt, workers } = state.layout
  const totals = new Float64Array(column.words)
  for (let worker = 0; worker < workers; worker++) {
    const at = metricsAt + worker * column.words
    for (let word = 0; word < column.words; word++) totals[word] = (totals[word] ?? 0) + (root.doubles[at + word] ?? 0)
  }
  return totals
}

/** Adds the columns of the pod up, in the places of POD_COLUMN. Gauges of single workers are read with `podValue`. */
export function podTotals(state: StateAllocator): Float64Array {
  const totals = new Float64Array(POD_COLUMN.words)
  for (let worker = 0; worker < state.layout.workers; worker++) {
    for (let word = 0; word < POD_COLUMN.words; word++)
      totals[word] = (totals[word] ?? 0) + podValue(state, worker, word)
  }
  return totals
}

/** One worker's word of the pod's column. */
export function podValue(state: StateAllocator, worker: number, word: number): number {
  return state.pod.doubles[state.layout.podColumnsAt + worker * POD_COLUMN.words + word] ?? 0
}

/** A route's requests by class, and the sum of durations in milliseconds. */
export function routeTotals(state: StateAllocator, record: TenantRecord, route: RouteRecord): Float64Array {
  const totals = new Float64Array(ROUTE_COLUMN)
  const { doubles } = record.memory.views(route.slot)
  for (let worker = 0; worker < state.layout.workers; worker++) {
    const at = route.slot.at + 1 + worker * ROUTE_COLUMN
    for (let word = 0; word < ROUTE_COLUMN; word++) totals[word] = (totals[word] ?? 0) + (doubles[at + word] ?? 0)
  }
  return totals
}

/** Requests in totals that begin with the classes. */
export function countOf(totals: Float64Array): number {
  let count = 0
  for (let place = 0; place < CODE_CLASSES.length; place++) count += totals[place] ?? 0
  return count
}

/** Places that a tenant holds now. */
export function heldBy(record: TenantRecord): { readonly concurrency: number; readonly connections: number } {
  const { words } = record.memory.root
  return {
    concurrency: Atomics.load(words, concurrencyPlaces(0).total),
    connections: Atomics.load(words, connectionPlaces(0).total),
  }
}

/** Requests that met a full key table. */
export function overflowsOf(record: TenantRecord): number {
  let overflows = 0
  for (const { slot } of record.limiters.values()) {
    overflows += Atomics.load(record.memory.views(slot).words, slot.at * 2 + LIMITER_OVERFLOWS)
  }
  return overflows
}

/** How much of each of the tenant's own limits is used, 0 to 1; limits that it has not are absent. */
export function usageOf(record: TenantRecord, now: number): ReadonlyMap<string, number> {
  const shares = new Map<string, number>()
  const limits = record.shard?.limits
  if (limits === undefined) return shares
  const held = heldBy(record)
  if (limits.requests !== null) {
    const limiter = [...record.limiters.values()].find(({ id }) => id.origin[0] === 'Tenant')
    if (limiter !== undefined) {
      const { longs } = record.memory.views(limiter.slot)
      const arrival = Atomics.load(longs, limiter.slot.at + LIMITER_CELL)
      shares.set('requests', usage(createRule(limits.requests), arrival, toTicks(now)))
    }
  }
  if (limits.concurrency !== null) shares.set('concurrency', held.concurrency / limits.concurrency)
  if (limits.connections !== null) shares.set('connections', held.connections / limits.connections)
  return shares
}

/** When an endpoint's ejection ends, in the pod's milliseconds; 0 where it is not ejected. */
export function ejectedUntil(state: StateAllocator, record: TenantRecord, endpoint: EndpointRecord): number {
  const { words, longs } = record.memory.views(endpoint.slot)
  if (Atomics.load(words, endpoint.slot.at * 2 + ENDPOINT_EJECTED) === 0) return 0
  return Number(Atomics.load(longs, endpoint.slot.at + state.layout.ejectedUntilAt))
}

/** A tenant's endpoints by state, over all its pools. */
export function endpointsOf(
  state: StateAllocator,
  record: TenantRecord,
  now: number,
): { ready: number; ejected: number; draining: number } {
  const counts = { ready: 0, ejected: 0, draining: 0 }
  for (const { pool, endpoints } of record.pools.values()) {
    for (const { address, port, state: planned } of pool.endpoints) {
      const endpoint = endpoints.get(tupleKey([address, String(port)]))
      if (endpoint === undefined || endpoint.slot.releasedAt !== undefined) continue
      if (ejectedUntil(state, record, endpoint) > now) counts.ejected++
      else counts[planned]++
    }
  }
  return counts
}

// What the main thread repairs in the shared state: the share of a dead worker, the one instruction in which a thread
// can die between total and column, and places that nothing names any more. main.ts calls these; they touch no socket.
import type { EndpointRecord, StateAllocator, TenantRecord } from './shared-state-allocator.ts'
import {
  concurrencyPlaces,
  connectionPlaces,
  ENDPOINT_COLUMNS,
  ENDPOINT_TOTAL,
  type Layout,
  POD_COLUMN,
  POD_LOG_BYTES,
} from './shared-state-layout.ts'

/** State that nothing names is kept this long, in case an edit brings it back. Milliseconds. */
export const GRACE = 300_000

/** A total and its columns, as 32-bit words. */
interface CountPlaces {
  readonly words: Int32Array
  readonly total: number
  readonly columns: readonly number[]
}

/**
 * Gives back everything that a worker held: called once the thread has ended and before another takes its column.
 * Its counters stay; its gauges are zeroed.
 */
export function giveBack(state: StateAllocator, worker: number): void {
  for (const count of countsOf(state)) {
    const column = count.columns[worker]
    if (column === undefined) continue
    const held = Atomics.exchange(count.words, column, 0)
    if (held !== 0) Atomics.sub(count.words, count.total, held)
  }
  const { layout } = state
  for (const { memory } of state.tenants.values()) {
    memory.root.doubles[layout.metricsAt + worker * layout.column.words + layout.column.active] = 0
  }
  state.unowned.doubles[layout.metricsAt + worker * layout.column.words + layout.column.active] = 0
  const pod = layout.podColumnsAt + worker * POD_COLUMN.words
  for (let connections = 0; connections < 4; connections++)
    state.pod.doubles[pod + POD_COLUMN.connections + connections] = 0
  state.pod.doubles[pod + POD_COLUMN.loopLag] = 0
  state.pod.doubles[pod + POD_COLUMN.heapUsed] = 0
  // What was on its way when the thread ended never arrives.
  Atomics.store(state.pod.words, POD_LOG_BYTES + worker, 0)
}

/** Differences of totals and columns, and claims in key tables, as one look at them found. */
export interface Sample {
  readonly counts: ReadonlyMap<Int32Array, ReadonlyMap<number, number>>
  readonly claims: ReadonlyMap<SharedArrayBuffer, ReadonlyMap<number, bigint>>
}

/**
 * One look at all counts. Totals that differ from their columns are threads between two instructions, or a thread that
 * died there. `reconcile` tells them apart by a second look a second later.
 */
export function takeSample(state: StateAllocator): Sample {
  const counts = new Map<Int32Array, Map<number, number>>()
  for (const count of countsOf(state)) {
    const difference = differenceOf(count)
    if (difference === 0) continue
    const found = counts.get(count.words) ?? new Map<number, number>()
    found.set(count.total, difference)
    counts.set(count.words, found)
  }
  const claims = new Map<SharedArrayBuffer, Map<number, bigint>>()
  for (const record of state.tenants.values()) {
    for (const { slot } of record.limiters.values()) {
      const buffer = record.memory.arenas[slot.arena]?.buffer
      if (buffer === undefined) continue
      for (const [entry, claim] of record.memory.table(slot)?.claims() ?? []) {
        const found = claims.get(buffer) ?? new Map<number, bigint>()
        found.set(entry, claim)
        claims.set(buffer, found)
      }
    }
  }
  return { counts, claims }
}

/**
 * Repairs what two looks, a second apart, agree on. Returns how many repairs were made. Call it only after a worker has
 * died: nothing else can leave a difference.
 */
export function reconcile(state: StateAllocator, before: Sample): number {
  let repairs = 0
  for (const count of countsOf(state)) {
    const suspected = before.counts.get(count.words)?.get(count.total)
    if (suspected === undefined || differenceOf(count) !== suspected) continue
    Atomics.sub(count.words, count.total, suspected)
    repairs++
  }
  for (const record of state.tenants.values()) {
    for (const { slot } of record.limiters.values()) {
      const buffer = record.memory.arenas[slot.arena]?.buffer
      const suspected = buffer === undefined ? undefined : before.claims.get(buffer)
      if (suspected === undefined) continue
      const table = record.memory.table(slot)
      for (const [entry, claim] of table?.claims() ?? []) {
        if (suspected.get(entry) !== claim) continue
        table?.releaseClaim(entry, claim)
        repairs++
      }
    }
  }
  return repairs
}

/**
 * Takes back what has not been named for the grace period and is not in use. Returns the tenants whose whole state is
 * gone: workers forget them.
 */
export function sweep(
  state: StateAllocator,
  now: number,
  leaving: {
    /** A route's counters are about to be lost. */
    route(record: TenantRecord, key: string): void
    /** All of a tenant's are. */
    tenant(record: TenantRecord): void
  },
  grace: number = GRACE,
): readonly string[] {
  const over = (releasedAt: number | undefined) => releasedAt !== undefined && now - releasedAt >= grace
  const gone: string[] = []
  for (const [name, record] of state.tenants) {
    if (over(record.releasedAt)) {
      const { words } = record.memory.root
      const idle =
        Atomics.load(words, concurrencyPlaces(0).total) === 0 && Atomics.load(words, connectionPlaces(0).total) === 0
      if (idle) {
        leaving.tenant(record)
        state.tenants.delete(name)
        gone.push(name)
      }
      continue
    }
    for (const [key, { slot }] of record.routes) {
      if (!over(slot.releasedAt)) continue
      leaving.route(record, key)
      record.routes.delete(key)
      record.memory.takeBack(slot, now)
    }
    for (const [key, { slot }] of record.limiters) {
      if (!over(slot.releasedAt)) continue
      record.limiters.delete(key)
      record.memory.takeBack(slot, now)
    }
    for (const [key, { endpoints }] of record.pools) {
      for (const [endpointKey, endpoint] of endpoints) {
        if (!over(endpoint.slot.releasedAt) || inFlight(record, endpoint) !== 0) continue
        endpoints.delete(endpointKey)
        record.memory.takeBack(endpoint.slot, now)
      }
      if (endpoints.size === 0) record.pools.delete(key)
    }
  }
  return gone
}

/** Requests in flight at an endpoint, over all workers. */
export function inFlight(record: TenantRecord, endpoint: EndpointRecord): number {
  return Atomics.load(record.memory.views(endpoint.slot).words, endpoint.slot.at * 2 + ENDPOINT_TOTAL)
}

function* countsOf(state: StateAllocator): Generator<CountPlaces> {
  const { layout } = state
  for (const record of state.tenants.values()) {
    const { words } = record.memory.root
    yield { words, total: concurrencyPlaces(0).total, columns: columnsOf(layout, (w) => concurrencyPlaces(w).column) }
    yield { words, total: connectionPlaces(0).total, columns: columnsOf(layout, (w) => connectionPlaces(w).column) }
    for (const { endpoints } of record.pools.values()) {
      for (const { slot } of endpoints.values()) {
        const at = slot.at * 2
        yield {
          words: record.memory.views(slot).words,
          total: at + ENDPOINT_TOTAL,
          columns: columnsOf(layout, (w) => at + ENDPOINT_COLUMNS + w),
        }
      }
    }
  }
}

function columnsOf(layout: Layout, place: (worker: number) => number): readonly number[] {
  return Array.from({ length: layout.workers }, (_, worker) => place(worker))
}

function differenceOf(count: CountPlaces): number {
  let columns = 0
  for (const column of count.columns) columns += Atomics.load(count.words, column)
  return Atomics.load(count.words, count.total) - columns
}

// Which tenants are shown in full and which routes by name, so that a pod shows about as many series as it may. Who has
// a place keeps it; places are dealt anew once an hour, by requests. metrics.ts asks before each exposition.
import type { RouteRecord, StateAllocator, TenantRecord } from './shared-state-allocator.ts'
import { CODE_CLASSES, ROUTE_COLUMN } from './shared-state-layout.ts'
import { countOf, routeTotals, totalsOf } from './metrics-totals.ts'

/** The formula of ux conventions 5.3. */
const POD_SERIES = 200
const LEAN_SERIES = 12
const FULL_SERIES = 48
const ROUTE_SERIES = CODE_CLASSES.length + 1
const FULL_TENANTS = 10
const HOUR = 3_600_000

/** A route that is shown by name. What it counted before it got the place stays in `_other`. */
interface KeptRoute {
  readonly record: TenantRecord
  readonly route: RouteRecord
  readonly base: Float64Array
}

/** A route by name, with what it counted since it has its place. */
export interface ShownRoute {
  readonly route: RouteRecord
  readonly totals: Float64Array
}

/** See the head of this file. */
export class SeriesBudget {
  /** Series of routes that were folded into `_other`. */
  dropped = 0
  readonly #state: StateAllocator
  readonly #budget: number
  readonly #full = new Set<string>()
  #requestsBefore = new Map<string, number>()
  readonly #kept = new Map<RouteRecord, KeptRoute>()
  readonly #folded = new Set<RouteRecord>()
  /** Of routes that exist no longer, so that `_other` never goes down. */
  readonly #retired = new Float64Array(ROUTE_COLUMN)
  #dealtAt: number | undefined

  constructor(state: StateAllocator, budget = 2_000) {
    this.#state = state
    this.#budget = budget
  }

  /** Series that may be shown. */
  get limit(): number {
    return this.#budget
  }

  isFull(tenant: string): boolean {
    return this.#full.has(tenant)
  }

  /** Deals places: open ones at any time, taken ones once an hour. `pause` is awaited between pieces of work. */
  async deal(now: number, pause: () => Promise<void>): Promise<void> {
    const again = this.#dealtAt === undefined || now - this.#dealtAt >= HOUR
    await this.#dealTenants(again, pause)
    await this.#dealRoutes(again, pause)
    if (again) this.#dealtAt = now
  }

  /** Routes by name, and everything else in one. */
  async routes(
    pause: () => Promise<void>,
  ): Promise<{ readonly shown: readonly ShownRoute[]; readonly other: Float64Array }> {
    const shown: ShownRoute[] = []
    const other = Float64Array.from(this.#retired)
    for (const record of this.#state.tenants.values()) {
      for (const route of record.routes.values()) {
        const totals = routeTotals(this.#state, record, route)
        const kept = this.#kept.get(route)
        if (kept === undefined) {
          add(other, totals, 1)
          this.#noteFolded(route)
        } else {
          add(other, kept.base, 1)
          add(totals, kept.base, -1)
          shown.push({ route, totals })
        }
      }
      await pause()
    }
    return { shown, other }
  }

  #noteFolded(route: RouteRecord): void {
    if (this.#folded.has(route)) return
    this.#folded.add(route)
    this.dropped += ROUTE_SERIES
  }

  /** A route's place in memory goes to something else: what it counted is kept in `_other`. */
  retire(record: TenantRecord, key: string): void {
    const route = record.routes.get(key)
    if (route === undefined) return
    const kept = this.#kept.get(route)
    // What was shown by name ends with the name; the rest has been in `_other` and must stay there.
    add(this.#retired, kept === undefined ? routeTotals(this.#state, record, route) : kept.base, 1)
    this.#kept.delete(route)
    this.#folded.delete(route)
  }

  /** A whole tenant's state is gone. */
  retireTenant(record: TenantRecord): void {
    for (const key of record.routes.keys()) this.retire(record, key)
    this.#full.delete(record.tenant)
  }

  async #dealTenants(again: boolean, pause: () => Promise<void>): Promise<void> {
    for (const tenant of this.#full) if (!this.#state.tenants.has(tenant)) this.#full.delete(tenant)
    const open = FULL_TENANTS - this.#full.size
    if (!again && (open === 0 || this.#state.tenants.size === this.#full.size)) return
    const requests = new Map<string, number>()
    for (const record of this.#state.tenants.values()) {
      requests.set(record.tenant, countOf(totalsOf(this.#state, record.memory.root)))
      await pause()
    }
    const busiest = [...requests]
      .map(([tenant, count]) => ({ tenant, count: count - (this.#requestsBefore.get(tenant) ?? 0) }))
      .sort((a, b) => b.count - a.count)
    if (again) {
      // A place is lost only to somebody clearly busier, or the series would flap.
      const safe = new Set(busiest.slice(0, FULL_TENANTS * 2).map(({ tenant }) => tenant))
      for (const tenant of this.#full) if (!safe.has(tenant)) this.#full.delete(tenant)
      this.#requestsBefore = requests
    }
    for (const { tenant } of busiest) {
      if (this.#full.size >= FULL_TENANTS) break
      this.#full.add(tenant)
    }
  }

  async #dealRoutes(again: boolean, pause: () => Promise<void>): Promise<void> {
    const places = this.#routePlaces()
    let routes = 0
    for (const record of this.#state.tenants.values()) routes += record.routes.size
    if (routes <= places) {
      for (const record of this.#state.tenants.values()) {
        for (const route of record.routes.values()) this.#keep(record, route)
        await pause()
      }
      return
    }
    if (!again && this.#kept.size >= places) {
      this.#evict(places)
      return
    }
    const ranked: { record: TenantRecord; route: RouteRecord; count: number }[] = []
    for (const record of this.#state.tenants.values()) {
      for (const route of record.routes.values()) {
        ranked.push({ record, route, count: countOf(routeTotals(this.#state, record, route)) })
      }
      await pause()
    }
    ranked.sort((a, b) => b.count - a.count)
    if (again) {
      const safe = new Set(ranked.slice(0, places * 2).map(({ route }) => route))
      for (const route of this.#kept.keys()) if (!safe.has(route)) this.#kept.delete(route)
    }
    this.#evict(places)
    for (const { record, route } of ranked) {
      if (this.#kept.size >= places) break
      this.#keep(record, route)
    }
  }

  #routePlaces(): number {
    const tenants = this.#state.tenants.size
    const taken = POD_SERIES + LEAN_SERIES * tenants + FULL_SERIES * Math.min(FULL_TENANTS, tenants)
    // One group of series is for the rest.
    return Math.max(0, Math.floor((this.#budget - taken) / ROUTE_SERIES) - 1)
  }

  #keep(record: TenantRecord, route: RouteRecord): void {
    if (this.#kept.has(route)) return
    // A route that was in `_other` already leaves there what it counted until now.
    const base = this.#folded.delete(route) ? routeTotals(this.#state, record, route) : new Float64Array(ROUTE_COLUMN)
    this.#kept.set(route, { record, route, base })
  }

  /** Tenants came: routes give way first. */
  #evict(places: number): void {
    for (const route of this.#kept.keys()) {
      if (this.#kept.size <= places) return
      this.#kept.delete(route)
    }
  }
}

function add(to: Float64Array, from: Float64Array, sign: 1 | -1): void {
  for (let word = 0; word < to.length; word++) to[word] = (to[word] ?? 0) + sign * (from[word] ?? 0)
}

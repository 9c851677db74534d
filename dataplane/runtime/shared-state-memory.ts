// The memory of one tenant, as the main thread keeps it: pages that grow, places in them that are given out, taken back
// and given out again. Nothing of another tenant ever lies here. shared-state-allocator.ts keeps one for each tenant.
import { KeyTable, arenaBytes } from './key-table.ts'
import type { ArenaGrant, SlotPlace } from './shared-state-grants.ts'
import { GENERATION, LIMITER_LEVEL, type Layout } from './shared-state-layout.ts'
import { createViews, type Views } from './shared-state-metrics.ts'

export type SlotKind = 'route' | 'endpoint' | 'limiter'

/** A place that is given out. */
export interface Slot extends SlotPlace {
  readonly kind: SlotKind
  /** Monotonic milliseconds when the configuration stopped naming it; undefined while it does. */
  releasedAt: number | undefined
}

export interface LimiterSlot extends Slot {
  readonly arena: number
  readonly table: number
}

/** Free places are used again only after this long, so that a thread between two instructions has left. Milliseconds. */
const QUARANTINE = 60_000
/** Tables in one arena, at least: its address space is reserved, its memory is not. */
const MIN_TABLES = 4

/** Which arenas may grow: each takes two mappings of the kernel, and a process has about 65,000. */
export interface ArenaBudget {
  growable: number
}

interface Free extends SlotPlace {
  readonly arena: number
  readonly table: number
  readonly freedAt: number
}

/** Pages and arenas of one tenant. */
export class TenantMemory {
  readonly pages: SharedArrayBuffer[] = []
  readonly arenas: ArenaGrant[] = []
  readonly #views: Views[] = []
  readonly #layout: Layout
  readonly #sizes: readonly number[]
  readonly #budget: ArenaBudget
  readonly #free: Record<SlotKind, Free[]> = { route: [], endpoint: [], limiter: [] }
  #used = 0
  #size = 0
  #tablesLeft = 0

  /** @param words for what will be asked of it at once, beside the root: one page then holds it all. */
  constructor(layout: Layout, sizes: readonly number[], budget: ArenaBudget, words: number) {
    this.#layout = layout
    this.#sizes = sizes
    this.#budget = budget
    this.#addPage(layout.rootWords + words)
    this.#used = layout.rootWords
  }

  /** The root's views: counts and columns of the tenant itself. */
  get root(): Views {
    return this.#at(0)
  }

  views(place: SlotPlace): Views {
    return this.#at(place.page)
  }

  /** Bytes of the pages, and of the arenas as far as they are in use. */
  bytes(): number {
    let bytes = 0
    for (const page of this.pages) bytes += page.byteLength
    for (const arena of this.arenas) bytes += arena.buffer.byteLength
    return bytes
  }

  /** A place for something new, zeroed. */
  give(kind: 'route' | 'endpoint', now: number): Slot {
    const free = this.#reuse(kind, now)
    if (free !== undefined) return { kind, ...free, releasedAt: undefined }
    return { kind, ...this.#carve(this.#wordsOf(kind)), generation: 0, releasedAt: undefined }
  }

  /** A place and a table for a limiter. */
  giveLimiter(now: number): LimiterSlot {
    const free = this.#reuse('limiter', now)
    if (free !== undefined) {
      const slot: LimiterSlot = { kind: 'limiter', ...free, releasedAt: undefined }
      this.table(slot)?.clear()
      return slot
    }
    if (this.#tablesLeft === 0) this.#addArena()
    const arena = this.arenas.length - 1
    const table = (this.arenas[arena]?.tables ?? 0) - this.#tablesLeft
    this.#tablesLeft--
    const place = this.#carve(this.#layout.limiterWords)
    const slot: LimiterSlot = { kind: 'limiter', ...place, generation: 0, arena, table, releasedAt: undefined }
    Atomics.store(this.views(slot).words, slot.at * 2 + LIMITER_LEVEL, 1)
    return slot
  }

  /** Takes a place back. Handles to it find another generation and do nothing; it is reused after a minute. */
  takeBack(slot: Slot | LimiterSlot, now: number): void {
    const generation = slot.generation + 1
    Atomics.store(this.views(slot).words, slot.at * 2 + GENERATION, generation)
    const { page, at } = slot
    const where = 'arena' in slot ? { arena: slot.arena, table: slot.table } : { arena: 0, table: 0 }
    this.#free[slot.kind].push({ page, at, generation, freedAt: now, ...where })
  }

  /** The table of a limiter, for the main thread's own look at it. */
  table(slot: LimiterSlot): KeyTable | undefined {
    const arena = this.arenas[slot.arena]
    if (arena === undefined) return undefined
    return new KeyTable({
      buffer: arena.buffer,
      table: slot.table,
      tables: arena.tables,
      sizes: this.#sizes,
      levelWord: this.views(slot).words,
      levelAt: slot.at * 2 + LIMITER_LEVEL,
    })
  }

  #wordsOf(kind: 'route' | 'endpoint'): number {
    return kind === 'route' ? this.#layout.routeWords : this.#layout.endpointWords
  }

  #reuse(kind: SlotKind, now: number): Free | undefined {
    const [oldest] = this.#free[kind]
    if (oldest === undefined || now - oldest.freedAt < QUARANTINE) return undefined
    this.#free[kind].shift()
    const words = kind === 'limiter' ? this.#layout.limiterWords : this.#wordsOf(kind)
    const { words: view } = this.views(oldest)
    view.fill(0, oldest.at * 2, (oldest.at + words) * 2)
    Atomics.store(view, oldest.at * 2 + GENERATION, oldest.generation)
    if (kind === 'limiter') Atomics.store(view, oldest.at * 2 + LIMITER_LEVEL, 1)
    return oldest
  }

  #carve(words: number): { readonly page: number; readonly at: number } {
    if (this.#used + words > this.#size) this.#addPage(Math.max(words, this.#size >> 1, 64))
    const at = this.#used
    this.#used += words
    return { page: this.pages.length - 1, at }
  }

  #addPage(words: number): void {
    const buffer = new SharedArrayBuffer(words * 8)
    this.pages.push(buffer)
    this.#views.push(createViews(buffer))
    this.#used = 0
    this.#size = words
  }

  #addArena(): void {
    const tables = MIN_TABLES << Math.min(4, this.arenas.length)
    const first = arenaBytes(this.#sizes, 1, tables)
    const whole = arenaBytes(this.#sizes, this.#sizes.length, tables)
    let buffer: SharedArrayBuffer
    if (this.#budget.growable > 0 && whole > first) {
      this.#budget.growable--
      buffer = new SharedArrayBuffer(first, { maxByteLength: whole })
    } else {
      buffer = new SharedArrayBuffer(arenaBytes(this.#sizes, Math.min(2, this.#sizes.length), tables))
    }
    this.arenas.push({ buffer, tables })
    this.#tablesLeft = tables
  }

  #at(page: number): Views {
    const views = this.#views[page]
    if (views === undefined) throw new RangeError(`there is no page ${page}`)
    return views
  }
}

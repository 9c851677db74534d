// Route before Policy: a new generation of a Route waits until the Policies of its namespace and its Tenant have been
// read as they were when the Route was written, or later. Only that Route waits. source.ts puts every Route through it.
import { type SourceObject, tupleKey } from '../../../model/resources.ts'
import type { SourceProblem } from '../source.ts'
import { Backoff, type BackoffTiming } from './backoff.ts'
import type { Edit } from './kind-cache.ts'
import { Pauses } from './pauses.ts'
import { isAtLeast, isOlder, newerVersion } from './resource-version.ts'
import { type TurnLimits, Turns } from './turns.ts'

/** What the barrier looks at and whom it tells. */
export interface BarrierOptions {
  /** Version up to which the Policies of a namespace, and all Tenants, are known; undefined while that is unknown. */
  readonly seen: (namespace: string) => { readonly policies: string | undefined; readonly tenants: string | undefined }
  /** Names of the Tenants that a namespace may belong to. */
  readonly tenantsOf: (namespace: string) => readonly string[]
  /**
   * Reads the Policies of the namespace and those Tenants from the API server as they were at a version, or later, and
   * merges what is newer. Resolves with the version that was read; rejects where that was not possible.
   */
  readonly refresh: (read: BarrierRead) => Promise<string>
  /** A Route may be seen. */
  readonly release: (edit: Edit) => void
  /** `problems()` may have changed. */
  readonly onProblem: () => void
  /** Whether anybody waits for what is read: a standby is patient, and spares the API server. Default: always. */
  readonly eager?: () => boolean
  readonly timing?: Partial<BarrierTiming>
}

/** What a round reads. */
export interface BarrierRead {
  readonly namespace: string
  readonly tenants: readonly string[]
  /** Of the newest Route that waits. */
  readonly version: string
  /**
   * This one can wait: the tenant edits all the time, or nobody waits. Reads of the API server's cache delay each other,
   * so such a round should not be the reason why somebody else's is late.
   */
  readonly patient: boolean
  readonly signal: AbortSignal
}

/** Durations in milliseconds. */
export interface BarrierTiming {
  readonly backoff: BackoffTiming
  /** A Route that waits for longer is told of. */
  readonly tellAfterMs: number
  readonly turns: TurnLimits
  /** While nobody waits. */
  readonly patientTurns: TurnLimits
}

const TIMING: BarrierTiming = {
  backoff: { baseMs: 100, maxMs: 10_000 },
  tellAfterMs: 5_000,
  turns: { everyMs: 25, burst: 20, perKey: 4, overall: 64, heaviest: 20 },
  patientTurns: { everyMs: 500, burst: 2, perKey: 1, overall: 16, heaviest: 2 },
}
const MAX_PROBLEMS = 50

interface Waiting {
  edit: Edit
  readonly since: number
}

interface Gate {
  /** By name of the Route. */
  readonly waiting: Map<string, Waiting>
  readonly backoff: Backoff
  running: boolean
  failure: string | undefined
}

/** Holds Routes back, each no longer than it must. */
export class RouteBarrier {
  readonly #options: BarrierOptions
  readonly #timing: BarrierTiming
  readonly #turns: Turns
  readonly #gates = new Map<string, Gate>()
  /** What was released last, by Route. */
  readonly #released = new Map<string, SourceObject>()
  readonly #abort = new AbortController()
  readonly #pauses = new Pauses()
  #open = false

  constructor(options: BarrierOptions) {
    this.#options = options
    this.#timing = { ...TIMING, ...options.timing }
    const { turns, patientTurns } = this.#timing
    this.#turns = new Turns(() => (options.eager?.() === false ? patientTurns : turns))
  }

  /** Takes what the watch says of a Route. */
  take(edit: Edit): void {
    const gate = this.#gates.get(edit.namespace)
    if (edit.object === undefined) {
      this.#forget(edit.namespace, gate, edit.name)
      this.#released.delete(keyOf(edit))
      this.#options.release(edit)
      return
    }
    const waiting = gate?.waiting.get(edit.name)
    if (waiting !== undefined) {
      waiting.edit = edit
      if (this.#mayPass(edit)) this.#pass(edit)
      return
    }
    if (sameGeneration(this.#released.get(keyOf(edit)), edit.object) || this.#mayPass(edit)) {
      this.#pass(edit)
      return
    }
    this.#gate(edit.namespace).waiting.set(edit.name, { edit, since: performance.now() })
    this.#begin(edit.namespace)
  }

  /** The first lists are there: from now on those who still wait are read for. */
  open(): void {
    this.#open = true
    this.progress()
    for (const namespace of [...this.#gates.keys()]) this.#begin(namespace)
  }

  /** More of Policies or Tenants has been seen. */
  progress(): void {
    if (!this.#open || this.#gates.size === 0) return
    for (const gate of [...this.#gates.values()]) {
      for (const { edit } of [...gate.waiting.values()]) if (this.#mayPass(edit)) this.#pass(edit)
    }
  }

  /** Routes that wait for longer than they should. */
  problems(): readonly SourceProblem[] {
    const problems: SourceProblem[] = []
    const now = performance.now()
    for (const [namespace, gate] of this.#gates) {
      for (const [name, { since }] of gate.waiting) {
        if (!this.#open || now - since < this.#timing.tellAfterMs || problems.length >= MAX_PROBLEMS) continue
        const why = gate.failure ?? 'the API server has not answered yet'
        problems.push({
          object: { kind: 'Route', namespace, name },
          message: `its newest form waits until the Policies of namespace ${namespace} can be read (${why}); what served before goes on serving`,
        })
      }
    }
    return problems
  }

  /** Whether anybody waits. */
  get waiting(): number {
    let count = 0
    for (const gate of this.#gates.values()) count += gate.waiting.size
    return count
  }

  stop(): void {
    this.#abort.abort()
    this.#pauses.end()
  }

  #gate(namespace: string): Gate {
    let gate = this.#gates.get(namespace)
    if (gate === undefined) {
      const backoff = new Backoff(this.#timing.backoff)
      gate = { waiting: new Map(), backoff, running: false, failure: undefined }
      this.#gates.set(namespace, gate)
    }
    return gate
  }

  #mayPass({ namespace, version }: Edit): boolean {
    if (!this.#open) return false
    const { policies, tenants } = this.#options.seen(namespace)
    return isAtLeast(policies, version) && isAtLeast(tenants, version)
  }

  #pass(edit: Edit): void {
    this.#forget(edit.namespace, this.#gates.get(edit.namespace), edit.name)
    if (edit.object !== undefined) this.#released.set(keyOf(edit), edit.object)
    this.#options.release(edit)
  }

  #forget(namespace: string, gate: Gate | undefined, name: string): void {
    if (gate === undefined) return
    gate.waiting.delete(name)
    if (gate.waiting.size === 0 && !gate.running) this.#gates.delete(namespace)
  }

  #begin(namespace: string): void {
    const gate = this.#gates.get(namespace)
    if (gate === undefined || gate.running || !this.#open) return
    gate.running = true
    this.#work(namespace, gate).catch(() => undefined)
  }

  // One round at a time for a namespace: whoever comes during a round waits for the next.
  async #work(namespace: string, gate: Gate): Promise<void> {
    while (gate.waiting.size > 0 && !this.#abort.signal.aborted) {
      const tenants = this.#options.tenantsOf(namespace)
      const key = tenants[0] ?? namespace
      const isOut = this.#turns.isOut(key)
      const giveBack = await this.#turns.take(key)
      const patient = this.#options.eager?.() === false || isOut
      let failed = false
      const waiting = gate.waiting.size
      try {
        await this.#round(namespace, gate, tenants, patient)
      } catch (error) {
        failed = true
        gate.failure = error instanceof Error ? error.message : 'unknown failure'
        this.#options.onProblem()
      } finally {
        giveBack(waiting)
      }
      if (failed && !this.#abort.signal.aborted) await this.#pauses.wait(gate.backoff.next())
    }
    gate.running = false
    if (gate.waiting.size === 0 && this.#gates.get(namespace) === gate) this.#gates.delete(namespace)
    this.#options.onProblem()
  }

  async #round(namespace: string, gate: Gate, tenants: readonly string[], patient: boolean): Promise<void> {
    // These were seen before the API server is asked, so its answer is as new as they are.
    const batch = [...gate.waiting.values()].map((waiting) => waiting.edit)
    if (batch.length === 0 || this.#abort.signal.aborted) return
    const wanted =
      batch.reduce<string | undefined>((newest, edit) => newerVersion(newest, edit.version), undefined) ?? ''
    const signal = this.#abort.signal
    const version = await this.#options.refresh({ namespace, tenants, version: wanted, patient, signal })
    gate.backoff.reset()
    gate.failure = undefined
    let lagging = false
    for (const edit of batch) {
      const waiting = gate.waiting.get(edit.name)
      if (waiting === undefined) continue
      if (isOlder(version, edit.version)) {
        lagging = true
        continue
      }
      if (waiting.edit === edit) this.#pass(edit)
      else if (edit.object !== undefined) {
        // Edited again meanwhile: what was read for is released, or a Route that is edited all the time would never be.
        this.#released.set(keyOf(edit), edit.object)
        this.#options.release(edit)
      }
    }
    if (lagging) throw new Error('the API server answered with an older state than the Route is of')
  }
}

function sameGeneration(released: SourceObject | undefined, object: SourceObject): boolean {
  return (
    released !== undefined &&
    released.metadata.generation === object.metadata.generation &&
    released.metadata.uid === object.metadata.uid
  )
}

function keyOf(edit: Edit): string {
  return tupleKey([edit.namespace, edit.name])
}

// The order of the controller: collect changes, compile, stamp and store, publish, report. Acts at once when idle and
// coalesces what arrives while it is busy; never before the first full state. controller/main.ts and cluster.ts make it.
// Where several replicas run, all compile; the one that leads also stamps, stores and publishes.
import { compile as compileResources } from './compile/compile.ts'
import type { CompileResult, CompileSettings } from './compile/compile-types.ts'
import { lastGoodFor } from './compile/last-good.ts'
import type { Claim, LastGood, ResourceSet } from '../model/resources.ts'
import type { PodAcknowledgement, Publisher } from './publish/publisher.ts'
import type { Source, SourceState } from './sources/source.ts'
import { expireClaims, reconcileClaims } from './state/reconcile-claims.ts'
import { type LoadedState, NotLeaderError, type SharedStateStore, type StateStore } from './state/state-store.ts'

/** Two clocks: milliseconds since the epoch for stamps, monotonic milliseconds for durations. */
export interface Clock {
  now(): number
  monotonic(): number
}

/** What makes this process one of several. */
export interface Replica {
  readonly store: SharedStateStore
  /** The fence while this process leads. Asked before each write and each publication. */
  fence(): number | undefined
}

export interface LoopOptions {
  readonly source: Source
  readonly publisher: Publisher
  readonly settings: CompileSettings
  readonly store: StateStore
  /** One of several replicas that share `store`. Without: this process alone does everything. */
  readonly replica?: Replica
  /** Milliseconds that a released host or namespace stays with its former tenant. */
  readonly hostTransferDelay: number
  readonly clock: Clock
  /** Called after each cycle, and when an issue begins or ends by time alone. */
  readonly report: (state: LoopState) => void
  /** Called for what went wrong inside, never for a user's mistake. One sentence. */
  readonly warn: (message: string, error?: unknown) => void
  /** Another compile, for tests. */
  readonly compile?: typeof compileResources
}

/** What the loop came to. */
export interface LoopState {
  /** What was compiled last. */
  readonly resources: ResourceSet
  readonly result: CompileResult
  readonly source: SourceState
  readonly acknowledgements: readonly PodAcknowledgement[]
  /** Of the last publication; 0 before the first. */
  readonly sequence: number
  /** Milliseconds of the last compile, claims settled. */
  readonly compileMs: number
  /** Milliseconds from the source's word to the answer of the dataplane; undefined where nothing was published. */
  readonly activationMs: number | undefined
  /** Number of cycles so far. */
  readonly cycles: number
}

export interface Loop {
  /** Resolves after the first cycle. Rejects only where the source does. */
  start(): Promise<void>
  /** Resolves when nothing runs any more. The source is stopped too. */
  stop(): Promise<void>
  /** undefined before the first cycle. */
  state(): LoopState | undefined
  /**
   * The fence under which this process stores and publishes; undefined while another does. Later than the lease says:
   * what the former leader stored is read first.
   */
  fence(): number | undefined
  /** This process began or ceased to lead. */
  wake(): void
  /** Somebody else changed what is stored. */
  reload(): void
  /**
   * Somebody is about to read `state()`: a standby looks first at what has changed. Resolves with whether it did, within a
   * second; at once where nothing changed, and for who leads.
   */
  refresh(): Promise<boolean>
}

// Claims may free what others wait for, whose claims may free more; each round needs a tenant to let go of something.
const MAX_ROUNDS = 4
const RETRY_MS = 1_000
const MAX_TIMER_MS = 3_600_000
/**
 * Milliseconds between two cycles of a standby, and where somebody asks it. Where edits never end, each cycle takes the
 * processor from the leader and the pods of the same machine; the lease ends the rest at once.
 */
const STANDBY_MS = 2_000
const ASKED_MS = 500
/** Milliseconds that whoever asks waits at most: what is stored may be out of reach. */
const REFRESH_MS = 1_000

/** Makes a loop. Nothing happens before `start`. */
export function createLoop(options: LoopOptions): Loop {
  return new ControlLoop(options)
}

class ControlLoop implements Loop {
  readonly #options: LoopOptions
  readonly #compile: typeof compileResources
  #fence: number | undefined
  #reload = false
  #leadFailed = false
  #claims: readonly Claim[] = []
  #storedLastGood: readonly LastGood[] = []
  #unsaved = false
  #state: LoopState | undefined
  #published: { readonly version: string; readonly endpointsRevision: string } | undefined
  #sequence = 0
  #dirtyAt: number | undefined
  #running: Promise<void> | undefined
  #ready = false
  #stopped = false
  #timer: NodeJS.Timeout | undefined
  #nextExpiry: number | undefined
  #retry = false
  #cycleAt = Number.NEGATIVE_INFINITY
  #rest: (() => void) | undefined
  #asked = new Set<() => void>()

  constructor(options: LoopOptions) {
    this.#options = options
    this.#compile = options.compile ?? compileResources
  }

  async start(): Promise<void> {
    this.#take(await this.#options.store.load())
    await this.#options.source.start(() => this.#changed())
    this.#ready = true
    this.#changed()
    await this.#running
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#rest?.()
    clearTimeout(this.#timer)
    await this.#options.source.stop()
    await this.#running
  }

  state(): LoopState | undefined {
    return this.#state
  }

  fence(): number | undefined {
    const { replica } = this.#options
    if (replica === undefined) return 0
    return this.#fence !== undefined && replica.fence() === this.#fence ? this.#fence : undefined
  }

  wake(): void {
    this.#cycleAt = Number.NEGATIVE_INFINITY
    this.#rest?.()
    // What was handed over while this process did not lead was not published.
    if (this.#options.replica !== undefined) this.#published = undefined
    this.#changed()
  }

  reload(): void {
    this.#reload = true
    this.#changed()
  }

  async refresh(): Promise<boolean> {
    if (!this.#isStandby() || this.#running === undefined) return false
    return await new Promise<boolean>((resolve) => {
      const answer = () => {
        clearTimeout(timer)
        resolve(true)
      }
      const timer = setTimeout(() => {
        this.#asked.delete(answer)
        resolve(false)
      }, REFRESH_MS)
      this.#asked.add(answer)
      this.#rest?.()
    })
  }

  #take(loaded: LoadedState): void {
    for (const warning of loaded.warnings) this.#options.warn(warning)
    this.#claims = loaded.claims
    this.#storedLastGood = loaded.lastGood
  }

  #changed(): void {
    this.#dirtyAt ??= this.#options.clock.monotonic()
    if (this.#ready && !this.#stopped) this.#running ??= this.#run()
  }

  async #run(): Promise<void> {
    try {
      while (this.#dirtyAt !== undefined && !this.#stopped) {
        const rest = this.#restAsStandby()
        // Who leads acts at once, in the very turn.
        if (rest !== undefined) await rest
        if (this.#stopped) break
        const changedAt = this.#dirtyAt
        this.#dirtyAt = undefined
        this.#cycleAt = this.#options.clock.monotonic()
        const asked = this.#asked
        this.#asked = new Set()
        try {
          await this.#cycle(changedAt)
        } finally {
          for (const answer of asked) answer()
        }
      }
    } finally {
      this.#running = undefined
      for (const answer of this.#asked) answer()
      this.#asked.clear()
    }
    this.#plan()
  }

  // Until it leads, or the pause is over.
  #restAsStandby(): Promise<void> | undefined {
    if (this.#reload || !this.#isStandby() || this.#restLeft() <= 0) return undefined
    return new Promise<void>((resolve) => {
      let timer: NodeJS.Timeout | undefined
      this.#rest = () => {
        clearTimeout(timer)
        const left = this.#stopped || !this.#isStandby() ? 0 : this.#restLeft()
        if (left > 0) {
          timer = setTimeout(() => this.#rest?.(), left)
          timer.unref()
          return
        }
        this.#rest = undefined
        resolve()
      }
      this.#rest()
    })
  }

  #isStandby(): boolean {
    const { replica } = this.#options
    return replica !== undefined && replica.fence() === undefined
  }

  #restLeft(): number {
    const rest = this.#asked.size > 0 ? ASKED_MS : STANDBY_MS
    return this.#cycleAt + rest - this.#options.clock.monotonic()
  }

  async #cycle(changedAt: number): Promise<void> {
    const { source, clock } = this.#options
    if (this.#options.replica !== undefined) await this.#takeRole(this.#options.replica)
    const read = source.read()
    const started = clock.monotonic()
    const compiled = this.#compileSettled(read)
    if (compiled === undefined) return
    const compileMs = clock.monotonic() - started
    if (this.fence() !== undefined) await this.#save(compiled.result)
    const acknowledgements = await this.#publish(compiled.result)
    this.#state = {
      ...compiled,
      source: read,
      acknowledgements: acknowledgements ?? this.#state?.acknowledgements ?? [],
      sequence: this.#sequence,
      compileMs,
      activationMs: acknowledgements === undefined ? this.#state?.activationMs : clock.monotonic() - changedAt,
      cycles: (this.#state?.cycles ?? 0) + 1,
    }
    this.#report()
  }

  // Leads from here on, or follows, as the lease says; reads again what others stored.
  async #takeRole(replica: Replica): Promise<void> {
    const fence = replica.fence()
    const reload = this.#reload
    this.#reload = false
    this.#leadFailed = false
    if (fence === undefined) {
      if (this.#fence !== undefined) replica.store.follow()
      if (reload || this.#fence !== undefined) this.#take(await replica.store.load())
      this.#fence = undefined
      this.#unsaved = false
      return
    }
    if (fence === this.#fence) {
      // The leader's word holds: it is written over whatever somebody else wrote.
      this.#unsaved ||= reload
      return
    }
    this.#fence = undefined
    try {
      this.#take(await replica.store.lead(fence))
      this.#fence = fence
      this.#published = undefined
    } catch (error) {
      this.#reload = true
      this.#leadFailed = true
      if (!(error instanceof NotLeaderError)) {
        this.#options.warn('What the former leader stored cannot be read; nothing is published before it is.', error)
      }
    }
  }

  // Compiles until the claims stand still: a name that was let go may at once be somebody else's.
  #compileSettled(read: SourceState): { resources: ResourceSet; result: CompileResult } | undefined {
    const { clock, hostTransferDelay } = this.#options
    const previous = this.#state
    const lastGood = this.#fenced('last good forms', () =>
      lastGoodFor(read.resources.partitions, previous, this.#storedLastGood),
    )
    if (lastGood === undefined) return undefined
    if (this.fence() === undefined) {
      // Who does not lead takes the claims as they are stored.
      const resources: ResourceSet = { ...read.resources, claims: this.#claims, lastGood }
      const result = this.#compileOnce(resources, previous?.result)
      return result === undefined ? undefined : { resources, result }
    }
    // What expired by time alone holds no longer when compile looks.
    const standing = expireClaims(this.#claims, clock.now(), hostTransferDelay)
    if (standing !== this.#claims) this.#unsaved = true
    this.#claims = standing
    let memo = previous?.result
    for (let round = 1; ; round++) {
      const resources: ResourceSet = { ...read.resources, claims: this.#claims, lastGood }
      const result = this.#compileOnce(resources, memo)
      if (result === undefined) return undefined
      const claims = reconcileClaims(this.#claims, result.claims, clock.now(), hostTransferDelay)
      this.#takeClaims(claims)
      if (!claims.freed || round === MAX_ROUNDS) return { resources, result }
      memo = result
    }
  }

  #takeClaims(reconciled: ReturnType<typeof reconcileClaims>): void {
    if (reconciled.changed) this.#unsaved = true
    this.#claims = reconciled.claims
    this.#nextExpiry = reconciled.nextExpiry
  }

  #compileOnce(resources: ResourceSet, previous: CompileResult | undefined): CompileResult | undefined {
    const { settings } = this.#options
    const result = this.#fenced('compile', () => this.#compile(resources, settings, previous))
    if (result !== undefined || previous === undefined) return result
    // The previous result only saves time: without it a defect in its reuse cannot stop the gateway.
    return this.#fenced('compile from nothing', () => this.#compile(resources, settings))
  }

  async #save(result: CompileResult): Promise<void> {
    if (!sameForms(result.lastGood, this.#storedLastGood)) this.#unsaved = true
    this.#storedLastGood = result.lastGood
    if (!this.#unsaved) return
    try {
      await this.#options.store.save({ claims: this.#claims, lastGood: result.lastGood })
      this.#unsaved = false
    } catch (error) {
      if (error instanceof NotLeaderError) {
        this.#fence = undefined
        this.#reload = true
        return
      }
      // Serving goes on: a full disk must not stop a revocation from reaching the dataplane.
      this.#options.warn('Claims and last good forms could not be stored; they would be lost in a crash.', error)
    }
  }

  // Returns undefined where the dataplane has it already.
  async #publish(result: CompileResult): Promise<readonly PodAcknowledgement[] | undefined> {
    const { version, endpointsRevision } = result.snapshot
    const last = this.#published
    if (!this.#retry && last?.version === version && last.endpointsRevision === endpointsRevision) return undefined
    this.#sequence += 1
    this.#published = { version, endpointsRevision }
    try {
      const answers = await this.#options.publisher.publish(result.snapshot, this.#sequence)
      // With replicas the publisher itself tries again.
      this.#retry = answers.length === 0 && this.#options.replica === undefined
      return answers
    } catch (error) {
      this.#options.warn('Publishing failed; it is tried again.', error)
      this.#retry = true
      return []
    }
  }

  #report(): void {
    const state = this.#state
    if (state !== undefined) this.#fenced('report', () => this.#options.report(state))
  }

  #fenced<Result>(what: string, run: () => Result): Result | undefined {
    try {
      return run()
    } catch (error) {
      this.#options.warn(`A defect in ${what}: the last state goes on serving.`, error)
      return undefined
    }
  }

  // Wakes for what time alone changes: claims that expire, issues that begin or end, a publication to repeat.
  #plan(): void {
    clearTimeout(this.#timer)
    if (this.#stopped) return
    if (this.#dirtyAt !== undefined) {
      this.#changed()
      return
    }
    const now = this.#options.clock.now()
    const wait = Math.min(
      ((this.fence() === undefined ? undefined : this.#nextExpiry) ?? Number.POSITIVE_INFINITY) - now,
      this.#retry || this.#unsaved || this.#leadFailed ? RETRY_MS : Number.POSITIVE_INFINITY,
    )
    const issue = nextTurn(this.#state?.result, now) - now
    if (wait === Number.POSITIVE_INFINITY && issue === Number.POSITIVE_INFINITY) return
    const delay = Math.min(Math.max(1, Math.ceil(Math.min(wait, issue))), MAX_TIMER_MS)
    this.#timer = setTimeout(() => this.#wake(wait <= issue), delay)
    this.#timer.unref()
  }

  #wake(cycle: boolean): void {
    if (cycle) {
      this.#changed()
      return
    }
    this.#report()
    this.#plan()
  }
}

function sameForms(a: readonly LastGood[], b: readonly LastGood[]): boolean {
  return (
    a === b ||
    (a.length === b.length &&
      a.every((entry, index) => entry.body === b[index]?.body && entry.material === b[index]?.material))
  )
}

/** The next time at which an issue begins or ends, milliseconds since the epoch. */
function nextTurn(result: CompileResult | undefined, now: number): number {
  let next = Number.POSITIVE_INFINITY
  for (const { from, until } of result?.issues ?? []) {
    if (from !== undefined && from > now) next = Math.min(next, from)
    if (until !== undefined && until > now) next = Math.min(next, until)
  }
  return next
}

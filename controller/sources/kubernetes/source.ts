// The Kubernetes source: every kind by list-and-watch, Routes through the barrier, Secrets and ConfigMaps where they are
// referenced. controller/main.ts makes one; the loop reads it. What was read once stays in use, whatever fails.
import type { Partition } from '../../../model/resources.ts'
import { PartitionTable } from '../partition-table.ts'
import type { Source, SourceProblem, SourceState } from '../source.ts'
import type { ApiClient } from './client.ts'
import { type BarrierRead, type BarrierTiming, RouteBarrier } from './barrier.ts'
import { readNamespacePolicies, readTenant } from './barrier-reads.ts'
import { type Edit, KindCache } from './kind-cache.ts'
import { API_RESOURCES, WHOLE_KINDS } from './kinds.ts'
import { MaterialWatches } from './material-watches.ts'
import { findReferences, type MaterialRef, partitionRefs, refersElsewhere } from './references.ts'
import { Pauses } from './pauses.ts'
import { Pulse, type PulseObject } from './pulse.ts'
import { Reflector } from './reflector.ts'
import { REFLECTOR_TIMING, type ReflectorTiming } from './reflector-timing.ts'
import { isAtLeast } from './resource-version.ts'
import { tenantsOf } from './tenants-of.ts'
import type { WatchStatus } from './watch-status.ts'

export interface KubernetesSourceOptions {
  readonly client: ApiClient
  /** Only these namespaces. Default: all. */
  readonly watchNamespaces?: readonly string[]
  /** See MaterialWatchesOptions. */
  readonly grant?: (namespace: string) => Promise<void>
  readonly revoke?: (namespace: string) => void
  /** See Pulse: makes the way of new Routes short where there are many. Without: it takes up to 100 ms longer. */
  readonly pulse?: PulseObject
  /** Milliseconds that the first state waits for referenced Secrets and ConfigMaps. Default: 10 s. */
  readonly firstMaterialMs?: number
  /** Milliseconds that a failure lasts before it is a problem of the state. Default: 10 s. */
  readonly tellAfterMs?: number
  /** The API server came back with an older world: everything is listed anew. */
  readonly onRewind?: () => void
  readonly timing?: Partial<ReflectorTiming>
  readonly barrierTiming?: Partial<BarrierTiming>
  /** See BarrierOptions. */
  readonly eager?: () => boolean
}

/** A source that can also say how its watches fare. */
export interface KubernetesSource extends Source {
  watches(): readonly WatchStatus[]
}

type WholeKind = (typeof WHOLE_KINDS)[number]

interface Watched {
  readonly kind: WholeKind
  /** undefined for all. */
  readonly namespace: string | undefined
  readonly cache: KindCache
  readonly reflector: Reflector
}

/** Kinds whose change may change what is referenced. */
const REFERRING: ReadonlySet<string> = new Set(['Tenant', 'Route', 'ReferenceGrant', 'Namespace'])
/** Longer than an answer takes that waits for nothing. */
const LATE_READ_MS = 8
/** After a late read the next are helped along at once. */
const LATE_AGAIN_MS = 1_000
/** By then the watch is there, or something is wrong with it. */
const HELPED_MS = 40
/** After a write that the watch did not tell of, it is not waited for alone for this long. */
const SILENT_WATCH_MS = 5_000
/** How long a patient read waits for the watch of Policies to get there by itself, and where nobody waits for it. */
const PATIENCE_MS = 150
const STANDBY_PATIENCE_MS = 1_000
/** What helps the patient helps those who are not, and they go first: their edit is not compiled and pushed with many. */
const GIVE_WAY_MS = 10
const FIRST_MATERIAL_MS = 10_000
const TELL_AFTER_MS = 10_000
const MAX_PROBLEMS = 50
/** More watches than this share HTTP/2 connections. */
const MAX_OWN_CONNECTIONS = 16

/** Makes a source. Nothing is asked before `start`, which resolves at the first complete state, however long that takes. */
export function createKubernetesSource(options: KubernetesSourceOptions): KubernetesSource {
  return new ApiSource(options)
}

class ApiSource implements KubernetesSource {
  readonly #options: KubernetesSourceOptions
  readonly #table = new PartitionTable()
  readonly #watched: readonly Watched[]
  readonly #barrier: RouteBarrier
  readonly #material: MaterialWatches
  readonly #pulse: Pulse | undefined
  readonly #refs = new WeakMap<Partition, readonly MaterialRef[]>()
  readonly #abort = new AbortController()
  /** Ended whenever Policies or Tenants have been seen further. */
  readonly #awaiting = new Pauses()
  #lateUntil = 0
  #readAtOnceUntil = 0
  #referencesChanged = true
  #revision = 0
  #state: SourceState = {
    resources: { revision: 'kubernetes-0', partitions: new Map() },
    problems: [],
    notes: [],
    changed: new Set(),
  }
  #stateIsNew = false
  #problemsText = '[]'
  #problemTimer: NodeJS.Timeout | undefined
  #onChange: (() => void) | undefined
  #scheduled = false
  #stopped = false

  constructor(options: KubernetesSourceOptions) {
    this.#options = options
    this.#pulse = options.pulse === undefined ? undefined : new Pulse(options.client, options.pulse)
    this.#barrier = new RouteBarrier({
      seen: (namespace) => ({
        policies: this.#reflectorOf('Policy', namespace)?.version,
        tenants: this.#reflectorOf('Tenant', namespace)?.version,
      }),
      tenantsOf: (namespace) => this.#tenantsOf(namespace),
      refresh: (read) => this.#refresh(read),
      release: (edit) => this.#set(edit),
      onProblem: () => this.#schedule(),
      ...(options.eager === undefined ? {} : { eager: options.eager }),
      ...(options.barrierTiming === undefined ? {} : { timing: options.barrierTiming }),
    })
    this.#material = new MaterialWatches({
      client: options.client,
      ...(options.timing === undefined ? {} : { timing: options.timing }),
      ...(options.grant === undefined ? {} : { grant: options.grant }),
      ...(options.revoke === undefined ? {} : { revoke: options.revoke }),
      onEdit: (edit) => this.#set(edit),
      onStatus: () => this.#schedule(),
    })
    const { watchNamespaces = [] } = options
    this.#watched = WHOLE_KINDS.flatMap((kind) => {
      const whole = API_RESOURCES[kind].clusterScoped || watchNamespaces.length === 0
      return whole ? [this.#watch(kind, undefined)] : watchNamespaces.map((namespace) => this.#watch(kind, namespace))
    })
  }

  async start(onChange: () => void): Promise<void> {
    const routes = this.#watched.filter(({ kind }) => kind === 'Route')
    const later = this.#watched.filter(({ kind }) => kind === 'Policy' || kind === 'Tenant')
    const others = this.#watched.filter((each) => !routes.includes(each) && !later.includes(each))
    const begin = (list: readonly Watched[]) => Promise.all(list.map(({ reflector }) => reflector.start()))
    // Policies and Tenants are listed after the Routes: so they are as new as every Route, and none has to wait.
    await Promise.all([begin(routes).then(() => (this.#stopped ? undefined : begin(later))), begin(others)])
    if (this.#stopped) return
    this.#barrier.open()
    this.#takeEdits()
    await this.#material.settled(this.#options.firstMaterialMs ?? FIRST_MATERIAL_MS)
    if (this.#stopped) return
    this.#publish()
    this.#onChange = onChange
    this.#schedule()
  }

  read(): SourceState {
    if (this.#stateIsNew) this.#stateIsNew = false
    else if (this.#state.changed.size > 0) this.#state = { ...this.#state, changed: new Set() }
    return this.#state
  }

  locate(): undefined {
    return undefined
  }

  watches(): readonly WatchStatus[] {
    return [...this.#watched.map(({ reflector }) => reflector.status()), ...this.#material.statuses()]
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#onChange = undefined
    this.#abort.abort()
    clearTimeout(this.#problemTimer)
    this.#barrier.stop()
    this.#awaiting.end()
    await Promise.all([...this.#watched.map(({ reflector }) => reflector.stop()), this.#material.stop()])
  }

  #watch(kind: WholeKind, namespace: string | undefined): Watched {
    const { client, watchNamespaces = [], timing } = this.#options
    const isListed = new Set(watchNamespaces)
    const cache = new KindCache({
      kind,
      onEdit: kind === 'Route' ? (edit) => this.#barrier.take(edit) : (edit) => this.#set(edit),
      onUnreadable: () => reflector.countUnreadable(),
      wanted: (within, name) => {
        if (kind === 'Namespace') return isListed.size === 0 || isListed.has(name)
        return kind !== 'Policy' || this.#pulse?.isObject(within, name) !== true
      },
    })
    const reflector: Reflector = new Reflector({
      client,
      resource: API_RESOURCES[kind],
      cache,
      ...(namespace === undefined ? {} : { namespace }),
      // Those of the whole cluster keep connections of their own: they find out when the world went back.
      shared: namespace !== undefined && watchNamespaces.length * (WHOLE_KINDS.length - 2) > MAX_OWN_CONNECTIONS,
      timing: { ...REFLECTOR_TIMING, ...timing },
      ...(kind === 'Policy' || kind === 'Tenant' ? { onProgress: () => this.#progressed() } : {}),
      onRewind: () => this.#rewind(reflector),
      onStatus: () => this.#schedule(),
    })
    return { kind, namespace, cache, reflector }
  }

  #progressed(): void {
    this.#barrier.progress()
    this.#awaiting.end()
  }

  #rewind(finder: Reflector): void {
    for (const { reflector } of this.#watched) if (reflector !== finder) reflector.resync()
    this.#material.resync()
    this.#options.onRewind?.()
  }

  #reflectorOf(kind: WholeKind, namespace: string): Reflector | undefined {
    return this.#watchedOf(kind, namespace)?.reflector
  }

  #watchedOf(kind: WholeKind, namespace: string): Watched | undefined {
    return this.#watched.find(
      (each) => each.kind === kind && (each.namespace === undefined || each.namespace === namespace),
    )
  }

  #tenantsOf(namespace: string): readonly string[] {
    const labels = this.#watchedOf('Namespace', '')?.cache.get('', namespace)?.metadata.labels ?? {}
    return tenantsOf(namespace, labels, this.#watchedOf('Tenant', '')?.cache.objects() ?? [])
  }

  async #refresh(read: BarrierRead): Promise<string> {
    const { client } = this.#options
    const { tenants, version, signal } = read
    const [policies, ...found] = await Promise.all([
      this.#refreshPolicies(read),
      ...tenants.map((name) => readTenant(client, name, signal)),
    ])
    const cache = this.#watchedOf('Tenant', '')?.cache
    for (const [index, tenant] of found.entries()) {
      const name = tenants[index] ?? ''
      if (tenant !== undefined) cache?.apply(tenant, false)
      else if (cache?.isNewerThan('', name, version) === false) cache.remove('', name, '')
    }
    return policies
  }

  /** The version up to which the Policies of the namespace are known now, at least that of the read. */
  async #refreshPolicies({ namespace, version, patient, signal }: BarrierRead): Promise<string> {
    const watched = this.#watchedOf('Policy', namespace)
    if (watched?.namespace !== undefined) return await this.#readPolicies(watched, namespace, version, signal)
    const patience = this.#helpWatch(patient)
    if (patience !== undefined) {
      // Without a read: three calls at once make each other late.
      const seen = await this.#awaitPolicies(namespace, version, signal, patience)
      signal.throwIfAborted()
      if (seen !== undefined && patient) await new Promise((resolve) => setTimeout(resolve, GIVE_WAY_MS))
      signal.throwIfAborted()
      if (seen !== undefined) return seen
      this.#readAtOnceUntil = performance.now() + SILENT_WATCH_MS
    }
    const read = this.#readPolicies(watched, namespace, version, signal)
    // Whichever is there first: a read that is late and the watch are moved by the same write.
    const over = new AbortController()
    const seen = this.#awaitPolicies(namespace, version, over.signal, () => Number.POSITIVE_INFINITY)
    try {
      return await Promise.race([read, seen.then((known) => known ?? read)])
    } finally {
      over.abort()
    }
  }

  /** Has the watch moved on where that is the shorter way; for how long it alone is then waited for, in milliseconds. */
  #helpWatch(patient: boolean): (() => number) | undefined {
    const now = performance.now()
    if (patient) {
      this.#pulse?.beat()
      return () => (this.#options.eager?.() === false ? STANDBY_PATIENCE_MS : PATIENCE_MS)
    }
    if (now >= this.#lateUntil || now < this.#readAtOnceUntil || this.#pulse?.beat() !== true) return undefined
    this.#lateUntil = now + LATE_AGAIN_MS
    return () => HELPED_MS
  }

  async #readPolicies(
    watched: Watched | undefined,
    namespace: string,
    version: string,
    signal: AbortSignal,
  ): Promise<string> {
    // A read that waits for the API server's cache is helped along.
    const isLikelyLate = performance.now() < this.#lateUntil
    if (isLikelyLate) this.#pulse?.beat()
    const late = setTimeout(() => {
      this.#lateUntil = performance.now() + LATE_AGAIN_MS
      if (!isLikelyLate) this.#pulse?.beat()
    }, LATE_READ_MS)
    const read = await readNamespacePolicies(this.#options.client, namespace, version, signal).finally(() =>
      clearTimeout(late),
    )
    // A watch that is further already knows more than what was read, deletions above all.
    if (watched !== undefined && !isAtLeast(watched.reflector.version, read.version)) {
      watched.cache.mergeNamespace(namespace, read.items, read.version)
    }
    return read.version
  }

  /** The version that the watch has seen once it is that far, which a pulse brings about; undefined where it does not. */
  async #awaitPolicies(
    namespace: string,
    version: string,
    signal: AbortSignal,
    patienceMs: () => number,
  ): Promise<string | undefined> {
    const reflector = this.#reflectorOf('Policy', namespace)
    const began = performance.now()
    for (;;) {
      const seen = reflector?.version
      if (seen !== undefined && isAtLeast(seen, version)) return seen
      const left = began + patienceMs() - performance.now()
      if (left <= 0 || signal.aborted) return undefined
      // In short steps: who waits as a standby may lead at any time.
      await this.#awaiting.wait(Math.min(left, PATIENCE_MS))
    }
  }

  #set(edit: Edit): void {
    this.#table.set(edit.kind, edit.namespace, edit.name, edit.object)
    if (!this.#referencesChanged && REFERRING.has(edit.kind)) {
      // Against the settled form: whatever came in between has been looked at too.
      const before = this.#table.partitions.get(edit.namespace)?.objects.get(edit.kind)?.get(edit.name)
      this.#referencesChanged = refersElsewhere(edit.kind, before, edit.object)
    }
    this.#schedule()
  }

  // At once, but after the events that are already here: a burst of them is one change.
  #schedule(): void {
    if (this.#scheduled || this.#stopped || this.#onChange === undefined) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      if (!this.#stopped && this.#publish()) this.#onChange?.()
    })
  }

  // Returns the namespaces that changed. References follow from the partitions, and their edits come later.
  #takeEdits(): ReadonlySet<string> {
    const changed = this.#table.settle()
    if (this.#referencesChanged) {
      this.#referencesChanged = false
      this.#material.update(findReferences(this.#table.partitions, (partition) => this.#refsOf(partition)))
    }
    return changed
  }

  #refsOf(partition: Partition): readonly MaterialRef[] {
    let refs = this.#refs.get(partition)
    if (refs === undefined) {
      refs = partitionRefs(partition)
      this.#refs.set(partition, refs)
    }
    return refs
  }

  // Returns whether there is a new state.
  #publish(): boolean {
    const changed = new Set(this.#takeEdits())
    // What references had to go is gone in the same state.
    for (const namespace of this.#table.settle()) changed.add(namespace)
    const problems = this.#problems()
    const text = JSON.stringify(problems)
    const first = this.#revision === 0
    if (changed.size === 0 && text === this.#problemsText && !first) return false
    this.#problemsText = text
    const isNew = first || this.#state.resources.partitions !== this.#table.partitions
    if (isNew) this.#revision++
    this.#state = {
      resources: isNew
        ? { revision: `kubernetes-${this.#revision}`, partitions: this.#table.partitions }
        : this.#state.resources,
      problems,
      notes: [],
      changed: new Set([
        ...(this.#stateIsNew ? this.#state.changed : []),
        ...(first ? this.#table.partitions.keys() : changed),
      ]),
    }
    this.#stateIsNew = true
    return true
  }

  #problems(): readonly SourceProblem[] {
    const tellAfter = this.#options.tellAfterMs ?? TELL_AFTER_MS
    const now = Date.now()
    const failing = this.watches().filter((status) => status.problem !== undefined)
    const told = failing.filter(({ failingSince = now }) => now - failingSince >= tellAfter)
    clearTimeout(this.#problemTimer)
    if (failing.length > told.length || this.#barrier.waiting > 0) {
      this.#problemTimer = setTimeout(() => this.#schedule(), Math.max(50, tellAfter / 2))
      this.#problemTimer.unref()
    }
    const messages = [...new Set(told.map(({ problem = '' }) => problem))].sort()
    const more = messages.length - MAX_PROBLEMS
    return [
      ...messages.slice(0, MAX_PROBLEMS).map((message) => ({ message })),
      ...(more > 0 ? [{ message: `${more} more watches do not work` }] : []),
      ...this.#barrier.problems(),
    ]
  }
}

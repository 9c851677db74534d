// What follows from a state of the loop beside publishing: statuses judged and handed to the writer, rights of namespaces,
// Events, figures for the API and for metrics. controller/cluster.ts has one do its turn when a state or an answer of a
// pod is new.
import type { Claim } from '../../model/resources.ts'
import { tupleKey } from '../../model/resources.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { Sightings } from '../api/sightings.ts'
import type { Grants } from '../grants.ts'
import type { LoopState } from '../loop.ts'
import type { PodAcknowledgement } from '../publish/publisher.ts'
import type { ObjectStatus } from '../report/conditions.ts'
import type { EventWriter } from '../report/events.ts'
import type { KubernetesWriter } from '../report/kubernetes-writer.ts'
import { StatusBook } from '../report/status-book.ts'
import { claimedHosts, figuresOf, holdersOf, hostHappenings, tenantNamespaces } from './holders.ts'

export interface ReportingOptions {
  readonly writer: KubernetesWriter
  readonly grants: Grants
  readonly events: EventWriter
  /** What pods said last, and how many pods there are. */
  readonly pods: () => { readonly acknowledgements: readonly PodAcknowledgement[]; readonly known: number }
  /** Whether this replica stores and publishes. */
  readonly leads: () => boolean
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Sets of which it is known what is in them. A pod that is further behind has nothing of which anybody could be sure. */
const REMEMBERED = 32

/** See the head of this file. */
export class Reporting {
  readonly #options: ReportingOptions
  readonly #book = new StatusBook()
  readonly #sightings = new Sightings()
  #statuses: readonly ObjectStatus[] = []
  #holders: ReadonlyMap<string, string> = new Map()
  #heldBy: { readonly held: readonly Claim[]; readonly wanted: unknown } | undefined
  #told: readonly Claim[] | undefined
  #newest = ''
  #changedAt = 0
  /** Sets that pods may still have, by version, oldest first. */
  readonly #sets = new Map<string, Snapshot['shards']>()

  constructor(options: ReportingOptions) {
    this.#options = options
  }

  /** The status of every object, as judged last. */
  get statuses(): readonly ObjectStatus[] {
    return this.#statuses
  }

  /** Namespaces and the tenants that hold them. */
  get holders(): ReadonlyMap<string, string> {
    return this.#holders
  }

  /** When the snapshot became what it is, milliseconds since the epoch. */
  get changedAt(): number {
    return this.#changedAt
  }

  /** Since when an object is as ready as it is, milliseconds since the epoch. */
  since(status: ObjectStatus): number {
    return this.#sightings.since(status, this.#options.now())
  }

  /** Does all that a state asks for. */
  take(state: LoopState): void {
    const { writer, grants, now } = this.#options
    const pods = { ...this.#options.pods(), shardsOf: (set: string) => this.#sets.get(set) }
    const leads = this.#options.leads()
    const { version, endpointsRevision } = state.result.snapshot
    const named = tupleKey([version, endpointsRevision])
    if (named !== this.#newest) this.#changedAt = now()
    this.#newest = named
    this.#statuses = this.#book.update({
      partitions: state.resources.partitions,
      result: state.result,
      sourceIssues: state.source.problems.flatMap((problem) => problem.issue ?? []),
      acknowledgements: pods.acknowledgements,
      shardsOf: pods.shardsOf,
      now: now(),
    })
    this.#sightings.note(this.#statuses, now())
    this.#hold(state)
    writer.lead(leads)
    writer.report({ statuses: this.#statuses, figures: figuresOf(state, this.#holders, pods) })
    grants.update(tenantNamespaces(state, this.#holders))
    this.#tellHosts(state, leads)
  }

  /** A set is about to be published: from now on pods may have it. */
  remember({ version, shards }: Snapshot): void {
    if (this.#sets.has(version)) return
    this.#sets.set(version, shards)
    for (const oldest of this.#sets.keys()) {
      if (this.#sets.size <= REMEMBERED) break
      this.#sets.delete(oldest)
    }
  }

  #hold(state: LoopState): void {
    const held = state.resources.claims
    const wanted = state.result.claims
    if (this.#heldBy?.held === held && this.#heldBy.wanted === wanted) return
    this.#heldBy = { held, wanted }
    this.#holders = holdersOf(state)
  }

  // What changed while this replica led; what was there before is no news.
  #tellHosts(state: LoopState, leads: boolean): void {
    const { claims } = state.resources
    const before = this.#told
    if (claims === before) return
    this.#told = leads ? claims : undefined
    if (!leads || before === undefined) return
    for (const { tenant, happening } of hostHappenings(claimedHosts(before), claimedHosts(claims))) {
      this.#options.events.tell({ kind: 'Tenant', namespace: '', name: tenant }, [happening])
    }
  }
}

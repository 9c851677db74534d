// What the pods said of the newest snapshot, tenant by tenant. A pod that is behind has a tenant's newest shard all the
// same where only others changed since: nobody's status moves for somebody else's edit. Pure.
// status-book.ts makes one for each report, reporting.ts another for figures.
import type { Snapshot } from '../../model/snapshot.ts'
import type { PodAcknowledgement } from '../publish/publisher.ts'
import { cut, type Outcome } from './conditions.ts'

const NAMED_PODS = 5

/** The shards of a version that pods may still have; undefined where that is not known. */
export type ShardsOf = (version: string) => Snapshot['shards'] | undefined

/** Answers for all tenants of one snapshot. */
export class PodAnswers {
  readonly #answers: readonly PodAcknowledgement[]
  readonly #shards: Snapshot['shards']
  readonly #refused = new Map<string, { readonly outcome: Outcome; pods: number }>()
  /** Pods that have another version than the newest. */
  readonly #behind: readonly { readonly pod: string; readonly shards: Snapshot['shards'] | undefined }[]
  readonly #everywhere: Outcome

  constructor(
    snapshot: Pick<Snapshot, 'version' | 'shards'>,
    answers: readonly PodAcknowledgement[],
    shardsOf: ShardsOf = () => undefined,
  ) {
    this.#answers = answers
    this.#shards = snapshot.shards
    this.#behind = answers
      .filter(({ version }) => version !== snapshot.version)
      .map(({ pod, version }) => ({ pod, shards: shardsOf(version) }))
    this.#everywhere = everywhere(answers.length)
    for (const { pod, refused } of answers) {
      for (const { tenant, message } of refused) {
        const known = this.#refused.get(tenant)
        if (known !== undefined) {
          known.pods++
          continue
        }
        const words = cut(`Pod ${pod} keeps the former version: ${message}`)
        this.#refused.set(tenant, { outcome: { status: 'False', reason: 'PodsRefused', message: words }, pods: 1 })
      }
    }
  }

  /** How many pods serve what is newest of a tenant. */
  serving(tenant: string): number {
    return this.#answers.length - this.#without(tenant).length - (this.#refused.get(tenant)?.pods ?? 0)
  }

  /** What the condition Programmed says of whatever serves for this tenant. */
  outcome(tenant: string): Outcome {
    const refused = this.#answers.length === 0 ? undefined : this.#refused.get(tenant)
    if (refused !== undefined) return refused.outcome
    if (this.#shards.has(tenant)) {
      const without = this.#without(tenant)
      return without.length === 0 ? this.#everywhere : notYetOn(without)
    }
    return { status: 'False', reason: 'Pending', message: 'The tenant has no shard.' }
  }

  /** Pods that do not have a tenant's newest shard. Shards that did not change are the same object from set to set. */
  #without(tenant: string): readonly string[] {
    if (this.#behind.length === 0) return NONE
    const newest = this.#shards.get(tenant)
    return this.#behind
      .filter(({ shards }) => shards === undefined || shards.get(tenant) !== newest)
      .map(({ pod }) => pod)
  }
}

const NONE: readonly string[] = []

function everywhere(pods: number): Outcome {
  if (pods === 0) return { status: 'Unknown', reason: 'NoResources', message: 'No dataplane has answered yet.' }
  return { status: 'True', reason: 'Programmed', message: pods === 1 ? 'On 1 pod.' : `On ${pods} pods.` }
}

function notYetOn(pods: readonly string[]): Outcome {
  const names = pods.slice(0, NAMED_PODS).join(', ')
  return { status: 'Unknown', reason: 'PodsPending', message: cut(`Not yet on ${names}.`) }
}

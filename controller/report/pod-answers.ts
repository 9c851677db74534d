// What the pods said of the newest snapshot, tenant by tenant. Pure.
// status-book.ts makes one for each report.
import type { Snapshot } from '../../model/snapshot.ts'
import type { PodAcknowledgement } from '../publish/publisher.ts'
import { cut, type Outcome } from './conditions.ts'

const NAMED_PODS = 5

/** Answers for all tenants of one snapshot. */
export class PodAnswers {
  readonly #answers: readonly PodAcknowledgement[]
  readonly #shards: Snapshot['shards']
  readonly #refused = new Map<string, Outcome>()
  readonly #others: Outcome

  constructor(snapshot: Pick<Snapshot, 'version' | 'shards'>, answers: readonly PodAcknowledgement[]) {
    this.#answers = answers
    this.#shards = snapshot.shards
    this.#others = commonOutcome(answers, snapshot.version)
    for (const { pod, refused } of answers) {
      for (const { tenant, message } of refused) {
        if (this.#refused.has(tenant)) continue
        const words = cut(`Pod ${pod} keeps the former version: ${message}`)
        this.#refused.set(tenant, { status: 'False', reason: 'PodsRefused', message: words })
      }
    }
  }

  /** What the condition Programmed says of whatever serves for this tenant. */
  outcome(tenant: string): Outcome {
    const refused = this.#answers.length === 0 ? undefined : this.#refused.get(tenant)
    if (refused !== undefined) return refused
    if (this.#shards.has(tenant)) return this.#others
    return { status: 'False', reason: 'Pending', message: 'The tenant has no shard.' }
  }
}

function commonOutcome(answers: readonly PodAcknowledgement[], version: string): Outcome {
  if (answers.length === 0)
    return { status: 'Unknown', reason: 'NoResources', message: 'No dataplane has answered yet.' }
  const behind = answers.filter((answer) => answer.version !== version)
  if (behind.length > 0) {
    const names = behind.slice(0, NAMED_PODS).map((answer) => answer.pod)
    return { status: 'Unknown', reason: 'PodsPending', message: cut(`Not yet on ${names.join(', ')}.`) }
  }
  return {
    status: 'True',
    reason: 'Programmed',
    message: answers.length === 1 ? 'On 1 pod.' : `On ${answers.length} pods.`,
  }
}

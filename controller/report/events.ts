// Events (events.k8s.io/v1) on Tenants, Routes and Policies: what happened to them, in one word and one sentence. Made
// from the status before and after a write, so they are told by the leader only and no more often than a status changes.
// controller/cluster.ts joins it with the status writer. An Event that cannot be stored is dropped.
import { randomBytes } from 'node:crypto'
import { MAX_MESSAGE } from '../../model/issue.ts'
import { objectKey, type ObjectRef, tupleKey } from '../../model/resources.ts'
import type { ApiCalls } from '../api-calls.ts'
import { condition, type StoredStatus } from './status-body.ts'

/** What an Event may say. */
export type EventReason =
  | 'Accepted'
  | 'Rejected'
  | 'Serving'
  | 'Degraded'
  | 'KeptLastGood'
  | 'CertificateExpiring'
  | 'HostClaimed'
  | 'HostReleased'
  | 'Suspended'
  | 'Resumed'

/** One Event, before it has an object. */
export interface Happening {
  readonly reason: EventReason
  readonly note: string
}

export interface EventWriterOptions {
  readonly api: ApiCalls
  /** Name of the pod that tells. */
  readonly instance: string
  /** `metadata.uid` of an object, where it is known: what `kubectl describe` finds Events by. */
  readonly uidOf: (object: ObjectRef) => string | undefined
  readonly now?: () => number
}

export interface EventWriter {
  /** Tells, unless this object was told the same reason within the minute, or too much is told at once. */
  tell(object: ObjectRef, happenings: readonly Happening[]): void
}

const WARNINGS: ReadonlySet<EventReason> = new Set(['Rejected', 'Degraded', 'KeptLastGood', 'CertificateExpiring'])
const MINUTE_MS = 60_000
const REMEMBERED = 10_000
const PER_SECOND = 10
const BURST = 25
const TIMEOUT_MS = 10_000
const API_VERSION = 'atrium.dev/v1alpha1'

/** What is worth an Event between two statuses of one object. Pure. */
export function happenings(before: StoredStatus | undefined, after: StoredStatus): readonly Happening[] {
  const told: Happening[] = []
  const accepted = condition(after, 'Accepted')
  const ready = condition(after, 'Ready')
  const wasAccepted = condition(before, 'Accepted')?.status
  const wasReady = condition(before, 'Ready')
  if (accepted?.status === 'False' && (wasAccepted !== 'False' || changed(before, after, 'Accepted'))) {
    told.push({ reason: 'Rejected', note: words(accepted.reason, accepted.message) })
  }
  if (accepted?.status === 'True' && wasAccepted !== 'True' && ready?.status !== 'True') {
    told.push({ reason: 'Accepted', note: 'The newest form is valid.' })
  }
  if (ready?.status === 'True' && wasReady?.status !== 'True') {
    const resumed = wasReady?.reason === 'Suspended'
    told.push({ reason: resumed ? 'Resumed' : 'Serving', note: ready.message === '' ? 'It serves.' : ready.message })
  }
  if (ready?.status === 'False' && accepted?.status === 'True' && changed(before, after, 'Ready')) {
    const reason = ready.reason === 'Suspended' ? 'Suspended' : 'Degraded'
    told.push({ reason, note: words(ready.reason, ready.message) })
  }
  if (begins(before, after, 'Programmed', 'KeptLastGood')) {
    told.push({ reason: 'KeptLastGood', note: condition(after, 'Programmed')?.message ?? '' })
  }
  if (begins(before, after, 'ResolvedRefs', 'CertificateExpiring')) {
    told.push({ reason: 'CertificateExpiring', note: condition(after, 'ResolvedRefs')?.message ?? '' })
  }
  return told
}

/** Makes a teller. */
export function createEventWriter(options: EventWriterOptions): EventWriter {
  const now = options.now ?? (() => Date.now())
  const told = new Map<string, number>()
  let tokens = BURST
  let filledAt = now()
  const spend = (moment: number): boolean => {
    tokens = Math.min(BURST, tokens + (Math.max(0, moment - filledAt) / 1_000) * PER_SECOND)
    filledAt = moment
    if (tokens < 1) return false
    tokens -= 1
    return true
  }
  return {
    tell(object, list) {
      for (const happening of list) {
        const moment = now()
        const key = tupleKey([objectKey(object), happening.reason])
        const last = told.get(key)
        if (last !== undefined && moment >= last && moment - last < MINUTE_MS) continue
        if (!spend(moment)) continue
        told.delete(key)
        told.set(key, moment)
        const oldest = told.size > REMEMBERED ? told.keys().next().value : undefined
        if (oldest !== undefined) told.delete(oldest)
        void send(options, object, happening, new Date(moment))
      }
    },
  }
}

async function send(options: EventWriterOptions, object: ObjectRef, happening: Happening, time: Date): Promise<void> {
  const { kind, namespace, name } = object
  const uid = options.uidOf(object)
  // Events of objects without a namespace live in `default`, as those of Nodes do.
  const where = namespace === '' ? 'default' : namespace
  const event = {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name: `${name.slice(0, 230)}.${randomBytes(8).toString('hex')}`, namespace: where },
    eventTime: time.toISOString().replace('Z', '000Z'),
    type: WARNINGS.has(happening.reason) ? 'Warning' : 'Normal',
    reason: happening.reason,
    action: ACTIONS[happening.reason],
    note: happening.note.slice(0, MAX_MESSAGE),
    reportingController: 'atrium.dev/controller',
    reportingInstance: options.instance.slice(0, 128),
    regarding: {
      apiVersion: API_VERSION,
      kind,
      name,
      ...(namespace === '' ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
    },
  }
  const path = `/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(where)}/events`
  await options.api.request({ method: 'POST', path, body: event, timeoutMs: TIMEOUT_MS }).catch(() => undefined)
}

/** What Atrium did, as the API asks for. */
const ACTIONS: Readonly<Record<EventReason, string>> = {
  Accepted: 'Compile',
  Rejected: 'Compile',
  Serving: 'Publish',
  Degraded: 'Publish',
  KeptLastGood: 'Compile',
  CertificateExpiring: 'Check',
  HostClaimed: 'Claim',
  HostReleased: 'Claim',
  Suspended: 'Publish',
  Resumed: 'Publish',
}

function begins(before: StoredStatus | undefined, after: StoredStatus, type: string, reason: EventReason): boolean {
  return condition(after, type)?.reason === reason && condition(before, type)?.reason !== reason
}

// Another reason, or the same about a newer generation.
function changed(before: StoredStatus | undefined, after: StoredStatus, type: string): boolean {
  const was = condition(before, type)
  const is = condition(after, type)
  return was?.status !== is?.status || was?.reason !== is?.reason || was?.observedGeneration !== is?.observedGeneration
}

function words(reason: string, message: string): string {
  return message === '' ? reason : `${reason}: ${message}`
}

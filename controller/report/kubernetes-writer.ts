// Writes the status of Tenants, Routes and Policies through the status subresource: only what changed, only while this
// process leads, within a budget, and never in anybody's way. controller/cluster.ts hands it every state; a new leader
// first reads what its predecessor wrote, and reads it again now and then, because somebody may have written over it.
import { type ObjectRef, objectKey } from '../../model/resources.ts'
import { type ApiCalls, type ApiResult, FIELD_MANAGER, PATCH_TYPES } from '../api-calls.ts'
import { type Urgency, WRITE_LIMITS, type WriteLimits, WriteQueue } from '../write-queue.ts'
import type { ObjectStatus } from './conditions.ts'
import { HeldBack } from './held-back.ts'
import {
  condition,
  readStoredStatus,
  type StatusFigures,
  type StoredStatus,
  sameStatus,
  statusBody,
} from './status-body.ts'

/** What is written about: the newest of everything. */
export interface StatusReport {
  readonly statuses: readonly ObjectStatus[]
  /** Beside the conditions; asked just before a write. */
  figures(status: ObjectStatus): StatusFigures
}

export interface KubernetesWriterOptions {
  readonly api: ApiCalls
  /** The fence while this process leads. Asked before every write. */
  readonly fence: () => number | undefined
  readonly limits?: WriteLimits
  /** Called after a status was stored, with what was there before. */
  readonly onWritten?: (status: ObjectStatus, before: StoredStatus | undefined, after: StoredStatus) => void
  /** One sentence, once for each new kind of trouble. */
  readonly warn: (message: string, error?: unknown) => void
  /** Milliseconds since the epoch, for lastTransitionTime. */
  readonly now?: () => number
}

export interface KubernetesWriter {
  /** The newest state. Returns at once; what of it is written depends on leadership and budget. */
  report(report: StatusReport): void
  /** This process began or ceased to lead. */
  lead(leads: boolean): void
  /** Objects whose status is not written yet. */
  waiting(): number
  /** Writes what little is due at once, for at most this long, and stops. */
  stop(patienceMs: number): Promise<void>
}

const KINDS = ['Tenant', 'Route', 'Policy'] as const
type Kind = (typeof KINDS)[number]
const PLURALS: Readonly<Record<Kind, string>> = { Tenant: 'tenants', Route: 'routes', Policy: 'policies' }
const GROUP = '/apis/atrium.dev/v1alpha1'
const AT_ONCE = 8
const TIMEOUT_MS = 10_000
const PAGE = 500
const PIECE = 200
/** A push takes some 20 ms; a pod that is not reached within this is worth telling of. */
const ON_ITS_WAY_MS = 1_000
const AUDIT_MS = 1_800_000
const AUDIT_AGAIN_MS = 5_000

/** Makes a writer. Nothing is written before it leads and has a report. */
export function createKubernetesWriter(options: KubernetesWriterOptions): KubernetesWriter {
  return new StatusWriter(options)
}

class StatusWriter implements KubernetesWriter {
  readonly #options: KubernetesWriterOptions
  readonly #limits: WriteLimits
  readonly #now: () => number
  #queue: WriteQueue
  #statuses = new Map<string, ObjectStatus>()
  #figures: StatusReport['figures'] | undefined
  /** What the API server holds, as far as is known. */
  readonly #stored = new Map<string, StoredStatus>()
  /** Written since the audit began. */
  readonly #written = new Set<string>()
  /** By what is on its way to the pods just now. */
  readonly #held = new HeldBack(ON_ITS_WAY_MS)
  #heldTimer: NodeJS.Timeout | undefined
  #told = new Map<string, StatusFigures>()
  #audited = false
  #leads = false
  #stopped = false
  #busy = 0
  #timer: NodeJS.Timeout | undefined
  #auditTimer: NodeJS.Timeout | undefined
  #auditRun = 0
  readonly #troubles = new Set<string>()
  #idle: (() => void) | undefined

  constructor(options: KubernetesWriterOptions) {
    this.#options = options
    this.#limits = options.limits ?? WRITE_LIMITS
    this.#now = options.now ?? (() => Date.now())
    this.#queue = new WriteQueue(this.#limits)
  }

  report({ statuses, figures }: StatusReport): void {
    this.#figures = figures
    const next = new Map<string, ObjectStatus>()
    for (const status of statuses) {
      if (!isOurs(status.object)) continue
      const key = objectKey(status.object)
      next.set(key, status)
      const changed = this.#statuses.get(key) !== status
      if (changed || (status.object.kind === 'Tenant' && this.#moved(key, figures(status)))) this.#want(key, status)
    }
    for (const key of this.#statuses.keys()) if (!next.has(key)) this.#forget(key)
    this.#statuses = next
    this.#awaitHeld()
    this.#pump()
  }

  lead(leads: boolean): void {
    if (this.#leads === leads || this.#stopped) return
    this.#leads = leads
    this.#auditRun++
    clearTimeout(this.#auditTimer)
    if (!leads) return
    this.#queue = new WriteQueue(this.#limits)
    this.#stored.clear()
    this.#held.clear()
    this.#audited = false
    void this.#audit(this.#auditRun)
  }

  waiting(): number {
    return this.#queue.length + this.#busy
  }

  async stop(patienceMs: number): Promise<void> {
    clearTimeout(this.#auditTimer)
    this.#auditRun++
    if (this.#leads && this.waiting() > 0) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#idle = resolve
        timer = setTimeout(resolve, patienceMs)
        this.#pump()
      })
      clearTimeout(timer)
    }
    this.#stopped = true
    clearTimeout(this.#timer)
    clearTimeout(this.#heldTimer)
  }

  #want(key: string, status: ObjectStatus): void {
    if (!this.#leads || !this.#audited || this.#holdsBack(key, status)) return
    this.#queue.add(key, urgencyOf(status, this.#stored.get(key)), status.tenant)
  }

  #holdsBack(key: string, status: ObjectStatus): boolean {
    if (isOnItsWay(status)) return this.#held.holds(key, performance.now())
    this.#held.letGo(key)
    return false
  }

  #awaitHeld(): void {
    clearTimeout(this.#heldTimer)
    const wait = this.#held.waitMs(performance.now())
    if (wait === undefined || this.#stopped) return
    this.#heldTimer = setTimeout(() => {
      for (const key of this.#held.due(performance.now())) {
        const status = this.#statuses.get(key)
        if (status !== undefined) this.#want(key, status)
      }
      this.#awaitHeld()
      this.#pump()
    }, wait)
    this.#heldTimer.unref()
  }

  // A Tenant's figures change with the pods and its namespaces, which its conditions need not show.
  #moved(key: string, figures: StatusFigures): boolean {
    const told = this.#told.get(key)
    this.#told.set(key, figures)
    return (
      told?.podsServing !== figures.podsServing ||
      told.podsDesired !== figures.podsDesired ||
      told.hosts !== figures.hosts ||
      told.namespaces !== figures.namespaces
    )
  }

  #forget(key: string): void {
    this.#queue.delete(key)
    this.#held.letGo(key)
    this.#stored.delete(key)
    this.#told.delete(key)
  }

  #body(status: ObjectStatus, stored: StoredStatus | undefined, figures: StatusReport['figures']): StoredStatus {
    return statusBody(status, stored, figures(status), this.#now())
  }

  #pump(): void {
    clearTimeout(this.#timer)
    while (!this.#stopped && this.#leads && this.#audited && this.#busy < AT_ONCE) {
      const next = this.#queue.take(performance.now())
      if (next === undefined) break
      if ('waitMs' in next) {
        this.#timer = setTimeout(() => this.#pump(), next.waitMs)
        this.#timer.unref()
        return
      }
      this.#busy++
      void this.#write(next.key).finally(() => {
        this.#busy--
        this.#pump()
      })
    }
    if (this.waiting() === 0) this.#idle?.()
  }

  async #write(key: string): Promise<void> {
    const status = this.#statuses.get(key)
    const figures = this.#figures
    const queue = this.#queue
    const before = this.#stored.get(key)
    if (status === undefined || figures === undefined || this.#holdsBack(key, status)) {
      queue.skipped(key)
      return
    }
    const body = this.#body(status, before, figures)
    if (sameStatus(before, body) || this.#options.fence() === undefined) {
      queue.skipped(key)
      return
    }
    try {
      const answer = await this.#options.api.request({
        method: 'PATCH',
        path: `${pathOf(status.object)}/status`,
        query: { fieldManager: FIELD_MANAGER },
        contentType: PATCH_TYPES.merge,
        body: { status: patchOf(before ?? {}, body) },
        timeoutMs: TIMEOUT_MS,
      })
      this.#settle(queue, key, answer, { status, before, body })
    } catch (error) {
      queue.failed(key, performance.now(), Math.random())
      this.#complain('no answer', 'The status of objects cannot be written: no answer; trying again', error)
    }
  }

  #settle(
    queue: WriteQueue,
    key: string,
    answer: ApiResult,
    { status, before, body }: { status: ObjectStatus; before: StoredStatus | undefined; body: StoredStatus },
  ): void {
    const now = performance.now()
    if (answer.status >= 200 && answer.status < 300) {
      queue.done(key, now)
      this.#troubles.clear()
      if (queue !== this.#queue) return
      this.#written.add(key)
      if (this.#statuses.has(key)) this.#stored.set(key, body)
      this.#options.onWritten?.(status, before, body)
      return
    }
    if (answer.status === 404) {
      // Gone, and the watch will say so.
      queue.skipped(key)
      return
    }
    if (answer.retryAfterMs !== undefined) queue.pause(now + answer.retryAfterMs)
    queue.failed(key, now, Math.random())
    const what = `The status of objects cannot be written: ${answer.status} ${reasonOf(answer.body)}`.trimEnd()
    if (answer.status !== 409) this.#complain(String(answer.status), `${what}; trying again`)
  }

  /** Reads what is stored, page by page, and queues what differs. */
  async #audit(run: number): Promise<void> {
    const stored = new Map<string, StoredStatus>()
    this.#written.clear()
    try {
      for (const kind of KINDS) {
        let from: string | undefined
        do {
          from = await this.#readPage(kind, from, stored)
          if (run !== this.#auditRun) return
        } while (from !== undefined)
      }
    } catch (error) {
      if (run !== this.#auditRun) return
      this.#complain('audit', 'The status of objects cannot be read; trying again', error)
      this.#auditAgain(run, AUDIT_AGAIN_MS)
      return
    }
    this.#troubles.delete('audit')
    for (const [key, status] of stored) if (!this.#written.has(key)) this.#stored.set(key, status)
    this.#audited = true
    await this.#queueDifferences(run)
    if (run === this.#auditRun) this.#auditAgain(run, AUDIT_MS * (0.75 + Math.random() / 2))
  }

  // In pieces: nobody waits for it.
  async #queueDifferences(run: number): Promise<void> {
    let count = 0
    for (const [key, status] of [...this.#statuses]) {
      if (run !== this.#auditRun || this.#figures === undefined) return
      const stored = this.#stored.get(key)
      if (!sameStatus(stored, this.#body(status, stored, this.#figures))) this.#want(key, status)
      if (++count % PIECE === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    this.#awaitHeld()
    this.#pump()
  }

  #auditAgain(run: number, wait: number): void {
    this.#auditTimer = setTimeout(() => void this.#audit(run), wait)
    this.#auditTimer.unref()
  }

  async #readPage(kind: Kind, from: string | undefined, into: Map<string, StoredStatus>): Promise<string | undefined> {
    const { status, body } = await this.#options.api.request({
      path: `${GROUP}/${PLURALS[kind]}`,
      query: { limit: PAGE, continue: from },
    })
    // A token that is too old: what is left unread is written anew.
    if (status === 410) return undefined
    if (status !== 200) throw new Error(`GET ${PLURALS[kind]} answered ${status}`)
    const list = Object(body)
    for (const item of Array.isArray(list.items) ? list.items : []) {
      const { metadata, status: stored } = Object(item)
      const { name, namespace } = Object(metadata)
      if (typeof name !== 'string') continue
      const ref = { kind, namespace: typeof namespace === 'string' ? namespace : '', name }
      if (stored !== undefined) into.set(objectKey(ref), readStoredStatus(stored))
    }
    const next: unknown = Object(list.metadata).continue
    return typeof next === 'string' && next !== '' ? next : undefined
  }

  #complain(what: string, message: string, error?: unknown): void {
    if (this.#troubles.has(what)) return
    this.#troubles.add(what)
    this.#options.warn(`${message}. Serving is not affected.`, error)
  }
}

// Of a Tenant the number of pods is told at once.
function isOnItsWay({ object, ready }: ObjectStatus): boolean {
  return object.kind !== 'Tenant' && ready.status === 'Unknown' && ready.reason === 'PodsPending'
}

function isOurs(object: ObjectRef): boolean {
  return KINDS.some((kind) => kind === object.kind)
}

// Rejections first; a Tenant tells about many Routes; that what was ready is ready in a newer generation is little news.
function urgencyOf({ object, ready }: ObjectStatus, stored: StoredStatus | undefined): Urgency {
  if (ready.status === 'False') return 0
  if (object.kind === 'Tenant') return 1
  return ready.status === 'True' && condition(stored, 'Ready')?.status === 'True' ? 3 : 2
}

function pathOf({ kind, namespace, name }: ObjectRef): string {
  const plural = KINDS.find((each) => each === kind)
  const within = namespace === '' ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  return `${GROUP}${within}/${plural === undefined ? '' : PLURALS[plural]}/${encodeURIComponent(name)}`
}

/** A merge patch (RFC 7396): fields that are not there any more are set to null. Lists go whole. */
function patchOf(before: object, after: object): Readonly<Record<string, unknown>> {
  const former = new Map<string, unknown>(Object.entries(before))
  const patch: Record<string, unknown> = {}
  for (const name of former.keys()) if (!(name in after)) patch[name] = null
  for (const [name, value] of Object.entries(after)) {
    const old = former.get(name)
    patch[name] = isRecord(value) && isRecord(old) ? patchOf(old, value) : value
  }
  return patch
}

function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function reasonOf(body: unknown): string {
  const reason: unknown = Object(body).reason
  return typeof reason === 'string' && /^[A-Za-z]{1,40}$/.test(reason) ? reason : ''
}

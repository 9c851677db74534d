// List-and-watch of one resource, meant never to go blind: whatever fails is tried again, what was read stays in use, a
// watch that says nothing is not believed. Feeds a KindCache. source.ts makes one for each kind, material-watches more.
import type { ApiClient, ApiRequest, ApiResponse } from './client.ts'
import { ApiFailure } from './api-failure.ts'
import { Backoff } from './backoff.ts'
import type { KindCache, Listing } from './kind-cache.ts'
import { type ApiResource, listPath } from './kinds.ts'
import { readPages, versionOf } from './read-pages.ts'
import { REFLECTOR_TIMING, type ReflectorTiming } from './reflector-timing.ts'
import { isOlder, newerVersion } from './resource-version.ts'
import { readWatchEvent } from './watch-event.ts'
import { RoundFailure, WatchRound } from './watch-round.ts'
import type { WatchStatus } from './watch-status.ts'

/** Where lists and events go. */
export type ListedObjects = Pick<KindCache, 'size' | 'beginList' | 'listed' | 'endList' | 'apply'>

export interface ReflectorOptions {
  readonly client: ApiClient
  readonly resource: ApiResource
  readonly cache: ListedObjects
  /** One namespace. Default: all. */
  readonly namespace?: string
  readonly fieldSelector?: string
  readonly labelSelector?: string
  /** Watch over a shared HTTP/2 connection. */
  readonly shared?: boolean
  readonly timing?: Partial<ReflectorTiming>
  /** Where many share one budget: resolves when this one may ask, with what gives its turn back. */
  readonly turn?: () => Promise<() => void>
  /** Failures are retried quickly only after `hurry`, not after the start: rights are not there before. */
  readonly waitsForRights?: boolean
  /** Everything up to this version has been seen. */
  readonly onProgress?: (version: string) => void
  /** The world went back to an older version: others should list too. */
  readonly onRewind?: () => void
  /** What `status()` says about failing has changed. */
  readonly onStatus?: () => void
}

/** How often the same version may fail to be watched before it is listed anew. */
const MAX_WATCH_FAILURES = 3
/** An absent CRD must be absent twice before objects that were there are gone: servers answer 404 while they start. */
const ABSENT_TWICE_MS = 2_000

/** A list-and-watch. */
export class Reflector {
  readonly #options: ReflectorOptions
  readonly #timing: ReflectorTiming
  readonly #backoff: Backoff
  readonly #abort = new AbortController()
  readonly #resource: ApiResource
  #prefix = 0
  #version: string | undefined
  #highest: string | undefined
  #synced = false
  #syncedCallbacks: (() => void)[] = []
  #lastEventAt = 0
  #relists = 0
  #failures = 0
  #unreadable = 0
  #problem: string | undefined
  #failingSince: number | undefined
  /** From here on failures are retried quickly for a while. */
  #eagerFrom = Number.NEGATIVE_INFINITY
  #pageSize: number
  #doubtedSince: number | undefined
  #absentOnce = false
  #quiet = true
  #watchFailures = 0
  #probeFirst = false
  #fresh = false
  #believeNext = false
  #interrupt: (() => void) | undefined
  #paused = false
  #running: Promise<void> | undefined
  #offReturn: (() => void) | undefined
  #hurryTimer: NodeJS.Timeout | undefined

  constructor(options: ReflectorOptions) {
    this.#options = options
    this.#resource = options.resource
    this.#timing = { ...REFLECTOR_TIMING, ...options.timing }
    this.#backoff = new Backoff(this.#timing.backoff)
    this.#pageSize = this.#timing.pageSize
  }

  /** Begins; resolves at the first complete list, which may never come. */
  start(): Promise<void> {
    if (this.#options.waitsForRights !== true) this.#eagerFrom = performance.now()
    this.#running ??= this.#run()
    this.#offReturn ??= this.#options.client.onReturn(() => this.#serverReturned())
    return this.synced()
  }

  /** Resolves at the first complete list. */
  synced(): Promise<void> {
    if (this.#synced) return Promise.resolve()
    return new Promise((resolve) => {
      this.#syncedCallbacks.push(resolve)
    })
  }

  async stop(): Promise<void> {
    this.#abort.abort(new ApiFailure('aborted', 'stopped'))
    this.#offReturn?.()
    clearTimeout(this.#hurryTimer)
    this.#interrupt?.()
    await this.#running
  }

  /** Lists anew and believes it, however old: somebody else has found that the world went back. */
  resync(): void {
    this.#believeNext = true
    this.#version = undefined
    this.#interrupt?.()
  }

  /** Ends a wait after a failure: its cause may be gone. */
  hurry(): void {
    this.#eagerFrom = performance.now()
    this.#resume()
  }

  #resume(): void {
    this.#backoff.reset()
    if (this.#paused) this.#interrupt?.()
  }

  /** Counts an object that could not be read. */
  countUnreadable(): void {
    this.#unreadable++
  }

  /** Everything up to this version has been seen; undefined before the first list. */
  get version(): string | undefined {
    return this.#synced ? this.#version : undefined
  }

  status(): WatchStatus {
    return {
      resource: this.#resource.plural,
      namespace: this.#options.namespace ?? '',
      synced: this.#synced,
      lastEventAt: this.#lastEventAt,
      relists: this.#relists,
      failures: this.#failures,
      unreadable: this.#unreadable,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
      ...(this.#failingSince === undefined ? {} : { failingSince: this.#failingSince }),
    }
  }

  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        if (this.#version === undefined) await this.#inTurn(() => this.#list())
        else if (this.#probeFirst) await this.#probe(this.#version)
        if (this.#version !== undefined) await this.#watch(this.#version)
      } catch (error) {
        await this.#fail(error)
      }
    }
  }

  // Those that share connections are many: a server that has just come back does not get them all at once.
  #serverReturned(): void {
    clearTimeout(this.#hurryTimer)
    const wait = this.#options.shared === true ? Math.random() * this.#timing.returnSpreadMs : 0
    this.#hurryTimer = setTimeout(() => this.#resume(), wait)
    this.#hurryTimer.unref()
  }

  async #inTurn<Result>(ask: () => Promise<Result>): Promise<Result> {
    const done = await this.#options.turn?.()
    try {
      return await ask()
    } finally {
      done?.()
    }
  }

  async #fail(error: unknown): Promise<void> {
    if (this.#abort.signal.aborted) return
    const failure = error instanceof RoundFailure ? error : new RoundFailure(messageOf(error))
    if (failure.wait === 'absent') return this.#pause(this.#timing.absentRecheckMs)
    if (failure.wait === 'none') return
    this.#failures++
    this.#failingSince ??= Date.now()
    const changed = this.#problem !== failure.message
    this.#problem = failure.message
    if (changed) this.#options.onStatus?.()
    if (failure.wait === 'disbelief') return this.#pause(this.#timing.disbeliefRetryMs * (0.5 + Math.random()))
    const wait = this.#backoff.next(failure.retryAfterMs)
    const eager = performance.now() - this.#eagerFrom < this.#timing.eagerMs && failure.retryAfterMs === 0
    await this.#pause(eager ? Math.min(wait, this.#timing.eagerRetryMs) : wait)
  }

  #works(): void {
    this.#lastEventAt = Date.now()
    if (this.#problem === undefined) return
    this.#problem = undefined
    this.#failingSince = undefined
    this.#options.onStatus?.()
  }

  // Ends early when stopped or told to list.
  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.#paused = false
        this.#interrupt = undefined
        resolve()
      }
      const timer = setTimeout(done, milliseconds)
      this.#interrupt = done
      this.#paused = true
      if (this.#abort.signal.aborted) done()
    })
  }

  async #list(): Promise<void> {
    const { cache } = this.#options
    const believe = this.#believeNext
    const listing = cache.beginList()
    const version = await this.#pages(listing)
    if (version === undefined) return
    const older = this.#highest !== undefined && isOlder(version, this.#highest)
    if (older && !believe) this.#doubt()
    this.#doubtedSince = undefined
    this.#believeNext = false
    this.#fresh = false
    cache.endList(listing, version, older || believe)
    this.#highest = older || believe ? version : newerVersion(this.#highest, version)
    this.#listed(version)
    if (older && !believe) this.#options.onRewind?.()
  }

  #listed(version: string | undefined): void {
    if (this.#synced && version !== undefined) this.#relists++
    this.#version = version
    this.#watchFailures = 0
    this.#probeFirst = false
    this.#works()
    if (version !== undefined) this.#options.onProgress?.(version)
    if (this.#synced) return
    this.#synced = true
    for (const resolve of this.#syncedCallbacks.splice(0)) resolve()
  }

  // Throws until the list has been as old for long enough, each time asking over another connection.
  #doubt(): void {
    const now = performance.now()
    this.#doubtedSince ??= now
    this.#fresh = true
    if (now - this.#doubtedSince >= this.#timing.disbeliefMs) return
    throw new RoundFailure(
      `${this.#resource.plural} were listed at an older version than was seen; what was read before stays in use`,
      'disbelief',
    )
  }

  // The version of a complete list; undefined where the kind does not exist and need not.
  async #pages(listing: Listing): Promise<string | undefined> {
    const { client, cache } = this.#options
    const { plural } = this.#resource
    const read = await this.#bounded(
      readPages({
        client,
        request: this.#request(this.#timing.listTimeoutMs),
        pageSize: this.#pageSize,
        onItems: (items) => {
          for (const item of items) cache.listed(listing, item)
          this.#lastEventAt = Date.now()
        },
      }),
    )
    if (read.complete) {
      this.#absentOnce = false
      if (read.version === '') throw new RoundFailure(`the list of ${plural} has no resourceVersion`)
      return read.version
    }
    if (read.response.status === 404 && read.first) this.#absent()
    // The rest of the list is gone; the next attempt starts over.
    if (read.response.status === 410) throw new RoundFailure(`listing ${plural} took too long`)
    this.#check(read.response, 'listed')
    return undefined
  }

  #absent(): void {
    const { optional, plural, prefixes } = this.#resource
    if (this.#prefix < prefixes.length - 1) {
      this.#prefix++
      throw new RoundFailure(`${plural} are not served as ${prefixes[this.#prefix - 1]}`, 'none')
    }
    this.#prefix = 0
    if (!optional) throw new RoundFailure(`${plural} cannot be listed: their kind is not installed`)
    if (!this.#absentOnce && this.#options.cache.size > 0) {
      this.#absentOnce = true
      throw new RoundFailure(`${plural} are not served any more`, 'backoff', ABSENT_TWICE_MS)
    }
    this.#options.cache.endList(this.#options.cache.beginList(), '', true)
    this.#highest = undefined
    this.#listed(undefined)
    throw new RoundFailure('absent', 'absent')
  }

  #check(response: ApiResponse, done: 'listed' | 'watched'): void {
    const { status } = response
    const { plural } = this.#resource
    const where = this.#options.namespace === undefined ? '' : ` in namespace ${this.#options.namespace}`
    if (status === 200) return
    const kept = this.#synced ? '; what was read before stays in use' : ''
    if (status === 403) throw new RoundFailure(`${plural}${where} may not be ${done} (403): rights are missing${kept}`)
    if (status === 401) throw new RoundFailure(`the API server does not accept the credentials (401)${kept}`)
    throw new RoundFailure(
      `${plural}${where} cannot be ${done}: the API server answered ${status}${kept}`,
      'backoff',
      response.retryAfterMs ?? 0,
    )
  }

  // A page of large objects: fewer at a time, down to one.
  async #bounded<Answer>(reading: Promise<Answer>): Promise<Answer> {
    try {
      return await reading
    } catch (error) {
      if (!(error instanceof ApiFailure && error.kind === 'tooLarge') || this.#pageSize === 1) throw error
      this.#pageSize = Math.max(1, Math.floor(this.#pageSize / 4))
      throw new RoundFailure(error.message, 'none')
    }
  }

  #request(timeoutMs: number): ApiRequest {
    return {
      path: this.#path(),
      query: this.#selectors(),
      signal: this.#abort.signal,
      timeoutMs,
      maxBytes: this.#timing.pageBytes,
      shared: this.#options.shared === true,
      freshConnection: this.#fresh,
    }
  }

  #path(): string {
    const prefix = this.#resource.prefixes[this.#prefix] ?? ''
    return listPath(this.#resource, prefix, this.#options.namespace)
  }

  #selectors() {
    return {
      fieldSelector: this.#options.fieldSelector ?? this.#resource.fieldSelector,
      labelSelector: this.#options.labelSelector,
    }
  }

  // A watch from a version that the server has not reached yet says nothing at all, so its version is asked first.
  async #probe(version: string): Promise<void> {
    const request = this.#request(this.#timing.headTimeoutMs)
    const response = await this.#options.client.request({ ...request, query: { ...request.query, limit: 1 } })
    if (response.status !== 404) this.#check(response, 'listed')
    this.#probeFirst = false
    const now = versionOf(response.body)
    if (response.status === 404 || isOlder(now, version)) this.#version = undefined
    else this.#lastEventAt = Date.now()
  }

  async #watch(from: string): Promise<void> {
    const [low, high] = this.#quiet ? this.#timing.quietWatchSeconds : this.#timing.busyWatchSeconds
    const round = new WatchRound(this.#timing.silenceMs)
    this.#interrupt = () => round.interrupt()
    try {
      const request = this.#request(this.#timing.headTimeoutMs)
      const answer = await this.#inTurn(() =>
        this.#options.client.watch({
          ...request,
          query: {
            ...request.query,
            watch: true,
            resourceVersion: from,
            allowWatchBookmarks: true,
            timeoutSeconds: Math.max(1, Math.round(low + Math.random() * (high - low))),
          },
          onLine: (line) => this.#line(line, round),
          onEnd: (failure) => round.end(failure),
        }),
      )
      this.#fresh = false
      if (!answer.open) {
        if (answer.response.status === 410) throw this.#expire()
        if (answer.response.status === 404) this.#version = undefined
        this.#check(answer.response, 'watched')
        return
      }
      round.open(() => answer.close())
      this.#works()
      await round.ended
      this.#afterWatch(round)
    } catch (error) {
      this.#suspect(from)
      throw error
    } finally {
      if (round.progressed || round.livedMs >= this.#timing.settledMs) this.#backoff.reset()
      this.#interrupt = undefined
      round.close()
    }
  }

  #afterWatch(round: WatchRound): void {
    const wasQuiet = this.#quiet
    this.#quiet = !round.busy || round.silent
    if (round.interrupted) return
    // Not even the bookmark before the end: this version may be one that the server never reached.
    if (round.lines === 0 || round.silent) this.#distrust()
    // A long watch may just have nothing to say; one that asked for an early bookmark should have had it.
    if (round.silent && wasQuiet) {
      throw new RoundFailure(`the watch of ${this.#resource.plural} said nothing for too long`)
    }
    if (!round.silent && round.lines === 0 && round.livedMs < this.#timing.settledMs) {
      throw new RoundFailure(`the watch of ${this.#resource.plural} ended at once`)
    }
  }

  // Of many that share connections each one's proof would be a storm: their connections prove themselves by PING, and
  // that the world went back is told by the watches of whole kinds.
  #distrust(): void {
    if (this.#options.shared === true) return
    this.#probeFirst = true
    this.#fresh = true
  }

  // After a failure the server may be another one, or the same after a restore.
  #suspect(from: string): void {
    this.#distrust()
    this.#watchFailures = this.#version === from ? this.#watchFailures + 1 : 1
    if (this.#watchFailures >= MAX_WATCH_FAILURES) {
      this.#watchFailures = 0
      this.#version = undefined
    }
  }

  #line(line: string, round: WatchRound): void {
    if (round.done) return
    round.heard()
    this.#works()
    const event = readWatchEvent(line)
    const { plural } = this.#resource
    switch (event.type) {
      case 'object':
        round.busy = true
        this.#apply(event.object, event.deleted)
        this.#advance(event.version, round)
        return
      case 'bookmark':
        this.#advance(event.version, round)
        return
      case 'error':
        if (event.code === 410) round.end(this.#expire())
        else round.end(new RoundFailure(`the watch of ${plural} ended with ${event.code} ${event.reason}`))
        return
      case 'broken':
        round.end(new RoundFailure(`the watch of ${plural} sent an event that cannot be read`))
        return
      case 'unknown':
        return
    }
  }

  // Whatever one object makes the code behind the cache do, the watch goes on.
  #apply(object: unknown, deleted: boolean): void {
    try {
      this.#options.cache.apply(object, deleted)
    } catch {
      this.#unreadable++
    }
  }

  #advance(version: string, round: WatchRound): void {
    if (version === '' || this.#version === undefined) return
    round.progressed = true
    this.#version = newerVersion(this.#version, version)
    this.#highest = newerVersion(this.#highest, version)
    this.#watchFailures = 0
    this.#options.onProgress?.(this.#version)
  }

  // What the watch would continue from is compacted away: list again.
  #expire(): RoundFailure {
    this.#version = undefined
    return new RoundFailure(`the watch of ${this.#resource.plural} expired (410)`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown failure'
}

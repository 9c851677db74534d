// What the demo does, apart from how it looks: traffic, the actions behind the keys, the figures of each second. The
// screen and the JSON lines are two listeners of the same session.
import type { ChildProcess } from 'node:child_process'
import { findingKey } from '../bin/finding-key.ts'
import type { Finding } from '../bin/output/issues.ts'
import type { Backends } from './backends.ts'
import { type Counters, countersOf, rowOf, type TenantRow } from './figures.ts'
import type { DemoGateway } from './gateway.ts'
import { type Isolation, judge } from './isolation.ts'
import { parseMetrics, type Sample, sumOf } from './metrics-text.ts'
import { BACKENDS, FRAGILE, NOISY, TRAFFIC } from './plan.ts'
import { type Phase, TrafficRecord } from './record.ts'
import { startTraffic } from './traffic-messages.ts'
import type { DemoWorld } from './world.ts'

/** Something that happened, with the command that does the same, or looks at it, without the demo. */
export interface DemoEvent {
  readonly at: Date
  readonly kind: 'noisy' | 'quiet' | 'backend' | 'config' | 'explain'
  readonly text: string
  readonly command?: string
}

export interface SessionOptions {
  readonly gateway: DemoGateway
  readonly backends: Backends
  readonly world: DemoWorld
  /** `--config examples/demo --config /tmp/… --allow-endpoints 127.0.0.0/8`, for the commands that events show. */
  readonly configFlags: string
  readonly onEvent: (event: DemoEvent) => void
  readonly onChange: () => void
}

interface Reading {
  readonly at: number
  readonly samples: readonly Sample[]
  readonly counters: ReadonlyMap<string, Counters>
}

const WARMING_REPORTS = 3
const SPOILT_REPORTS = 3
const STARTING_REPORTS = 1
const VICTIM_OF_DEATH = 'acme'
const EJECTED = 'ejected'
/** Reasons that only repeat what another issue says. */
const ECHOES: ReadonlySet<string> = new Set(['SomeRoutesRejected', 'KeptLastGood'])

/** One run of the demo. */
export class DemoSession {
  readonly #options: SessionOptions
  readonly #record = new TrafficRecord()
  #traffic: ChildProcess | undefined
  #flood: ChildProcess | undefined
  #reading: Reading | undefined
  #rows: readonly TenantRow[] = []
  #reports = 0
  #spoilt = 0
  #everNoisy = false
  #killed: { readonly at: number; readonly failures: number } | undefined
  #told = new Set<string>()

  constructor(options: SessionOptions) {
    this.#options = options
  }

  start(): void {
    const port = this.#options.gateway.ports.http
    this.#told = new Set(this.#options.gateway.findings().map(findingKey))
    for (const note of this.#options.gateway.notes) this.#tell('config', note)
    this.#traffic = startTraffic({ port, plans: TRAFFIC }, (report) => {
      this.#reports += 1
      this.#record.add(this.#phase(), report)
      this.#spoilt = Math.max(0, this.#spoilt - 1)
      void this.#read()
    })
  }

  stop(): void {
    this.#traffic?.kill()
    this.#flood?.kill()
  }

  get rows(): readonly TenantRow[] {
    return this.#rows
  }

  get noisy(): boolean {
    return this.#flood !== undefined
  }

  /** The figures before and during the noise; undefined where there was none yet. */
  isolation(): Isolation | undefined {
    if (!this.#everNoisy) return undefined
    const victims = TRAFFIC.map(({ tenant }) => tenant).filter((tenant) => tenant !== NOISY.tenant)
    const { alone, noisy, late } = this.#record.compare(victims)
    return judge(alone, noisy, late)
  }

  /** Seconds of noise that the figures stand on. */
  get noisySeconds(): number {
    return this.#record.noisySeconds
  }

  /** Key n. */
  toggleNoise(): void {
    if (this.#flood !== undefined) {
      this.#flood.kill()
      this.#flood = undefined
      this.#spoilt = SPOILT_REPORTS
      this.#tell('quiet', `${NOISY.tenant} is back to its ${this.#ordinaryRate()} req/s`)
      return
    }
    this.#everNoisy = true
    this.#record.forgetNoise()
    // Starting a process is no traffic.
    this.#spoilt = STARTING_REPORTS
    const { gateway } = this.#options
    this.#flood = startTraffic({ port: gateway.ports.http, plans: [NOISY], yielding: true }, () => undefined)
    const limit = gateway.tenants().find(({ tenant }) => tenant === NOISY.tenant)?.ratePerSecond
    const bound = limit === undefined ? 'it has no limit any more' : `its limit is ${limit} req/s`
    this.#tell(
      'noisy',
      `${NOISY.tenant} sends ${NOISY.rate} req/s; ${bound} (n again: stop)`,
      `seq 5000 | xargs -P 50 -I{} curl -s -o /dev/null -H 'Host: ${NOISY.host}' http://127.0.0.1:${gateway.ports.http}${NOISY.paths[0]}`,
    )
  }

  /** Key b. */
  async toggleBackend(): Promise<void> {
    const { backends, world } = this.#options
    if (backends.alive(FRAGILE)) {
      this.#spoilt = SPOILT_REPORTS
      this.#killed = { at: performance.now(), failures: this.#upstreamErrors() }
      const pid = backends.kill(FRAGILE)
      this.#tell(
        'backend',
        `killed ${FRAGILE}, one of acme's two API backends (b again: bring it back)`,
        `kill -9 ${pid}`,
      )
      return
    }
    const plans = BACKENDS.find((together) => together.some(({ name }) => name === FRAGILE))
    if (plans === undefined) return
    this.#killed = undefined
    this.#spoilt = SPOILT_REPORTS
    const [{ port } = { port: 0 }] = await backends.start(plans)
    await world.writeEndpoints(backends.running())
    this.#tell('backend', `${FRAGILE} is back on port ${port}`)
  }

  /** Key x. */
  async toggleBadConfig(): Promise<void> {
    const { gateway, world, configFlags } = this.#options
    const before = gateway.shardHashes()
    if (world.bad) {
      await world.removeBadRoute()
      this.#tell('config', 'the bad Route is gone again')
      return
    }
    const started = performance.now()
    await world.writeBadRoute()
    const finding = await this.#waitFor(() => gateway.findings().find((each) => each.issue?.object.name === 'login'))
    const took = (performance.now() - started).toFixed(0)
    if (finding === undefined) {
      this.#tell('config', 'the bad Route was not judged within 2 s')
      return
    }
    this.#told.add(findingKey(finding))
    const after = gateway.shardHashes()
    const kept = [...before].filter(([tenant, hash]) => after.get(tenant) === hash).length
    this.#tell(
      'config',
      `Route initech/login claims shop.acme.localhost: ${finding.issue?.reason ?? finding.message} after ${took} ms at ` +
        `${finding.position}; ${kept} of ${before.size} shards kept their hash (x again: remove it)`,
      `npx atrium compile ${configFlags}`,
    )
  }

  /** Key e, once the address is there. */
  async explain(url: string): Promise<readonly string[]> {
    const lines = await this.#options.gateway.explain(url)
    this.#tell('explain', `asked where ${url} goes`, `npx atrium explain ${this.#options.configFlags} --url ${url}`)
    return lines
  }

  #phase(): Phase {
    if (this.#flood !== undefined) return this.#spoilt > 0 || this.#killed !== undefined ? 'spoilt' : 'noisy'
    if (this.#reports <= WARMING_REPORTS) return 'warming'
    return this.#spoilt > 0 || this.#killed !== undefined ? 'spoilt' : 'alone'
  }

  /** Once a second: the counters of the gateway, and what there is to tell. */
  async #read(): Promise<void> {
    const { gateway, onChange } = this.#options
    const samples = parseMetrics(await gateway.metricsText())
    const facts = gateway.tenants()
    const reading = {
      at: performance.now(),
      samples,
      counters: new Map(facts.map(({ tenant }) => [tenant, countersOf(samples, tenant)])),
    }
    const before = this.#reading
    this.#reading = reading
    if (before !== undefined) {
      this.#rows = facts.map((each) => {
        const none = { requests: 0, unwell: 0, refused: 0 }
        const change = {
          before: before.counters.get(each.tenant) ?? none,
          after: reading.counters.get(each.tenant) ?? none,
          seconds: (reading.at - before.at) / 1000,
        }
        const endpoints = (state?: string) =>
          sumOf(samples, 'atrium_endpoints', { tenant: each.tenant, ...(state === undefined ? {} : { state }) })
        return rowOf(each, change, this.#record.latest(each.tenant), { ready: endpoints('ready'), all: endpoints() })
      })
    }
    this.#tellEjection()
    this.#tellFindings()
    onChange()
  }

  #tellEjection(): void {
    const ejected = sumOf(this.#reading?.samples ?? [], 'atrium_endpoints', {
      tenant: VICTIM_OF_DEATH,
      state: 'ejected',
    })
    if (this.#killed === undefined || ejected === 0 || this.#told.has(EJECTED)) {
      if (this.#killed === undefined) this.#told.delete(EJECTED)
      return
    }
    this.#told.add(EJECTED)
    const seconds = ((performance.now() - this.#killed.at) / 1000).toFixed(1)
    const failures = this.#upstreamErrors() - this.#killed.failures
    this.#tell(
      'backend',
      `${FRAGILE} was ejected within ${seconds} s, after ${failures} failed attempts that others took over`,
    )
  }

  /** Mistakes that came up since: somebody edits the files. */
  #tellFindings(): void {
    const now = this.#options.gateway.findings()
    for (const finding of now) {
      const key = findingKey(finding)
      if (this.#told.has(key) || ECHOES.has(finding.issue?.reason ?? '')) continue
      this.#told.add(key)
      const reason = finding.issue === undefined ? '' : `${finding.issue.reason}: `
      const message = finding.message.replace(/[^.!?]$/, '$&.')
      const after = finding.severity === 'rejects' ? ' What served before goes on serving.' : ''
      this.#tell('config', `${finding.position}  ${reason}${message}${after}`)
    }
    // A mistake that was mended is news again when it comes back.
    const present = new Set(now.map(findingKey))
    for (const key of this.#told) if (key !== EJECTED && !present.has(key)) this.#told.delete(key)
  }

  #upstreamErrors(): number {
    return sumOf(this.#reading?.samples ?? [], 'atrium_upstream_errors_total', { tenant: VICTIM_OF_DEATH })
  }

  #ordinaryRate(): number {
    return TRAFFIC.find(({ tenant }) => tenant === NOISY.tenant)?.rate ?? 0
  }

  async #waitFor(look: () => Finding | undefined): Promise<Finding | undefined> {
    for (let turn = 0; turn < 100; turn += 1) {
      const found = look()
      if (found !== undefined) return found
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return undefined
  }

  #tell(kind: DemoEvent['kind'], text: string, command?: string): void {
    this.#options.onEvent({ at: new Date(), kind, text, ...(command === undefined ? {} : { command }) })
  }
}

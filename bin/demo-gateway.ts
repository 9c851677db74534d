// The gateway of the demo: the standalone one, on ports that are free, with a certificate made for the occasion.
// bin/commands/demo.ts hands it to demo/main.ts, which knows only the DemoGateway.
import { availableParallelism } from 'node:os'
import type { LoopState } from '../controller/loop.ts'
import { claimPort, PortTaken } from '../dataplane/ports.ts'
import { selfSigned } from '../demo/certificate.ts'
import type { TenantFacts } from '../demo/figures.ts'
import type { DemoGateway } from '../demo/gateway.ts'
import { Hidden } from '../model/hidden.ts'
import { usageFailure } from './exit.ts'
import type { findingsOf } from './findings.ts'
import type { PortOrOff } from './options.ts'
import type { Finding } from './output/issues.ts'
import { type Standalone, startStandalone } from './standalone.ts'
import type { Terminal } from './terminal.ts'

/** What the person asked for; the rest is chosen. */
export interface DemoGatewayFlags {
  readonly port?: number
  readonly tlsPort?: PortOrOff
  readonly adminPort?: PortOrOff
  readonly workers?: number
}

const HOSTS = [
  '*.acme.localhost',
  '*.globex.localhost',
  '*.hooli-ai.localhost',
  '*.initech.localhost',
  'globex.localhost',
]
const PORTS_TRIED = 40
const MOST_WORKERS = 4
const DRAIN_MS = 500
/** Of the demo's picture on a terminal of 80 columns. */
const SCREEN_WIDTH = 78

/** Starts it on these folders, which are complete once `written` resolves. Fails with a usage failure where a port that was asked for is taken. */
export async function createDemoGateway(
  folders: readonly string[],
  written: Promise<void>,
  flags: DemoGatewayFlags,
  terminal: Terminal,
): Promise<DemoGateway> {
  const { certificate, key } = selfSigned(HOSTS, Date.now())
  const notes: string[] = []
  const port = flags.port ?? (await freePort(8080, notes))
  const tlsPort = flags.tlsPort ?? (await freePort(8443, notes))
  const adminPort = flags.adminPort ?? (await freePort(9901, notes))
  const workers = flags.workers ?? Math.max(1, Math.min(MOST_WORKERS, Math.floor(availableParallelism() / 2)))
  let cycle: LoopState | undefined
  const standalone = await startStandalone(
    {
      folders,
      written,
      port,
      tlsPort,
      adminPort,
      workers,
      allowEndpoints: ['127.0.0.0/8'],
      trustForwarded: [],
      stateFolder: undefined,
      defaultCertificate: { chainPem: certificate, keyPem: new Hidden(key) },
      accessLog: 'off',
    },
    {
      onCycle: (state) => {
        cycle = state
      },
      warn: (message) => terminal.detail(message),
    },
  )
  const { findingsOf: judge } = await import('./findings.ts')
  return new RunningDemoGateway(standalone, () => cycle, judge, workers, notes)
}

class RunningDemoGateway implements DemoGateway {
  readonly #standalone: Standalone
  readonly #cycle: () => LoopState | undefined
  readonly #judge: typeof findingsOf
  readonly notes: readonly string[]
  workers: DemoGateway['workers']
  #judged: { readonly cycles: number; readonly findings: readonly Finding[] } | undefined

  constructor(
    standalone: Standalone,
    cycle: () => LoopState | undefined,
    judge: typeof findingsOf,
    workers: number,
    notes: readonly string[],
  ) {
    this.#standalone = standalone
    this.#cycle = cycle
    this.#judge = judge
    this.workers = { ready: workers, all: workers }
    this.notes = notes
  }

  get ports(): DemoGateway['ports'] {
    return this.#standalone.dataplane.ports
  }

  async metricsText(): Promise<string> {
    this.workers = (await this.#standalone.dataplane.status('')).workers
    return await this.#standalone.dataplane.metricsText()
  }

  version(): string {
    return this.#cycle()?.result.snapshot.version ?? ''
  }

  changeMs(): number | undefined {
    return this.#cycle()?.activationMs
  }

  shardHashes(): ReadonlyMap<string, string> {
    const shards = this.#cycle()?.result.snapshot.shards ?? new Map()
    return new Map([...shards].map(([tenant, { hash }]) => [tenant, hash]))
  }

  tenants(): readonly TenantFacts[] {
    const result = this.#cycle()?.result
    return [...(result?.snapshot.shards.values() ?? [])].map(({ tenant, limits, suspended }) => ({
      tenant,
      routes:
        result?.objects.filter((each) => each.object.kind === 'Route' && each.tenant === tenant && each.accepted)
          .length ?? 0,
      ratePerSecond: limits.requests === null ? undefined : limits.requests.count / limits.requests.seconds,
      suspended,
    }))
  }

  findings(): readonly Finding[] {
    const state = this.#cycle()
    if (state === undefined) return []
    if (this.#judged?.cycles !== state.cycles) {
      const { problems } = state.source
      const findings = this.#judge(
        { problems, result: state.result, locate: (...place) => this.#standalone.source.locate(...place) },
        Date.now(),
      )
      this.#judged = { cycles: state.cycles, findings }
    }
    return this.#judged.findings
  }

  async explain(url: string): Promise<readonly string[]> {
    const state = this.#cycle()
    if (state === undefined || !/^https?:\/\/[^/]+/.test(url))
      return [`${url} is no URL; write http://shop.acme.localhost/api`]
    const { resources, result } = state
    const { createOfflineExplain } = await import('./explain/offline.ts')
    const { renderExplanation } = await import('../dataplane/explain-text.ts')
    const ask = createOfflineExplain(
      { resources, result, locate: (...place) => this.#standalone.source.locate(...place) },
      { trustForwarded: [], hasDefaultCertificate: true, httpsPort: this.#standalone.dataplane.ports.https ?? 443 },
    )
    return renderExplanation(await ask({ url }), 'live', SCREEN_WIDTH).split('\n')
  }

  stop(): Promise<void> {
    return this.#standalone.stop(DRAIN_MS)
  }
}

/** The port, or the next one that nobody uses. */
async function freePort(wanted: number, notes: string[]): Promise<number> {
  for (let port = wanted; port < wanted + PORTS_TRIED; port += 1) {
    try {
      await claimPort('::', port)
      if (port !== wanted) notes.push(`${wanted} is in use by another process. Atrium took ${port} instead.`)
      return port
    } catch (error) {
      if (!(error instanceof PortTaken)) throw error
    }
  }
  throw usageFailure(`no port from ${wanted} to ${wanted + PORTS_TRIED - 1} is free; name one with a flag.`)
}

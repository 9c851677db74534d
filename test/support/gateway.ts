// A whole gateway in one thread, for tests over real sockets: YAML in, compiled, built, served on free ports of
// 127.0.0.1, changed while it runs. The same parts as in a worker, with state and log in plain memory.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compile } from '../../controller/compile/compile.ts'
import type { CompileResult } from '../../controller/compile/compile-types.ts'
import { createFileSource } from '../../controller/sources/file/file-source.ts'
import { buildTenant } from '../../dataplane/build/build.ts'
import { HostTable } from '../../dataplane/build/host-table.ts'
import { endingsOf } from '../../dataplane/lease-ends.ts'
import { createHandler } from '../../dataplane/runtime/exchange.ts'
import { createRefuse } from '../../dataplane/runtime/exchange-refusal.ts'
import { createLocalState } from '../../dataplane/runtime/local-state.ts'
import { PoolTable } from '../../dataplane/runtime/pools.ts'
import { ConnectionRoom } from '../../dataplane/serve/connection-room.ts'
import { type DataListener, type DrainCounts, listen } from '../../dataplane/serve/listener.ts'
import { TlsTable, type TlsTableOptions } from '../../dataplane/tls/tls-table.ts'
import { AddressRanges, parseCidr } from '../../model/address.ts'
import type { Claim } from '../../model/resources.ts'
import { FILTERS } from '../../policies/filters.ts'
import { POLICIES } from '../../policies/index.ts'
import { createTestContext, type TestContext } from './serve-context.ts'

/** How to start. */
export interface GatewayOptions {
  /** Trusted hops, as CIDR; none by default. */
  readonly trustForwarded?: readonly string[]
  /** Serve TLS too. */
  readonly tls?: TlsTableOptions
  /** Where clients find https; 443 by default. */
  readonly publicHttpsPort?: 'listener'
  /** Endpoint ranges that the operator allows; the loopback by default. */
  readonly allowEndpoints?: readonly string[]
}

/** A running gateway. */
export interface TestGateway {
  readonly port: number
  /** 0 where it serves no TLS. */
  readonly tlsPort: number
  readonly context: TestContext
  readonly hosts: HostTable
  readonly tls: TlsTable
  /** What the newest YAML came to. */
  readonly result: CompileResult
  /** Replaces the whole world by this YAML, as an edit of the folder would; claims are kept. */
  apply(yaml: string): Promise<CompileResult>
  drain(timeoutMs: number): Promise<DrainCounts>
  close(): Promise<void>
}

/** Starts a gateway on a world. Problems of the YAML itself are thrown, what compile rejects is in `result`. */
export async function startGateway(yaml: string, options: GatewayOptions = {}): Promise<TestGateway> {
  const gateway = new OneThreadGateway(options)
  await gateway.start(yaml)
  return gateway
}

class OneThreadGateway implements TestGateway {
  readonly hosts = new HostTable()
  readonly tls: TlsTable
  readonly context: TestContext
  readonly #options: GatewayOptions
  readonly #state = createLocalState()
  readonly #pools = new PoolTable()
  #result: CompileResult | undefined
  #claims: Claim[] = []
  #listeners: DataListener[] = []

  constructor(options: GatewayOptions) {
    this.#options = options
    this.tls = new TlsTable(options.tls ?? {})
    this.context = createTestContext(this.hosts, this.#state, () =>
      options.publicHttpsPort === 'listener' ? this.tlsPort : 443,
    )
  }

  get port(): number {
    return this.#listeners[0]?.port ?? 0
  }

  get tlsPort(): number {
    return this.#listeners[1]?.port ?? 0
  }

  get result(): CompileResult {
    if (this.#result === undefined) throw new Error('not started')
    return this.#result
  }

  async start(yaml: string): Promise<void> {
    await this.apply(yaml)
    const shared = {
      host: '127.0.0.1',
      port: 0,
      handler: createHandler(this.context),
      refuse: createRefuse(this.context),
      trustForwarded: rangesOf(this.#options.trustForwarded ?? []),
      leases: this.context.leases,
      room: new ConnectionRoom(10_000),
      fault: (error: unknown) => this.context.fault(error, { requestId: '', tenant: '', route: null }),
    }
    this.#listeners = [await listen(shared)]
    if (this.#options.tls !== undefined) this.#listeners.push(await listen({ ...shared, tls: this.tls }))
  }

  async apply(yaml: string): Promise<CompileResult> {
    const resources = await readWorld(yaml)
    const previous = this.#result
    const result = compile(
      { ...resources, claims: this.#claims, lastGood: [] },
      {
        digest: (text) => createHash('sha256').update(text).digest('hex'),
        policies: POLICIES,
        allowEndpoints: this.#options.allowEndpoints ?? ['127.0.0.0/8'],
        ownAddresses: [],
      },
    )
    this.#claims = result.claims.map((claim) => ({ ...claim, since: 1 }))
    this.#activate(previous, result)
    this.#result = result
    return result
  }

  async drain(timeoutMs: number): Promise<DrainCounts> {
    const counts = await Promise.all(this.#listeners.map((listener) => listener.drain(timeoutMs)))
    return {
      finished: counts.reduce((sum, { finished }) => sum + finished, 0),
      cut: counts.reduce((sum, { cut }) => sum + cut, 0),
    }
  }

  async close(): Promise<void> {
    for (const listener of this.#listeners) await listener.close()
    for (const tenant of [...this.hosts.tenants()]) {
      this.hosts.replace(tenant.tenant, undefined)
      this.tls.replace(tenant.tenant, undefined)
    }
    this.#pools.update([], [...(this.#result?.snapshot.pools.keys() ?? [])])
    this.context.close()
  }

  /** As a worker does it: pools first, then all tenants that changed, in one turn. */
  #activate(previous: CompileResult | undefined, result: CompileResult): void {
    const { shards, pools } = result.snapshot
    this.#pools.update(
      [...pools.values()].filter((pool) => pool.hash !== previous?.snapshot.pools.get(keyOf(pools, pool))?.hash),
      [],
    )
    const services = { state: this.#state, pools: this.#pools, filters: FILTERS }
    for (const tenant of previous?.snapshot.shards.keys() ?? []) {
      if (shards.has(tenant)) continue
      this.hosts.replace(tenant, undefined)
      this.tls.replace(tenant, undefined)
      this.context.leases.end(tenant, () => true, 'NoHost')
    }
    for (const shard of shards.values()) {
      const before = previous?.snapshot.shards.get(shard.tenant)
      if (before?.hash === shard.hash) continue
      this.hosts.replace(shard.tenant, buildTenant(shard, services))
      this.tls.replace(shard.tenant, shard)
      for (const { concerns, reason } of endingsOf(before, shard)) {
        this.context.leases.end(shard.tenant, concerns, reason)
      }
    }
    const removed = [...(previous?.snapshot.pools.keys() ?? [])].filter((key) => !pools.has(key))
    this.#pools.update([], removed)
  }
}

function keyOf<Value>(map: ReadonlyMap<string, Value>, wanted: Value): string {
  for (const [key, value] of map) if (value === wanted) return key
  return ''
}

function rangesOf(texts: readonly string[]): AddressRanges {
  return new AddressRanges(texts.flatMap((text) => parseCidr(text) ?? []))
}

async function readWorld(yaml: string) {
  const folder = await mkdtemp(join(tmpdir(), 'atrium-gateway-'))
  try {
    await writeFile(join(folder, 'world.yaml'), yaml)
    const source = createFileSource({ folders: [folder], live: false })
    await source.start(() => undefined)
    const { resources, problems } = source.read()
    await source.stop()
    const [problem] = problems
    if (problem !== undefined) throw new Error(`${problem.position?.line ?? 0}: ${problem.message}`)
    return resources
  } finally {
    await rm(folder, { recursive: true })
  }
}

// What the demo needs of a running gateway. Types only: bin/standalone.ts runs the real one, tests of the session
// hand in another.
import type { Finding } from '../bin/output/issues.ts'
import type { TenantFacts } from './figures.ts'

/** The gateway as the demo sees it. */
export interface DemoGateway {
  readonly ports: { readonly http: number; readonly https: number | null; readonly admin: number | null }
  readonly workers: { readonly ready: number; readonly all: number }
  /** What the person should know about the start: a port that was taken. */
  readonly notes: readonly string[]
  /** The text of /metrics. */
  metricsText(): Promise<string>
  /** Milliseconds from the last edit to its being live; undefined before the first. */
  changeMs(): number | undefined
  /** Version of the snapshot that serves. */
  version(): string
  /** Tenant to the hash of its shard. */
  shardHashes(): ReadonlyMap<string, string>
  tenants(): readonly TenantFacts[]
  /** What is wrong with the folders now. */
  findings(): readonly Finding[]
  /** The lines that `atrium explain --url URL` prints. */
  explain(url: string): Promise<readonly string[]>
  stop(): Promise<void>
}

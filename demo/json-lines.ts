// The demo without a terminal: one JSON object a line, for every event and every ten seconds. Pure.
import type { DemoEvent } from './session.ts'
import type { TenantRow } from './figures.ts'
import { type Isolation, isolationText } from './isolation.ts'

/** An event as a line. */
export function eventLine(event: DemoEvent): string {
  const { at, kind, text, command } = event
  return JSON.stringify({ time: at.toISOString(), event: kind, text, command })
}

/** The table as a line. Latencies in milliseconds. */
export function statusLine(at: Date, rows: readonly TenantRow[], isolation: Isolation | undefined): string {
  const tenants = rows.map((row) => ({
    tenant: row.tenant,
    requests_per_second: rounded(row.requestsPerSecond),
    p50_ms: rounded(row.p50),
    p99_ms: rounded(row.p99),
    errors: rounded(row.errors),
    refused_per_second: rounded(row.refusedPerSecond),
  }))
  return JSON.stringify({ time: at.toISOString(), tenants, isolation: isolation && isolationText(isolation) })
}

/** The last line: what it came to. */
export function resultLine(at: Date, isolation: Isolation | undefined, seconds: number, machine: string): string {
  if (isolation === undefined) return JSON.stringify({ time: at.toISOString(), result: 'quiet' })
  const victims = isolation.victims.map((victim) => ({
    tenant: victim.tenant,
    alone_p99_ms: rounded(victim.aloneP99),
    noisy_p99_ms: rounded(victim.noisyP99),
    ratio: rounded(victim.ratio),
    samples: victim.samples,
    errors: victim.errors,
  }))
  return JSON.stringify({
    time: at.toISOString(),
    result: isolation.verdict,
    isolation: `${isolationText(isolation)}, over ${seconds} s`,
    machine,
    victims,
  })
}

function rounded(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.round(value * 100) / 100
}

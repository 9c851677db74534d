// `atrium top`: live figures of tenants over all dataplane pods, from two readings of the controller's API.
import { type Command, Option } from 'commander'
import type { TopAnswer, TopLine } from '../../controller/api/answers.ts'
import { addServerFlags, type ServerFlags } from '../cluster/flags.ts'
import { EXIT_CODES } from '../exit.ts'
import { addCommonFlags, type CommonFlags, flag } from '../options.ts'
import type { Terminal } from '../terminal.ts'
import { onRun } from './command.ts'

const ORDERS = ['requests', 'errors', 'in-flight', 'connections', 'name'] as const

interface TopFlags extends CommonFlags, ServerFlags {
  readonly tenant?: string
  readonly by: (typeof ORDERS)[number]
  readonly once?: boolean
}

/** Rates of a tenant between two readings. */
interface Rates {
  readonly tenant: string
  /** Requests a second. */
  readonly requests: number
  /** Parts of them, 0 to 1. */
  readonly clientErrors: number
  readonly serverErrors: number
  readonly inFlight: number
  readonly connections: number
  readonly routes: number
  readonly endpoints: { readonly ready: number; readonly all: number }
}

const BETWEEN_MS = 2_000

/** Adds the verb to the program. */
export function addTop(program: Command): void {
  const command = program
    .command('top')
    .summary('live figures by tenant')
    .description(
      'Requests, errors, connections and endpoints of each tenant, over all dataplane pods. On a terminal it goes on ' +
        'until Ctrl-C; elsewhere, or with --once, it prints one sample.',
    )
    .addOption(flag('-t, --tenant <name>', 'only this tenant'))
    .addOption(flag('--by <figure>', 'what the table is sorted by').choices(ORDERS).default('requests'))
    .addOption(new Option('--once', 'one sample, then end'))
  addServerFlags(command)
  addCommonFlags(command, ['table', 'json', 'yaml', 'jsonl'])
  onRun<TopFlags>(command, runTop)
}

async function runTop(flags: TopFlags, terminal: Terminal): Promise<number> {
  const { openSession } = await import('../cluster/session.ts')
  const session = await openSession(flags)
  const path = flags.tenant === undefined ? '/api/v1/top' : `/api/v1/top?tenant=${encodeURIComponent(flags.tenant)}`
  const read = async () => (await session.json(path)) as TopAnswer
  const goesOn = terminal.interactive && flags.once !== true && (flags.output ?? 'table') === 'table'
  try {
    let before = await read()
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS))
      const after = await read()
      if (goesOn) terminal.print('\u001b[2J\u001b[H')
      await print(ratesBetween(before, after, flags.by), after, flags, terminal)
      if (!goesOn) return EXIT_CODES.done
      before = after
    }
  } finally {
    session.close()
  }
}

/** Rates, in the order that was asked for. A counter that went back (a pod that ended) counts as nothing. */
export function ratesBetween(before: TopAnswer, after: TopAnswer, by: TopFlags['by']): readonly Rates[] {
  const seconds = Math.max(0.001, (Date.parse(after.time) - Date.parse(before.time)) / 1_000)
  const former = new Map(before.tenants.map((line) => [line.tenant, line]))
  const rates = after.tenants.map((line): Rates => {
    const grown = (name: string) =>
      Math.max(0, (line.requests[name] ?? 0) - (former.get(line.tenant)?.requests[name] ?? 0))
    const all = Object.keys(line.requests).reduce((sum, name) => sum + grown(name), 0)
    const part = (name: string) => (all === 0 ? 0 : grown(name) / all)
    return { ...figuresOf(line), requests: all / seconds, clientErrors: part('4xx'), serverErrors: part('5xx') }
  })
  const weight = (each: Rates): number => {
    if (by === 'errors') return each.serverErrors * each.requests
    if (by === 'in-flight') return each.inFlight
    return by === 'connections' ? each.connections : each.requests
  }
  return by === 'name' ? rates : rates.sort((a, b) => weight(b) - weight(a))
}

function figuresOf({ tenant, activeRequests, connections, routes, endpoints }: TopLine) {
  return { tenant, inFlight: activeRequests, connections, routes, endpoints }
}

async function print(rates: readonly Rates[], answer: TopAnswer, flags: TopFlags, terminal: Terminal): Promise<void> {
  if (flags.output !== undefined && flags.output !== 'table') {
    const documents = await import('../output/documents.ts')
    if (flags.output === 'jsonl') terminal.print(documents.jsonLines(rates))
    else {
      const document = { kind: 'Top', time: answer.time, pods: answer.pods, items: rates, warnings: answer.warnings }
      terminal.print(flags.output === 'json' ? documents.jsonDocument(document) : documents.yamlDocument(document))
    }
    return
  }
  const { tableLines } = await import('../output/table.ts')
  const { count, plural, share } = await import('../output/units.ts')
  const total = rates.reduce((sum, { requests }) => sum + requests, 0)
  const { answered, all } = answer.pods
  terminal.print(`${plural(rates.length, 'tenant')} · ${answered} of ${plural(all, 'pod')} · ${rateText(total)} req/s`)
  const figure = (title: string, value: (row: Rates) => string, drop = 0) => ({
    title,
    value,
    drop,
    align: 'right' as const,
  })
  const lines = tableLines<Rates>(
    [
      { title: 'TENANT', value: ({ tenant }) => tenant },
      figure('REQ/S', ({ requests }) => rateText(requests)),
      figure('4XX', ({ clientErrors }) => share(clientErrors)),
      figure('5XX', ({ serverErrors }) => share(serverErrors)),
      figure('IN-FLIGHT', ({ inFlight }) => count(inFlight)),
      figure('CONNS', ({ connections }) => count(connections), 2),
      figure('ROUTES', ({ routes }) => count(routes), 3),
      figure('ENDPOINTS', ({ endpoints }) => `${endpoints.ready}/${endpoints.all}`, 1),
    ],
    rates,
    { width: terminal.columns, headers: flags.headers !== false },
  )
  for (const line of lines) terminal.print(line)
  for (const warning of answer.warnings) terminal.note(`! ${warning}`)
}

function rateText(value: number): string {
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en-US')
}

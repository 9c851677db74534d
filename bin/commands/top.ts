// `atrium top`: live figures of tenants over all dataplane pods, from two readings of the controller's API.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import type { TopAnswer } from '../../controller/api/answers.ts'
import { coresBetween, ORDERS, type Order, type Rates, ratesBetween } from '../cluster/rates.ts'
import { addServerFlags, type ServerFlags } from '../cluster/flags.ts'
import { EXIT_CODES } from '../exit.ts'
import { addCommonFlags, type CommonFlags, flag } from '../options.ts'
import type { Terminal } from '../terminal.ts'
import { onRun } from './command.ts'

interface TopFlags extends CommonFlags, ServerFlags {
  readonly tenant?: string
  readonly by: Order
  readonly once?: boolean
}

const BETWEEN_MS = 2_000
const KEYS: Readonly<Record<string, Order>> = {
  r: 'requests',
  p: 'p99',
  e: 'errors',
  l: 'limited',
  b: 'bytes',
  i: 'in-flight',
  c: 'connections',
  n: 'name',
}

/** Adds the verb to the program. */
export function addTop(program: Command): void {
  const command = program
    .command('top')
    .summary('live figures by tenant')
    .description(
      'Requests, latencies, errors, refusals by limits, connections and endpoints of each tenant, over all dataplane ' +
        'pods and the last 2 s. On a terminal it goes on until q, and a key sorts it by something else; elsewhere, or with --once, it prints one sample. ' +
        'Latencies are read off buckets: 1, 2.5, 5, 10 … ms.',
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
  try {
    const goesOn = terminal.interactive && flags.once !== true && (flags.output ?? 'table') === 'table'
    if (goesOn) return await goOn(read, flags, terminal)
    const before = await read()
    await sleep(BETWEEN_MS)
    await print({ before, after: await read() }, flags, terminal)
    return EXIT_CODES.done
  } finally {
    session.close()
  }
}

/** Draws again and again, and at once when a key asks for another order. */
async function goOn(read: () => Promise<TopAnswer>, flags: TopFlags, terminal: Terminal): Promise<number> {
  const { onKeys } = await import('../../demo/keyboard.ts')
  let by = flags.by
  let pair: { readonly before: TopAnswer; readonly after: TopAnswer } | undefined
  let ended = false
  let wake = () => {}
  const draw = async () => {
    if (pair === undefined) return
    terminal.print('\u001b[2J\u001b[H')
    await print(pair, { ...flags, by }, terminal)
    terminal.note(
      terminal.paint('dim', 'sort: [r]eq/s [p]99 [e]rrors [l]imited [b]ytes [i]n-flight [c]onns [n]ame [q]uit'),
    )
  }
  const stop = onKeys(process.stdin, (key) => {
    if (key === 'q' || key === '\u0003') {
      ended = true
      wake()
    }
    const order = KEYS[key]
    if (order === undefined) return
    by = order
    void draw()
  })
  try {
    let before = await read()
    while (!ended) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, BETWEEN_MS)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      if (ended) break
      const after = await read()
      pair = { before, after }
      await draw()
      before = after
    }
    return EXIT_CODES.done
  } finally {
    stop()
  }
}

async function print(
  { before, after: answer }: { readonly before: TopAnswer; readonly after: TopAnswer },
  flags: TopFlags,
  terminal: Terminal,
): Promise<void> {
  const rates = ratesBetween(before, answer, flags.by)
  const cpu = coresBetween(before, answer)
  if (flags.output !== undefined && flags.output !== 'table') {
    const documents = await import('../output/documents.ts')
    if (flags.output === 'jsonl') terminal.print(documents.jsonLines(rates))
    else {
      const document = {
        kind: 'Top',
        time: answer.time,
        pods: answer.pods,
        cpu: cpu ?? null,
        items: rates,
        warnings: answer.warnings,
      }
      terminal.print(flags.output === 'json' ? documents.jsonDocument(document) : documents.yamlDocument(document))
    }
    return
  }
  const { tableLines } = await import('../output/table.ts')
  const { count, duration, plural, share, throughput } = await import('../output/units.ts')
  const total = rates.reduce((sum, { requests }) => sum + requests, 0)
  const { answered, all } = answer.pods
  const head = [plural(rates.length, 'tenant'), `${answered} of ${plural(all, 'pod')}`, `${rateText(total)} req/s`]
  if (cpu !== undefined) head.push(`cpu ${cpu.busy.toFixed(2)} of ${plural(cpu.workers, 'core')}`)
  terminal.print(head.join(' · '))
  const time = (milliseconds: number | null) => (milliseconds === null ? '-' : duration(milliseconds))
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
      figure('P50', ({ p50 }) => time(p50)),
      figure('P99', ({ p99 }) => time(p99)),
      figure('4XX', ({ clientErrors }) => share(clientErrors)),
      figure('5XX', ({ serverErrors }) => share(serverErrors)),
      figure('429', ({ limited }) => share(limited)),
      figure('IN-FLIGHT', ({ inFlight }) => count(inFlight)),
      figure('OUT', ({ bytesOut }) => throughput(bytesOut), 1),
      figure('CONNS', ({ connections }) => count(connections), 3),
      figure('ENDPOINTS', ({ endpoints }) => `${endpoints.ready}/${endpoints.all}`, 2),
      figure('ROUTES', ({ routes }) => count(routes), 4),
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

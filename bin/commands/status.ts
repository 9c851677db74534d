// `atrium status`: is it well, for whom not, and what next: from the controller's API. Changes nothing.
import { type Command, InvalidArgumentError } from 'commander'
import type { AttentionLine, StatusAnswer, TenantLine } from '../../controller/api/answers.ts'
import { addServerFlags, type ServerFlags } from '../cluster/flags.ts'
import { EXIT_CODES } from '../exit.ts'
import { addCommonFlags, collect, type CommonFlags, flag } from '../options.ts'
import type { Terminal } from '../terminal.ts'
import { onRun } from './command.ts'

const GATES = ['Degraded', 'NotServing', 'Expiring'] as const
type Gate = (typeof GATES)[number]

interface StatusFlags extends CommonFlags, ServerFlags {
  readonly tenant?: string
  readonly failOn?: readonly Gate[]
  readonly watch?: boolean
}

/** Serving: all of it. Degraded: part of it. NotServing: nothing, or not everywhere. */
type State = 'Serving' | 'Degraded' | 'NotServing'

const WATCH_MS = 2_000
const EXPIRY: ReadonlySet<string> = new Set(['CertificateExpiring', 'CertificateExpired'])

/** Adds the verb to the program. */
export function addStatus(program: Command): void {
  const command = program
    .command('status')
    .summary('is it well, for whom not, and what next')
    .description(
      "Asks the controller's API: the snapshot and the pods that have it, tenants by state, and what a person should " +
        'look at. With --fail-on it is a gate for a pipeline.',
    )
    .addOption(flag('-t, --tenant <name>', 'only this tenant'))
    .addOption(flag('--fail-on <state>', `exit 1 on ${GATES.join(', ')}; repeatable`).argParser(collect(gate)))
    .addOption(flag('-w, --watch', 'again every 2 s, until Ctrl-C'))
  addServerFlags(command)
  addCommonFlags(command, ['table', 'json', 'yaml'])
  onRun<StatusFlags>(command, runStatus)
}

function gate(text: string): Gate {
  const found = GATES.find((each) => each.toLowerCase() === text.toLowerCase())
  if (found === undefined) throw new InvalidArgumentError(`It takes ${GATES.join(', ')}.`)
  return found
}

async function runStatus(flags: StatusFlags, terminal: Terminal): Promise<number> {
  const { openSession } = await import('../cluster/session.ts')
  const session = await openSession(flags)
  try {
    for (;;) {
      const path =
        flags.tenant === undefined ? '/api/v1/status' : `/api/v1/status?tenant=${encodeURIComponent(flags.tenant)}`
      const answer = (await session.json(path)) as StatusAnswer
      await print(answer, session.place, flags, terminal)
      if (flags.watch !== true) return gateCode(answer, flags.failOn ?? [], terminal)
      await new Promise((resolve) => setTimeout(resolve, WATCH_MS))
      if (terminal.interactive) terminal.print('\u001b[2J\u001b[H')
    }
  } finally {
    session.close()
  }
}

async function print(answer: StatusAnswer, place: string, flags: StatusFlags, terminal: Terminal): Promise<void> {
  if (flags.output === 'json' || flags.output === 'yaml') {
    const documents = await import('../output/documents.ts')
    const { tenants, warnings, ...rest } = answer
    const items = tenants.map((tenant) => ({ ...tenant, state: stateOf(tenant, answer.attention) }))
    const document = { kind: 'Status', ...rest, items, warnings }
    terminal.print(flags.output === 'json' ? documents.jsonDocument(document) : documents.yamlDocument(document))
    return
  }
  for (const line of await summaryLines(answer, place, terminal)) terminal.print(line)
  for (const line of await attentionText(answer, terminal, flags.headers !== false)) terminal.print(line)
  for (const warning of answer.warnings) terminal.note(`! ${warning}`)
}

async function summaryLines(answer: StatusAnswer, place: string, terminal: Terminal): Promise<readonly string[]> {
  const { age, duration } = await import('../output/units.ts')
  const { version, release, leader, snapshot, pods, tenants, attention } = answer
  const current = pods.filter(({ state }) => state === 'current').length
  const changed = age(Date.now() - Date.parse(snapshot.compiledAt))
  const took = snapshot.activationMs === null ? '' : `, in ${duration(snapshot.activationMs)}`
  const counts = { Serving: 0, Degraded: 0, NotServing: 0 }
  for (const tenant of tenants) counts[stateOf(tenant, attention)]++
  const where = pods.length === 0 ? '' : ` on ${current} of ${pods.length} pods`
  const lines = [
    `${terminal.paint('bold', `Atrium ${version}`)} · ${release} by ${place} · leader ${leader === '' ? 'none' : leader}`,
    `Snapshot  ${snapshot.version.slice(0, 6)}${where} · last change ${changed} ago${took}`,
  ]
  if (pods.length > 0) {
    const slow = pods.filter(({ state }) => state !== 'current').map(({ name, state }) => `${name} ${state}`)
    lines.push(`Pods      ${current}/${pods.length}${slow.length === 0 ? '' : ` · ${slow.slice(0, 5).join(', ')}`}`)
  }
  lines.push(`Tenants   ${counts.Serving} Serving · ${counts.Degraded} Degraded · ${counts.NotServing} NotServing`)
  return lines
}

async function attentionText(answer: StatusAnswer, terminal: Terminal, headers: boolean): Promise<readonly string[]> {
  if (answer.attention.length === 0) return []
  const { tableLines } = await import('../output/table.ts')
  const { age } = await import('../output/units.ts')
  const { wrap } = await import('../output/width.ts')
  const { printable } = await import('../../controller/report/printable.ts')
  const lines = tableLines<AttentionLine>(
    [
      { title: 'TENANT', value: ({ tenant }) => (tenant === '' ? '-' : tenant) },
      { title: 'WHAT', value: ({ object }) => printable(object) },
      { title: 'SINCE', value: ({ since }) => age(Date.now() - Date.parse(since)), drop: 1 },
      {
        title: 'WHY',
        value: ({ reason }) => reason,
        paint: ({ ready }, cell) => terminal.paint(ready === 'False' ? 'red' : 'yellow', cell),
      },
    ],
    answer.attention,
    { width: terminal.columns - 2, headers },
  )
  const head = headers ? lines.slice(0, 1) : []
  const rows = headers ? lines.slice(1) : lines
  return [
    terminal.paint('bold', 'Attention'),
    ...head.map((line) => `  ${line}`),
    ...rows.flatMap((line, index) => {
      const { message = '', reason = '' } = answer.attention[index] ?? {}
      const words = message === '' ? '' : `${message} `
      return [
        `  ${line}`,
        ...wrap(printable(`${words}atrium help ${reason}`), terminal.columns - 6).map((text) => `      ${text}`),
      ]
    }),
  ]
}

function stateOf(tenant: TenantLine, attention: readonly AttentionLine[]): State {
  if (tenant.ready !== 'True') return 'NotServing'
  const isIll = attention.some((line) => line.tenant === tenant.tenant && line.ready === 'False')
  return isIll || tenant.routes.serving < tenant.routes.all ? 'Degraded' : 'Serving'
}

function gateCode(answer: StatusAnswer, gates: readonly Gate[], terminal: Terminal): number {
  const states = new Set<string>(answer.tenants.map((tenant) => stateOf(tenant, answer.attention)))
  if (answer.attention.some(({ reason }) => EXPIRY.has(reason))) states.add('Expiring')
  const failed = gates.filter((each) => states.has(each))
  for (const each of failed) terminal.complain(`atrium status: --fail-on ${each}`)
  return failed.length > 0 ? EXIT_CODES.no : EXIT_CODES.done
}

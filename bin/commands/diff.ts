// `atrium diff`: what a change of the YAML would change, tenant by tenant. Offline; changes nothing.
import { type Command, InvalidArgumentError } from 'commander'
import { addServerFlags, type ServerFlags } from '../cluster/flags.ts'
import { CommandFailure, EXIT_CODES, usageFailure } from '../exit.ts'
import {
  addCommonFlags,
  allowEndpointsFlag,
  collect,
  type CommonFlags,
  configFlag,
  flag,
  folder,
  tenantFlag,
} from '../options.ts'
import type { DiffEntry, TenantDiff } from '../diff/compare.ts'
import type { Terminal } from '../terminal.ts'
import { onRun } from './command.ts'

const QUESTIONS = ['changed', 'breaks', 'loosened', 'hosts'] as const
type Question = (typeof QUESTIONS)[number]

const FAILURES: Readonly<Record<Question, string>> = {
  changed: 'something changes',
  breaks: 'something breaks',
  loosened: 'something becomes looser',
  hosts: 'hosts come or go',
}

interface DiffFlags extends CommonFlags, ServerFlags {
  readonly config?: readonly string[]
  readonly to?: readonly string[]
  readonly from?: 'live'
  readonly allowEndpoints?: readonly string[]
  readonly tenant?: readonly string[]
  readonly failOn?: readonly Question[]
}

interface Answer {
  readonly tenants: readonly TenantDiff[]
  readonly unchanged: number
  readonly pools: number
  /** `namespace` tells which tenant may read it. */
  readonly loosened: readonly string[]
  /** Objects that the new side rejects and the old one did not, as `file:line:column  Route acme/shop  HostNotOwned`. */
  readonly rejected: readonly string[]
}

/** Adds the verb to the program. */
export function addDiff(program: Command): void {
  const command = program
    .command('diff')
    .summary('what a change would change, tenant by tenant')
    .description(
      'Compiles two folders and says which tenants, hosts and rules would change, which requests would no longer be ' +
        'answered, and what would become looser. Exit code 0, changes or not, unless --fail-on says otherwise.',
    )
    .addOption(configFlag('folder as it is; repeatable'))
    .addOption(flag('--from <what>', 'instead of --config: what a cluster runs now').choices(['live']))
    .addOption(flag('--to <dir>', 'folder as it would be; repeatable').argParser(collect(folder)))
    .addOption(allowEndpointsFlag())
    .addOption(tenantFlag())
    .addOption(flag('--fail-on <what>', `exit 1 on ${QUESTIONS.join(', ')}; repeatable`).argParser(collect(question)))
  addServerFlags(command)
  addCommonFlags(command, ['table', 'json', 'yaml', 'jsonl', 'name', 'markdown'])
  onRun<DiffFlags>(command, runDiff)
}

function question(text: string): Question {
  const found = QUESTIONS.find((each) => each === text)
  if (found === undefined) throw new InvalidArgumentError(`It takes ${QUESTIONS.join(', ')}.`)
  return found
}

async function runDiff(flags: DiffFlags, terminal: Terminal): Promise<number> {
  if (flags.to === undefined) throw usageFailure('Say which folder to compare with: --to DIR')
  if (flags.from !== undefined && flags.config !== undefined)
    throw usageFailure('Give either --config DIR or --from live.')
  const answer =
    flags.from === 'live'
      ? await compareLive(flags.to, flags)
      : await compareFolders(flags.config ?? [], flags.to, flags)
  await print(answer, flags, terminal)
  const failed = (flags.failOn ?? []).filter((each) => holds(each, answer))
  for (const each of failed) terminal.complain(`atrium diff: ${FAILURES[each]} (--fail-on ${each})`)
  return failed.length > 0 ? EXIT_CODES.no : EXIT_CODES.done
}

async function compareFolders(from: readonly string[], to: readonly string[], flags: DiffFlags): Promise<Answer> {
  const { loadFolders } = await import('../load.ts')
  const { findingKey } = await import('../finding-key.ts')
  const { findingsOf } = await import('../findings.ts')
  const { compareSnapshots } = await import('../diff/compare.ts')
  const { loosenedBodies } = await import('../diff/loosened.ts')
  const { createDecoders } = await import('../../model/decode.ts')
  const { POLICIES } = await import('../../policies/index.ts')
  const { objectLabel } = await import('../../model/resources.ts')
  const allowed = flags.allowEndpoints ?? []
  const [before, after] = [await loadFolders(from, allowed), await loadFolders(to, allowed)]
  const wanted = (tenant: string) => (flags.tenant ?? []).length === 0 || flags.tenant?.includes(tenant) === true
  const diff = compareSnapshots(before.result.snapshot, after.result.snapshot)
  const tenants = diff.tenants.filter((each) => wanted(each.tenant))
  const tenantOf = new Map(after.result.objects.map((each) => [each.object.namespace, each.tenant]))
  const bodies = loosenedBodies(before.resources, after.resources, createDecoders(POLICIES), POLICIES)
  const now = Date.now()
  const rejectedBefore = new Set(findingsOf(before, now).map(findingKey))
  const rejected = findingsOf(after, now).filter(
    (each) => each.severity === 'rejects' && !rejectedBefore.has(findingKey(each)) && wanted(each.issue?.tenant ?? ''),
  )
  return {
    tenants,
    unchanged: diff.unchanged,
    pools: diff.pools,
    loosened: [
      ...tenants.flatMap((each) => each.loosened.map((text) => `${each.tenant}: ${text}`)),
      ...bodies.filter(({ namespace }) => wanted(tenantOf.get(namespace) ?? '')).map(({ text }) => text),
    ],
    rejected: rejected.map((each) =>
      [each.position, each.issue && objectLabel(each.issue.object), each.issue?.reason ?? each.message]
        .filter(Boolean)
        .join('  '),
    ),
  }
}

/** What runs is a snapshot: what its owners wrote, and which of their objects are rejected, is not in it. */
async function compareLive(to: readonly string[], flags: DiffFlags): Promise<Answer> {
  const { loadFolders } = await import('../load.ts')
  const { findingsOf } = await import('../findings.ts')
  const { compareSnapshots } = await import('../diff/compare.ts')
  const { readLiveSnapshot } = await import('../diff/live.ts')
  const { openSession } = await import('../cluster/session.ts')
  const { objectLabel } = await import('../../model/resources.ts')
  const [only] = flags.tenant ?? []
  const session = await openSession(flags)
  const path =
    flags.tenant?.length === 1 ? `/api/v1/snapshot?tenant=${encodeURIComponent(only ?? '')}` : '/api/v1/snapshot'
  const before = readLiveSnapshot(await session.text(path).finally(() => session.close()))
  const after = await loadFolders(to, flags.allowEndpoints ?? [])
  const wanted = (tenant: string) => (flags.tenant ?? []).length === 0 || flags.tenant?.includes(tenant) === true
  const { tenants: all, unchanged, pools } = compareSnapshots(before, after.result.snapshot)
  const tenants = all.filter((each) => wanted(each.tenant))
  const rejected = findingsOf(after, Date.now()).filter(
    (each) => each.severity === 'rejects' && wanted(each.issue?.tenant ?? ''),
  )
  return {
    tenants,
    unchanged,
    pools,
    loosened: tenants.flatMap((each) => each.loosened.map((text) => `${each.tenant}: ${text}`)),
    rejected: rejected.map((each) =>
      [each.position, each.issue && objectLabel(each.issue.object), each.issue?.reason ?? each.message]
        .filter(Boolean)
        .join('  '),
    ),
  }
}

function holds(question: Question, answer: Answer): boolean {
  switch (question) {
    case 'changed':
      return answer.tenants.length > 0
    case 'breaks':
      return answer.tenants.some(breaks) || answer.rejected.length > 0
    case 'loosened':
      return answer.loosened.length > 0
    case 'hosts':
      return answer.tenants.some(({ hosts }) => hosts.added.length + hosts.removed.length > 0)
    default:
      throw new CommandFailure(EXIT_CODES.usage, `unknown question ${String(question satisfies never)}`)
  }
}

function breaks(tenant: TenantDiff): boolean {
  return tenant.state === 'gone' || tenant.entries.some((entry) => entry.breaks)
}

/** How many things differ, however many changes each has. */
function placesOf(tenant: TenantDiff): number {
  return new Set(tenant.entries.map(({ what }) => what)).size
}

function stateWord(tenant: TenantDiff): string {
  if (tenant.state !== 'changes') return tenant.state
  return breaks(tenant) ? 'BREAKS' : 'changes'
}

async function print(answer: Answer, flags: DiffFlags, terminal: Terminal): Promise<void> {
  const format = flags.output ?? 'table'
  if (format === 'table') return await printTable(answer, terminal)
  if (format === 'name') {
    for (const tenant of answer.tenants) terminal.print(`tenant/${tenant.tenant}`)
    return
  }
  if (format === 'markdown') return await printMarkdown(answer, terminal)
  const documents = await import('../output/documents.ts')
  const items = answer.tenants.map((tenant) => ({ ...tenant, breaks: breaks(tenant) }))
  if (format === 'jsonl') {
    if (items.length > 0) terminal.print(documents.jsonLines(items))
    return
  }
  const { unchanged, pools, loosened, rejected } = answer
  const document = { kind: 'Diff', unchanged, pools, loosened, rejected, items }
  terminal.print(format === 'json' ? documents.jsonDocument(document) : documents.yamlDocument(document))
}

async function printTable(answer: Answer, terminal: Terminal): Promise<void> {
  const { plural } = await import('../output/units.ts')
  const { pad, textWidth, wrap, wrapBehind } = await import('../output/width.ts')
  const { printable } = await import('../../controller/report/printable.ts')
  const nameWidth = Math.max(0, ...answer.tenants.map(({ tenant }) => textWidth(tenant)))
  for (const tenant of answer.tenants) {
    const word = stateWord(tenant)
    const state = terminal.paint(word === 'BREAKS' || word === 'gone' ? 'red' : 'yellow', pad(word, 8))
    terminal.print(`${pad(tenant.tenant, nameWidth)}  ${state}  ${plural(placesOf(tenant), 'place')}`)
    let heading = ''
    for (const entry of tenant.entries) {
      // Several changes of one thing stand under one heading.
      const next = `  ${entry.sign} ${entry.what}`
      if (next !== heading) terminal.print(next)
      heading = next
      const lines = wrap(printable(entry.detail), terminal.columns - 6)
      for (const line of lines) terminal.print(`      ${entry.breaks ? terminal.paint('red', line) : line}`)
    }
  }
  const unchanged = answer.unchanged
  if (unchanged > 0)
    terminal.print(`${plural(unchanged, 'tenant')} unchanged, ${unchanged === 1 ? 'hash' : 'hashes'} equal`)
  for (const line of answer.rejected) terminal.print(`${terminal.paint('red', 'rejected')}  ${line}`)
  for (const line of await summary(answer)) {
    const indent = line.length - line.trimStart().length
    for (const part of wrapBehind(' '.repeat(indent), line, terminal.columns)) terminal.print(part)
  }
}

async function summary(answer: Answer): Promise<readonly string[]> {
  const { plural } = await import('../output/units.ts')
  const sum = (part: (tenant: TenantDiff) => number) => answer.tenants.reduce((total, each) => total + part(each), 0)
  const added = sum(({ hosts }) => hosts.added.length)
  const removed = sum(({ hosts }) => hosts.removed.length)
  const certificates = sum((tenant) => tenant.certificates)
  const parts = [
    `Hosts: +${added} -${removed}.`,
    `Certificates: ${certificates === 0 ? 'no change' : plural(certificates, 'change')}.`,
    `Endpoints: ${answer.pools === 0 ? 'no change' : plural(answer.pools, 'pool')}.`,
  ]
  if (answer.loosened.length === 0) return [`Loosened: nothing. ${parts.join(' ')}`]
  return ['Loosened:', ...answer.loosened.map((text) => `  ${text}`), parts.join(' ')]
}

async function printMarkdown(answer: Answer, terminal: Terminal): Promise<void> {
  const { escapeCell, markdownTable } = await import('../output/markdown.ts')
  const rows = answer.tenants.map((tenant) => [
    tenant.tenant,
    stateWord(tenant),
    String(placesOf(tenant)),
    `+${tenant.hosts.added.length} -${tenant.hosts.removed.length}`,
  ])
  terminal.print(markdownTable(['Tenant', 'State', 'Places', 'Hosts'], rows))
  terminal.print('')
  for (const line of [...(await summary(answer)), ...answer.rejected.map((each) => `Rejected: ${each}`)]) {
    terminal.print(`${line.startsWith(' ') ? '  ' : ''}- ${escapeCell(line.trim())}`)
  }
  for (const tenant of answer.tenants) {
    terminal.print(`\n<details><summary>${escapeCell(tenant.tenant)}</summary>\n`)
    for (const entry of tenant.entries) terminal.print(entryMarkdown(entry, escapeCell))
    terminal.print('\n</details>')
  }
}

function entryMarkdown(entry: DiffEntry, escapeText: (text: string) => string): string {
  return `- \`${entry.sign}\` ${escapeText(entry.what)}: ${escapeText(entry.detail)}${entry.breaks ? ' **breaks**' : ''}`
}

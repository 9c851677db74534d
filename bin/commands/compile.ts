// `atrium compile`: what is wrong with a folder, and the snapshot that it makes. Offline; changes nothing.
import { type Command, Option } from 'commander'
import { compareText } from '../../model/canonical.ts'
import { formatPath } from '../../model/issue.ts'
import { objectLabel } from '../../model/resources.ts'
import { EXIT_CODES, usageFailure } from '../exit.ts'
import type { Loaded } from '../load.ts'
import { addCommonFlags, allowEndpointsFlag, type CommonFlags, configFlag, flag, tenantFlag } from '../options.ts'
import type { Finding } from '../output/issues.ts'
import type { Terminal } from '../terminal.ts'
import { onRun } from './command.ts'

type FailOn = 'rejected' | 'degraded' | 'warning'

interface CompileFlags extends CommonFlags {
  readonly config?: readonly string[]
  readonly allowEndpoints?: readonly string[]
  readonly tenant?: readonly string[]
  readonly hashes?: boolean
  readonly failOn: FailOn
}

interface Answer {
  readonly loaded: Loaded
  readonly findings: readonly Finding[]
  readonly hashes: readonly { readonly tenant: string; readonly hash: string }[]
  readonly tenants: readonly string[]
}

/** Adds the verb to the program. */
export function addCompile(program: Command): void {
  const command = program
    .command('compile')
    .summary('what is wrong with a folder, and what it makes')
    .description(
      'Reads a folder of YAML as standalone would and prints every problem with file:line:column; with -o yaml also ' +
        'the snapshot that it makes, secrets hidden. Exit code 1 where an object is rejected.',
    )
    .addOption(configFlag())
    .addOption(allowEndpointsFlag())
    .addOption(tenantFlag())
    .addOption(flag('--hashes', 'print tenants and the hashes of their shards only'))
    .addOption(
      flag('--fail-on <severity>', 'exit 1 from this severity on')
        .choices(['rejected', 'degraded', 'warning'])
        .default('rejected'),
    )
  addCommonFlags(command, ['table', 'json', 'yaml', 'jsonl', 'name', 'markdown'])
  command.addOption(new Option('--no-headers', 'tables without headings'))
  onRun<CompileFlags>(command, runCompile)
}

async function runCompile(flags: CompileFlags, terminal: Terminal): Promise<number> {
  const { loadFolders } = await import('../load.ts')
  const { findingsOf } = await import('../findings.ts')
  const { findingSummary } = await import('../output/issues.ts')
  const { plural, duration } = await import('../output/units.ts')
  const loaded = await loadFolders(flags.config ?? [], flags.allowEndpoints ?? [])
  const tenants = flags.tenant ?? []
  refuseUnknownTenants(loaded, tenants)
  const wanted = (tenant: string) => tenants.length === 0 || tenants.includes(tenant)
  const findings = findingsOf(loaded, Date.now()).filter((finding) => wanted(finding.issue?.tenant ?? ''))
  const hashes = [...loaded.result.snapshot.shards.values()]
    .filter((shard) => wanted(shard.tenant))
    .map(({ tenant, hash }) => ({ tenant, hash }))
    .sort((a, b) => compareText(a.tenant, b.tenant))
  await print({ loaded, findings, hashes, tenants }, flags, terminal)
  const { positionText } = await import('../load.ts')
  const { printable } = await import('../../controller/report/printable.ts')
  for (const { position, message } of loaded.notes)
    terminal.note(printable(`${positionText(position)}  note  ${message}`))
  if (loaded.result.objects.length === 0 && findings.length === 0) {
    terminal.note(`No Tenant, Route or Policy stands in ${(flags.config ?? []).join(', ')}.`)
  }
  const number = (kind: string) => loaded.result.objects.filter(({ object }) => object.kind === kind).length
  terminal.note(
    `compiled ${plural(number('Tenant'), 'tenant')}, ${plural(number('Route'), 'route')}, ` +
      `${plural(number('Policy'), 'policy', 'policies')} in ${duration(loaded.took)}: ${findingSummary(findings)}`,
  )
  return findings.some((finding) => failsOn(finding, flags.failOn)) ? EXIT_CODES.no : EXIT_CODES.done
}

function failsOn(finding: Finding, failOn: FailOn): boolean {
  if (finding.severity === 'rejects') return true
  return finding.severity === 'degrades' ? failOn !== 'rejected' : failOn === 'warning'
}

function refuseUnknownTenants(loaded: Loaded, tenants: readonly string[]): void {
  const known = loaded.result.objects.filter(({ object }) => object.kind === 'Tenant').map(({ object }) => object.name)
  const strange = tenants.find((name) => !known.includes(name))
  if (strange === undefined) return
  throw usageFailure(`There is no tenant ${strange}; there are ${known.sort(compareText).join(', ') || 'none'}.`)
}

async function print(answer: Answer, flags: CompileFlags, terminal: Terminal): Promise<void> {
  const format = flags.output ?? 'table'
  if (flags.hashes === true) return await printHashes(answer, flags, terminal)
  if (format === 'table') return await printFindings(answer.findings, terminal, terminal.print)
  if (format === 'markdown') {
    const { markdownTable } = await import('../output/markdown.ts')
    const rows = answer.findings.map((finding) => [
      finding.position,
      finding.issue === undefined ? '' : objectLabel(finding.issue.object),
      finding.severity,
      finding.issue?.reason ?? '',
      finding.message,
    ])
    return terminal.print(markdownTable(['Where', 'Object', 'Severity', 'Reason', 'Message'], rows))
  }
  if (format === 'name') {
    const rejected = answer.findings.filter((finding) => finding.severity === 'rejects')
    for (const label of new Set(rejected.map(nameOf))) terminal.print(label)
    return
  }
  const documents = await import('../output/documents.ts')
  const items = answer.findings.map(findingItem)
  if (format === 'jsonl') {
    if (items.length > 0) terminal.print(documents.jsonLines(items))
  } else if (format === 'json') {
    const { version } = answer.loaded.result.snapshot
    terminal.print(documents.jsonDocument({ kind: 'CompileReport', version, shards: answer.hashes, items }))
  } else {
    const { plainSnapshot } = await import('../output/plain-snapshot.ts')
    terminal.print(documents.yamlText(plainSnapshot(answer.loaded.result.snapshot, answer.tenants)))
    await printFindings(answer.findings, terminal, terminal.complain)
  }
}

async function printHashes(answer: Answer, flags: CompileFlags, terminal: Terminal): Promise<void> {
  if (flags.output === 'json' || flags.output === 'yaml') {
    const { jsonDocument, yamlDocument } = await import('../output/documents.ts')
    const document = { kind: 'ShardHashes', items: answer.hashes }
    terminal.print(flags.output === 'json' ? jsonDocument(document) : yamlDocument(document))
    return
  }
  const { tableLines } = await import('../output/table.ts')
  const columns = [
    { title: 'TENANT', value: (row: Answer['hashes'][number]) => row.tenant },
    { title: 'SHARD', value: (row: Answer['hashes'][number]) => row.hash },
  ]
  const options = { width: terminal.columns, headers: flags.headers !== false }
  for (const line of tableLines(columns, answer.hashes, options)) terminal.print(line)
}

async function printFindings(
  findings: readonly Finding[],
  terminal: Terminal,
  write: (text: string) => void,
): Promise<void> {
  const { findingLines } = await import('../output/issues.ts')
  for (const finding of findings) {
    const options = { width: terminal.columns, paint: terminal.paint, platform: terminal.verbose }
    for (const line of findingLines(finding, options)) write(line)
  }
}

function nameOf(finding: Finding): string {
  if (finding.issue === undefined) return finding.position
  const { kind, namespace, name } = finding.issue.object
  return [kind.toLowerCase(), namespace, name].filter(Boolean).join('/')
}

function findingItem(finding: Finding): Record<string, unknown> {
  const { issue } = finding
  if (issue === undefined) return { position: finding.position, severity: finding.severity, message: finding.message }
  return {
    position: finding.position,
    object: issue.object,
    tenant: issue.tenant,
    severity: issue.severity,
    condition: issue.condition,
    reason: issue.reason,
    path: formatPath(issue.path),
    message: issue.message,
    causes: issue.causes,
  }
}

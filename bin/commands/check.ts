// `atrium check`: whether a cluster can take Atrium (--pre), or whether an installed one is as it should be. Reads only.
import { type Command, Option } from 'commander'
import type { Finding, Verdict } from '../cluster/findings.ts'
import { addServerFlags, type ServerFlags } from '../cluster/flags.ts'
import { EXIT_CODES, usageFailure } from '../exit.ts'
import { addCommonFlags, type CommonFlags, flag } from '../options.ts'
import type { Paint, Terminal } from '../terminal.ts'
import { onRun } from './command.ts'

interface CheckFlags extends CommonFlags, ServerFlags {
  readonly pre?: boolean
  readonly short?: boolean
  readonly failOn?: 'warning'
  readonly values?: string
  readonly probe?: boolean
}

const COLOURS: Readonly<Record<Verdict, Paint>> = { ok: 'green', note: 'dim', warn: 'yellow', fail: 'red' }

/** Adds the verb to the program. */
export function addCheck(program: Command): void {
  const command = program
    .command('check')
    .summary('is the cluster ready for it, or the installed one well')
    .description(
      'With --pre: what a cluster lacks for Atrium as its values say, and which neighbours it has. Without: CRDs, ' +
        'rights, admission policies, clocks, leader, pods and snapshot of an installed one. Exit code 1 where something ' +
        'does not work.',
    )
    .addOption(new Option('--pre', 'before the install'))
    .addOption(
      flag(
        '--values <file>',
        'with --pre: values that it will be installed with, - for stdin (default: those of the chart)',
      ),
    )
    .addOption(new Option('--probe', 'try by a pod whether NetworkPolicies are enforced; it is taken away again'))
    .addOption(new Option('--short', 'only what is not ok'))
    .addOption(flag('--fail-on <what>', 'exit 1 on warnings too').choices(['warning']))
  addServerFlags(command)
  addCommonFlags(command, ['table', 'json', 'yaml'])
  onRun<CheckFlags>(command, runCheck)
}

async function runCheck(flags: CheckFlags, terminal: Terminal): Promise<number> {
  if (flags.values !== undefined && flags.pre !== true) throw usageFailure('--values goes with --pre.')
  if (flags.probe === true && flags.pre === true)
    throw usageFailure('--probe needs an installed Atrium: leave --pre out.')
  const { openKubernetes } = await import('../cluster/kubernetes.ts')
  const { runChecks, tally } = await import('../cluster/findings.ts')
  const kubernetes = await openKubernetes(flags)
  try {
    const checks =
      flags.pre === true
        ? (await import('../cluster/checks-before.ts')).checksBefore(
            kubernetes,
            await (await import('../cluster/chart-values.ts')).readValues(flags.values),
            flags,
          )
        : (await import('../cluster/checks-after.ts')).checksAfter(kubernetes, flags)
    const all = await runChecks(checks)
    const shown = flags.short === true ? all.filter(({ verdict }) => verdict === 'warn' || verdict === 'fail') : all
    if (flags.output === 'json' || flags.output === 'yaml') {
      const documents = await import('../output/documents.ts')
      const document = { kind: 'Check', items: shown }
      terminal.print(flags.output === 'json' ? documents.jsonDocument(document) : documents.yamlDocument(document))
    } else {
      await print(shown, terminal)
      terminal.note(tally(all))
    }
    const bad = (verdict: Verdict) => verdict === 'fail' || (verdict === 'warn' && flags.failOn === 'warning')
    return all.some(({ verdict }) => bad(verdict)) ? EXIT_CODES.no : EXIT_CODES.done
  } finally {
    kubernetes.close()
  }
}

async function print(findings: readonly Finding[], terminal: Terminal): Promise<void> {
  const { wrap } = await import('../output/width.ts')
  const { printable } = await import('../../controller/report/printable.ts')
  const groups = new Set(findings.map(({ group }) => group))
  for (const group of groups) {
    terminal.print(terminal.paint('bold', group))
    for (const { verdict, text, hint } of findings.filter((each) => each.group === group)) {
      const [first = '', ...rest] = wrap(printable(text), terminal.columns - 8)
      terminal.print(`  ${terminal.paint(COLOURS[verdict], verdict.padEnd(4))}  ${first}`)
      for (const line of rest) terminal.print(`        ${line}`)
      if (hint !== undefined)
        for (const line of wrap(printable(hint), terminal.columns - 8)) terminal.print(`        ${line}`)
    }
  }
}

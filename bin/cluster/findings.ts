// What a check found, and how it is told. Types and text only. The check verb runs checks-before.ts or checks-after.ts.

/** ok: as it should be. note: worth knowing. warn: works, but look at it. fail: it does not work. */
export type Verdict = 'ok' | 'note' | 'warn' | 'fail'

/** One finding. */
export interface Finding {
  readonly group: string
  readonly verdict: Verdict
  /** One sentence without its full stop. */
  readonly text: string
  /** The next step, where there is one. */
  readonly hint?: string
}

/** Looks at one thing; an answer that does not come is a finding too. */
export type Check = () => Promise<readonly Finding[]>

/** Runs checks in their order, all of a group together. */
export async function runChecks(checks: readonly Check[]): Promise<readonly Finding[]> {
  const found = await Promise.all(checks.map(async (check) => await check()))
  return found.flat()
}

/** `4 ok, 2 warnings`. */
export function tally(findings: readonly Finding[]): string {
  const count = (verdict: Verdict) => findings.filter((each) => each.verdict === verdict).length
  const parts = [`${count('ok')} ok`]
  if (count('warn') > 0) parts.push(`${count('warn')} ${count('warn') === 1 ? 'warning' : 'warnings'}`)
  if (count('fail') > 0) parts.push(`${count('fail')} failed`)
  return parts.join(', ')
}

/** One finding. */
export function finding(group: string, verdict: Verdict, text: string, hint?: string): Finding {
  return { group, verdict, text, ...(hint === undefined ? {} : { hint }) }
}

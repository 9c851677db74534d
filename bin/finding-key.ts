// The identity of a finding, for what is told once. Pure, and apart from findings.ts because the demo must start fast.
import { objectKey, tupleKey } from '../model/resources.ts'
import type { Finding } from './output/issues.ts'

/** Tells findings apart wherever they stand: the same mistake in another file is the same finding. */
export function findingKey(finding: Finding): string {
  const { issue, message } = finding
  return tupleKey([issue === undefined ? '' : objectKey(issue.object), issue?.reason ?? '', message])
}

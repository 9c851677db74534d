// Checks a status against the schema of its kind's CRD: what the API server would refuse or prune.
import { Findings, schemaChecker } from '../../model/check-value.ts'
import { customKinds } from '../../model/custom-kinds.ts'
import { schemaNode } from '../../model/schema.ts'
import { POLICIES } from '../../policies/index.ts'

/** Problems of a status, as texts. */
export function decodeStatusOf(kind: string, status: unknown): readonly string[] {
  const found = customKinds(POLICIES).find((each) => each.kind === kind)
  if (found === undefined) return [`no kind ${kind}`]
  const findings = new Findings()
  schemaChecker(schemaNode(found.status))(status, findings)
  return findings.problems.map((problem) => JSON.stringify(problem))
}

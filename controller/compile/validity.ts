// What a certificate's dates will come to. Pure: compile has no clock, so every date becomes an issue with `from` and
// `until` that report judges. client-validation and resolve-certificates call it.
import type { FieldPath, Issue } from '../../model/issue.ts'
import { createIssue, type Subject } from './issues.ts'

/** An owner who is told this early can renew by hand. */
const EXPIRING_MS = 14 * 86_400_000

/** Issues that hold before, near and after the end of a certificate or bundle. `label` names the object. */
export function tellValidity(
  label: string,
  facts: { readonly notBefore?: number; readonly notAfter: number },
  subject: Subject,
  path: FieldPath,
): readonly Issue[] {
  const { notBefore, notAfter } = facts
  const until = (time: number) => new Date(time).toISOString().slice(0, 19).concat('Z')
  const issues: Issue[] = []
  if (!Number.isFinite(notAfter) || Math.abs(notAfter) > 8.64e15) return issues
  const ending = `${label} ends ${until(notAfter)}. Renew it.`
  issues.push(
    createIssue(subject, 'warns', 'CertificateExpiring', ending, {
      path,
      from: notAfter - EXPIRING_MS,
      until: notAfter,
    }),
    createIssue(subject, 'degrades', 'CertificateExpired', `${label} ended ${until(notAfter)}. Renew it.`, {
      path,
      from: notAfter,
    }),
  )
  if (notBefore === undefined || !Number.isFinite(notBefore) || Math.abs(notBefore) > 8.64e15) return issues
  const early = `${label} does not begin before ${until(notBefore)}.`
  issues.push(createIssue(subject, 'degrades', 'CertificateExpired', early, { path, until: notBefore }))
  return issues
}

// Server certificates that a Route or a Tenant names: found, permitted, readable, or told. Pure. plan-tls asks once for
// each Route and once for the Tenant; a Secret that became unreadable keeps its last good certificate.
import type { FilledRef } from '../../model/defaults.ts'
import type { FieldPath, Issue } from '../../model/issue.ts'
import { type CertificateFacts, objectLabel } from '../../model/resources.ts'
import { createIssue, type Subject } from './issues.ts'
import { tellValidity } from './validity.ts'
import type { Referrer, TenantView } from './world.ts'

/** One reference with its place in the object. */
export interface PlacedRef {
  readonly ref: FilledRef
  readonly path: FieldPath
}

/** The usable certificates of some references, in their order. */
export function resolveCertificates(
  refs: readonly PlacedRef[],
  from: Referrer,
  subject: Subject,
  view: TenantView,
  issues: Issue[],
): readonly CertificateFacts[] {
  const certificates: CertificateFacts[] = []
  for (const { ref, path } of refs) {
    const label = objectLabel(ref)
    const config = view.resolve(from, ref)
    if (config === 'NotPermitted') {
      const message = `${label} is in another namespace and no ReferenceGrant there permits the reference. Ask its owner for one.`
      issues.push(createIssue(subject, 'degrades', 'RefNotPermitted', message, { path }))
      continue
    }
    const indexed = config?.secrets.get(ref.name)
    const newest = indexed?.newest?.value.certificate
    const good = newest?.problem === undefined ? undefined : indexed?.good?.value.certificate
    const usable = usableCertificate(newest) ?? usableCertificate(good)
    if (usable === undefined || usable !== newest) {
      const why = indexed === undefined ? 'does not exist' : (newest?.problem ?? 'has no certificate')
      const what = usable === undefined ? 'so it is not used' : 'so its last good form goes on being used'
      const causes = indexed === undefined ? [] : [indexed.ref]
      const message = `${label}: ${why}, ${what}. It needs tls.crt and tls.key in PEM.`
      issues.push(createIssue(subject, 'degrades', 'InvalidCertificateRef', message, { path, causes }))
    }
    if (usable === undefined) continue
    certificates.push(usable)
    issues.push(...tellValidity(label, usable, subject, path))
  }
  return certificates
}

function usableCertificate(facts: CertificateFacts | undefined): CertificateFacts | undefined {
  return facts === undefined || facts.problem !== undefined ? undefined : facts
}

/** Whether a certificate may be shown for a host (RFC 9525 section 6.3: a wildcard stands for exactly one label). */
export function certificateNames(certificate: CertificateFacts, host: string): boolean {
  return certificate.names.some((name) => nameCovers(name, host))
}

/** Whether one of the names is the host itself, not a wildcard above it. */
export function namesExactly(certificate: CertificateFacts, host: string): boolean {
  return certificate.names.includes(host)
}

function nameCovers(name: string, host: string): boolean {
  if (name === host) return true
  // A host that is a wildcard of one or more labels is named by no wildcard but its own: `*.b.test` says nothing of it.
  if (!name.startsWith('*.') || host.startsWith('*.')) return false
  const dot = host.indexOf('.')
  return dot > 0 && host.slice(dot) === name.slice(1)
}

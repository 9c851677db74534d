// Client certificates of one Route: the authorities that its caCertificateRefs name, and an identity by which two Routes
// of a host can be told to agree. Pure. choose-routes compares, plan-tls puts them on the host.
import { canonicalText, compareText } from '../../model/canonical.ts'
import { filledRef, filledTls } from '../../model/defaults.ts'
import type { Issue } from '../../model/issue.ts'
import { type AuthorityFacts, objectKey, objectLabel } from '../../model/resources.ts'
import type { RouteTls } from '../../model/route.ts'
import { createIssue, type Subject } from './issues.ts'
import { tellValidity } from './validity.ts'
import type { TenantView } from './world.ts'

/** What a Route asks of client certificates. */
export interface ClientValidation {
  /** Equal for two Routes that ask for the same. */
  readonly identity: string
  readonly authorities: readonly AuthorityFacts[]
  readonly mode: 'Require' | 'Optional'
  readonly issues: readonly Issue[]
}

/**
 * Resolves the authorities. One that is missing or broken is left out, so nobody comes in by it; where none is left the
 * host closes.
 */
export function resolveClientValidation(tls: RouteTls, subject: Subject, view: TenantView): ClientValidation {
  const issues: Issue[] = []
  const authorities = new Map<string, AuthorityFacts>()
  const identities = new Set<string>()
  const refs = tls.clientValidation?.caCertificateRefs ?? []
  refs.forEach((ref, index) => {
    const to = filledRef(ref, 'ConfigMap', subject.object.namespace)
    const path = ['spec', 'tls', 'clientValidation', 'caCertificateRefs', index]
    const label = objectLabel(to)
    const config = view.resolve({ kind: 'Route', namespace: subject.object.namespace }, to)
    if (config === 'NotPermitted') {
      const message = `${label} is in another namespace and no ReferenceGrant there permits Routes of ${subject.object.namespace}. Ask its owner for one.`
      issues.push(createIssue(subject, 'degrades', 'RefNotPermitted', message, { path }))
      identities.add(objectKey(to))
      return
    }
    const indexed = (to.kind === 'Secret' ? config?.secrets : config?.configMaps)?.get(to.name)
    const newest = indexed?.newest?.value.authorities
    const good = indexed?.good?.value.authorities
    const usable = usableAuthorities(newest) ?? (newest === undefined ? undefined : usableAuthorities(good))
    if (usable === undefined || newest?.problem !== undefined) {
      const why = indexed === undefined ? 'does not exist' : (newest?.problem ?? 'has no ca.crt')
      const what = usable === undefined ? 'so nobody comes in by it' : 'so its last good form goes on being used'
      const causes = indexed === undefined ? [] : [indexed.ref]
      const message = `${label}: ${why}, ${what}. It needs ca.crt with certificates in PEM.`
      issues.push(createIssue(subject, 'degrades', 'InvalidCertificateRef', message, { path, causes }))
    }
    if (usable === undefined) identities.add(objectKey(to))
    else {
      identities.add(usable.fingerprint)
      authorities.set(usable.fingerprint, usable)
      issues.push(...tellValidity(label, usable, subject, path))
    }
  })
  const { mode } = filledTls(tls)
  return {
    identity: canonicalText([mode, [...identities].sort(compareText)]),
    authorities: [...authorities.values()].sort((a, b) => compareText(a.fingerprint, b.fingerprint)),
    mode,
    issues,
  }
}

function usableAuthorities(facts: AuthorityFacts | undefined): AuthorityFacts | undefined {
  return facts === undefined || facts.problem !== undefined ? undefined : facts
}

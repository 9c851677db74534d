// The pass that gives each host its TLS identity. Pure. TLS belongs to the host: certificates of all Routes on it unite,
// the highest minVersion and the strictest plainHTTP hold, and one client validation holds for the whole host.
import { compareText } from '../../model/canonical.ts'
import { filledRef, filledTls } from '../../model/defaults.ts'
import type { Issue } from '../../model/issue.ts'
import type { AuthorityFacts, CertificateFacts } from '../../model/resources.ts'
import type { HostTls } from '../../model/snapshot.ts'
import type { RouteInForce } from './choose-routes.ts'
import { createIssue, type Subject } from './issues.ts'
import { certificateNames, namesExactly, resolveCertificates } from './resolve-certificates.ts'
import type { TenantView } from './world.ts'

/** From lax to strict. */
const STRICTNESS = ['Serve', 'Redirect', 'Refuse'] as const

/** Plans the hosts of one tenant, and collects the certificates and authorities that they use. */
export class TlsPlanner {
  readonly #view: TenantView
  readonly #issues: Issue[]
  readonly #tenantCertificates: readonly CertificateFacts[]
  readonly #routeCertificates = new Map<RouteInForce, readonly CertificateFacts[]>()
  readonly #certificates = new Map<string, CertificateFacts>()
  readonly #authorities = new Map<string, AuthorityFacts>()

  constructor(view: TenantView, issues: Issue[]) {
    this.#view = view
    this.#issues = issues
    this.#tenantCertificates = this.#resolveTenant()
  }

  /** The TLS identity of a host, given all Routes on it in their order; null where nobody asks for TLS. */
  planHost(host: string, routes: readonly RouteInForce[]): HostTls | null {
    const asking = routes.filter((route) => route.form.value.tls !== undefined)
    const fromTenant = this.#tenantCertificates.filter((certificate) => certificateNames(certificate, host))
    if (asking.length === 0) {
      if (routes.length === 0 || fromTenant.length === 0) return null
      // Nobody on the host said what plain HTTP gets, so the Tenant's certificate only adds a way in.
      return {
        certificates: this.#use(fromTenant, host),
        minVersion: '1.2',
        plainHTTP: 'Serve',
        clientValidation: null,
      }
    }
    const certificates = this.#certificatesOf(host, asking, fromTenant)
    return {
      certificates: this.#use(certificates, host),
      minVersion: asking.some((route) => tlsOf(route).minVersion === '1.3') ? '1.3' : '1.2',
      plainHTTP: this.#strictest(host, asking),
      clientValidation: this.#clientValidation(asking),
    }
  }

  /** By fingerprint, ordered. */
  get certificates(): ReadonlyMap<string, CertificateFacts> {
    return ordered(this.#certificates)
  }

  /** By fingerprint, ordered. */
  get authorities(): ReadonlyMap<string, AuthorityFacts> {
    return ordered(this.#authorities)
  }

  #resolveTenant(): readonly CertificateFacts[] {
    const { tenant } = this.#view
    const subject: Subject = {
      object: tenant.indexed.ref,
      generation: tenant.indexed.generation,
      tenant: tenant.name,
      ...(tenant.indexed.newest === undefined ? { kept: true } : {}),
    }
    const refs = (tenant.form.value.tls?.certificateRefs ?? []).flatMap((ref, index) => {
      const path = ['spec', 'tls', 'certificateRefs', index]
      if (ref.namespace !== undefined) return [{ ref: filledRef(ref, 'Secret', ref.namespace), path }]
      const message = 'A Tenant has no namespace of its own, so the reference must name one. Add namespace.'
      this.#issues.push(createIssue(subject, 'degrades', 'InvalidCertificateRef', message, { path }))
      return []
    })
    return resolveCertificates(refs, { kind: 'Tenant' }, subject, this.#view, this.#issues)
  }

  #resolveRoute(route: RouteInForce): readonly CertificateFacts[] {
    let certificates = this.#routeCertificates.get(route)
    if (certificates === undefined) {
      const refs = (route.form.value.tls?.certificateRefs ?? []).map((ref, index) => ({
        ref: filledRef(ref, 'Secret', route.namespace),
        path: ['spec', 'tls', 'certificateRefs', index],
      }))
      const from = { kind: 'Route', namespace: route.namespace } as const
      certificates = resolveCertificates(refs, from, route.subject, this.#view, this.#issues)
      this.#routeCertificates.set(route, certificates)
    }
    return certificates
  }

  /** Those that name the host; where none does, whatever the Routes name, and that is told. */
  #certificatesOf(
    host: string,
    asking: readonly RouteInForce[],
    fromTenant: readonly CertificateFacts[],
  ): readonly CertificateFacts[] {
    const named = asking.flatMap((route) => this.#resolveRoute(route))
    const matching = named.filter((certificate) => certificateNames(certificate, host))
    if (matching.length > 0) return matching
    for (const route of asking) {
      if (this.#resolveRoute(route).length === 0) continue
      const message = `No certificate of the Route names ${host}, so clients will refuse it. Use one whose DNS names cover the host.`
      this.#issues.push(
        createIssue(route.subject, 'degrades', 'CertificateMismatch', message, {
          path: ['spec', 'tls', 'certificateRefs'],
        }),
      )
    }
    return fromTenant.length > 0 ? fromTenant : named
  }

  #strictest(host: string, asking: readonly RouteInForce[]): HostTls['plainHTTP'] {
    let strictest: HostTls['plainHTTP'] = 'Serve'
    for (const route of asking) {
      const wanted = tlsOf(route).plainHTTP
      if (STRICTNESS.indexOf(wanted) > STRICTNESS.indexOf(strictest)) strictest = wanted
    }
    for (const route of asking) {
      const wanted = tlsOf(route).plainHTTP
      if (wanted === strictest) continue
      const stricter = asking.filter((other) => tlsOf(other).plainHTTP === strictest)
      const message = `plainHTTP ${wanted} has no effect on ${host}: another Route of the host says ${strictest}, and the strictest holds. Make the two agree.`
      this.#issues.push(
        createIssue(route.subject, 'warns', 'Conflicted', message, {
          path: ['spec', 'tls', 'plainHTTP'],
          causes: stricter.map((other) => other.indexed.ref),
        }),
      )
    }
    return strictest
  }

  /** choose-routes has made sure that all who ask for client certificates ask for the same. */
  #clientValidation(asking: readonly RouteInForce[]): HostTls['clientValidation'] {
    const validation = asking.find((route) => route.clientValidation !== undefined)?.clientValidation
    if (validation === undefined) return null
    for (const authority of validation.authorities) this.#authorities.set(authority.fingerprint, authority)
    return {
      authorities: validation.authorities.map((authority) => authority.fingerprint),
      mode: validation.mode,
      closed: validation.authorities.length === 0,
    }
  }

  /** Fingerprints, best first: an exact name before a wildcard, the one that ends later first. */
  #use(certificates: readonly CertificateFacts[], host: string): readonly string[] {
    const unique = new Map(certificates.map((certificate) => [certificate.fingerprint, certificate]))
    for (const [fingerprint, certificate] of unique) this.#certificates.set(fingerprint, certificate)
    return [...unique.values()]
      .sort(
        (a, b) =>
          Number(namesExactly(b, host)) - Number(namesExactly(a, host)) ||
          b.notAfter - a.notAfter ||
          compareText(a.fingerprint, b.fingerprint),
      )
      .map((certificate) => certificate.fingerprint)
  }
}

function tlsOf(route: RouteInForce) {
  return filledTls(route.form.value.tls ?? {})
}

function ordered<Value>(map: ReadonlyMap<string, Value>): ReadonlyMap<string, Value> {
  return new Map([...map].sort(([a], [b]) => compareText(a, b)))
}

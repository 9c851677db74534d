// A problem, as data: which object, which condition, which reason, why, and where in the object. Pure. Compile and
// the sources make issues; report turns them into conditions, the command line into file:line:column.
import type { ObjectRef } from './resources.ts'

/** Condition types (ux conventions: positive polarity, `kubectl wait --for=condition=…` understands them). */
export type ConditionType = 'Accepted' | 'ResolvedRefs' | 'Programmed' | 'Healthy' | 'Attached' | 'Ready'

/** rejects: the object is not used (its last good form is, if any). degrades: part of it is off. warns: nothing is off. */
export type Severity = 'rejects' | 'degrades' | 'warns'

/** Who can fix it, what happened, what to do: the source of docs/errors/<Reason>.md and `atrium help <Reason>`. */
export interface ReasonPage {
  readonly condition: ConditionType
  readonly who: 'tenant' | 'platform'
  /** What happened, one sentence. */
  readonly what: string
  /** The next step, one or two sentences, with the exact command where there is one. */
  readonly fix: string
}

/** The closed list of reasons. Gateway API's words first. Nothing else may stand in a condition. */
export const REASONS = {
  Accepted: { condition: 'Accepted', who: 'tenant', what: 'The object is valid and in use.', fix: 'Nothing to do.' },
  Pending: {
    condition: 'Ready',
    who: 'platform',
    what: 'The controller has not looked at this generation yet.',
    fix: 'Wait; if it stays, check that the controller runs.',
  },
  Programmed: {
    condition: 'Programmed',
    who: 'tenant',
    what: 'Every dataplane pod that serves the tenant has it.',
    fix: 'Nothing to do.',
  },
  ResolvedRefs: {
    condition: 'ResolvedRefs',
    who: 'tenant',
    what: 'Everything the object refers to was found.',
    fix: 'Nothing to do.',
  },
  Attached: {
    condition: 'Attached',
    who: 'tenant',
    what: 'The Policy applies to at least one rule.',
    fix: 'Nothing to do.',
  },
  Serving: { condition: 'Ready', who: 'tenant', what: 'It serves.', fix: 'Nothing to do.' },
  Invalid: {
    condition: 'Accepted',
    who: 'tenant',
    what: 'A field has a wrong shape, an unknown name or a value out of bounds.',
    fix: 'Correct the field named in the message; `atrium compile --config DIR` checks it before you apply.',
  },
  InvalidKind: {
    condition: 'ResolvedRefs',
    who: 'tenant',
    what: 'A reference names a kind that cannot be used there.',
    fix: 'Use one of the kinds that the message lists.',
  },
  UnsupportedValue: {
    condition: 'Accepted',
    who: 'tenant',
    what: 'A value is well formed but not supported here.',
    fix: 'Choose one of the values that the message lists.',
  },
  RefNotPermitted: {
    condition: 'ResolvedRefs',
    who: 'tenant',
    what: 'A reference crosses into another namespace without a ReferenceGrant there.',
    fix: 'Ask the owner of that namespace for a ReferenceGrant from your kind and namespace, or use an object of your own.',
  },
  BackendNotFound: {
    condition: 'ResolvedRefs',
    who: 'tenant',
    what: 'A backendRef names a Service, or a port of it, that does not exist.',
    fix: 'Create the Service or correct name and port: `kubectl get service -n NAMESPACE`.',
  },
  TargetNotFound: {
    condition: 'Attached',
    who: 'tenant',
    what: 'A Policy targets a Route, or a rule of it, that does not exist in its namespace.',
    fix: 'Correct targetRefs, or name the rule that sectionName means.',
  },
  InvalidCertificateRef: {
    condition: 'ResolvedRefs',
    who: 'tenant',
    what: 'A certificate or CA bundle is missing or cannot be read.',
    fix: 'Check the Secret or ConfigMap that the message names: it needs tls.crt and tls.key, or ca.crt, in PEM.',
  },
  Conflicted: {
    condition: 'Accepted',
    who: 'tenant',
    what: 'Another object of the same tenant says something else about the same thing, and comes first by namespace and name.',
    fix: 'Make the two agree, or remove one.',
  },
  NoResources: {
    condition: 'Programmed',
    who: 'platform',
    what: 'There is nothing to program it on.',
    fix: 'Start a dataplane.',
  },
  HostNotOwned: {
    condition: 'Accepted',
    who: 'tenant',
    what: 'A hostname is not among those of the tenant.',
    fix: 'Ask the platform team to add it to the Tenant, or use a host you own.',
  },
  HostInUse: {
    condition: 'Accepted',
    who: 'platform',
    what: 'A hostname is held by another tenant, or two tenants ask for it and none holds it.',
    fix: 'Choose another hostname, or have the holder release it.',
  },
  NamespaceNotInTenant: {
    condition: 'Accepted',
    who: 'platform',
    what: 'The namespace belongs to no Tenant, so nothing in it may serve.',
    fix: 'Ask the platform team to add the namespace to a Tenant.',
  },
  NamespaceClaimed: {
    condition: 'Accepted',
    who: 'platform',
    what: 'A namespace is held by another tenant, or two tenants ask for it and none holds it.',
    fix: 'Remove the namespace from one of the Tenants.',
  },
  RouteLimitExceeded: {
    condition: 'Accepted',
    who: 'platform',
    what: 'The tenant has more Routes than its limit.',
    fix: 'Delete Routes you do not need, or ask the platform team for a higher limits.routes.',
  },
  Shadowed: {
    condition: 'Accepted',
    who: 'tenant',
    what: 'A match can never win, because the same match of another rule comes first.',
    fix: 'Remove one of the two, or make this one more specific.',
  },
  PartlyOverridden: {
    condition: 'Attached',
    who: 'tenant',
    what: 'Part of the Policy has no effect, because something stricter or more specific wins.',
    fix: 'Remove the field that the message names, or make it stricter than the override.',
  },
  Overridden: {
    condition: 'Attached',
    who: 'tenant',
    what: 'Nothing of the Policy has an effect, because something else wins everywhere.',
    fix: 'Remove the Policy, or target a rule that no other Policy targets.',
  },
  KeptLastGood: {
    condition: 'Accepted',
    who: 'tenant',
    what: 'The newest form is rejected; the last accepted form goes on serving.',
    fix: 'Correct the newest form; the other reasons of the object say what is wrong.',
  },
  SomeRoutesRejected: {
    condition: 'Healthy',
    who: 'tenant',
    what: 'At least one Route of the tenant is not in use.',
    fix: 'Look at the Routes whose Ready is False: `kubectl get routes -A`.',
  },
  PodsPending: {
    condition: 'Programmed',
    who: 'platform',
    what: 'Some dataplane pods do not have the newest version yet.',
    fix: 'Wait; if it stays, look at the pods that the message names.',
  },
  PodsRefused: {
    condition: 'Programmed',
    who: 'platform',
    what: 'A dataplane pod refused the newest version and kept the one it had.',
    fix: 'Look at the message; upgrade the dataplane if it asks for a feature.',
  },
  NoReadyEndpoints: {
    condition: 'ResolvedRefs',
    who: 'tenant',
    what: 'A backend has no endpoint that may be used.',
    fix: 'Check the pods and their readiness: `kubectl get endpointslices -n NAMESPACE`.',
  },
  EndpointNotAllowed: {
    condition: 'ResolvedRefs',
    who: 'tenant',
    what: 'An endpoint address is not that of a pod of the tenant and in no range that the operator allows.',
    fix: 'Let the Service select your own pods, or ask the platform team for --allow-endpoints.',
  },
  CertificateExpiring: {
    condition: 'ResolvedRefs',
    who: 'tenant',
    what: 'A certificate ends within 14 days.',
    fix: 'Renew it.',
  },
  CertificateExpired: {
    condition: 'ResolvedRefs',
    who: 'tenant',
    what: 'A certificate has ended or has not begun.',
    fix: 'Renew it; clients refuse it already.',
  },
  CertificateMismatch: {
    condition: 'ResolvedRefs',
    who: 'tenant',
    what: 'No certificate of the host names the host.',
    fix: 'Use a certificate whose DNS names cover the hostname.',
  },
  PolicyNotReady: {
    condition: 'ResolvedRefs',
    who: 'tenant',
    what: 'A required policy is not in force, so the rule answers 503.',
    fix: 'Attach a Policy with the body that the message names.',
  },
  Suspended: {
    condition: 'Ready',
    who: 'platform',
    what: 'The tenant is suspended: every request is answered 503.',
    fix: 'The platform team sets suspended to false.',
  },
} as const satisfies Readonly<Record<string, ReasonPage>>

export type Reason = keyof typeof REASONS

/** A path into an object: field names and list positions from the root, such as ['spec', 'rules', 0, 'name']. */
export type FieldPath = readonly (string | number)[]

/** A problem of one object. Nobody throws for a user's mistake: they make one of these. */
export interface Issue {
  readonly object: ObjectRef
  /** `metadata.generation` of the form it is about. */
  readonly generation: number
  /** The tenant that owns the object, '' where none does. Who may read the message. */
  readonly tenant: string
  /** Objects that caused it, the own left out. Objects of other tenants are never named here. */
  readonly causes: readonly ObjectRef[]
  readonly condition: ConditionType
  readonly reason: Reason
  readonly severity: Severity
  /** One sentence of what, one of what to do; at most MAX_MESSAGE characters; no name of another tenant. */
  readonly message: string
  /** Where in the object; empty for the object as a whole. */
  readonly path: FieldPath
  /** For issues that depend on the time: report judges them, because compile has no clock. Milliseconds since the epoch. */
  readonly from?: number
  readonly until?: number
  /** For the platform only (the other tenant's name in a host conflict); never shown to the owner. */
  readonly platformNote?: string
}

/** Kubernetes cuts nothing, etcd does: messages are cut here. */
export const MAX_MESSAGE = 1024

/** `spec.rules[0].backendRefs[1].port`, for people. */
export function formatPath(path: FieldPath): string {
  let textForm = ''
  for (const part of path) textForm += typeof part === 'number' ? `[${part}]` : textForm === '' ? part : `.${part}`
  return textForm
}

// From an object as it was written to a value of known shape, or to problems with their paths. Pure, never throws.
// compile calls it for each object that it has not seen before; the file source and the command line show its words.
import { type CheckSchema, type FieldProblem, Findings, schemaChecker, withoutNulls } from './check-value.ts'
import {
  type EndpointSliceBody,
  endpointSliceBody,
  type NamespaceBody,
  namespaceBody,
  type PodBody,
  podBody,
  type ReferenceGrantBody,
  referenceGrantBody,
  type ServiceBody,
  serviceBody,
} from './core.ts'
import { type PolicyDefinition, policyBodies } from './define-policy.ts'
import { type PolicySpec, policySpec } from './policy.ts'
import { type RouteSpec, routeSpec } from './route.ts'
import { object, type Schema, schemaNode } from './schema.ts'
import { type TenantSpec, tenantSpec } from './tenant.ts'

export type { FieldProblem } from './check-value.ts'

export type DecodeResult<Decoded> =
  | { readonly ok: true; readonly value: Decoded }
  | { readonly ok: false; readonly problems: readonly FieldProblem[] }

/** Takes the body of a SourceObject. Linear in its size; the value shares structure with the body. */
export type Decoder<Decoded> = (body: Readonly<Record<string, unknown>>) => DecodeResult<Decoded>

/** One decoder for each kind that has a shape. Atrium's own kinds yield their spec, core kinds their body. */
export interface Decoders {
  readonly tenant: Decoder<TenantSpec>
  readonly route: Decoder<RouteSpec>
  readonly policy: Decoder<PolicySpec>
  readonly service: Decoder<ServiceBody>
  readonly endpointSlice: Decoder<EndpointSliceBody>
  readonly pod: Decoder<PodBody>
  readonly referenceGrant: Decoder<ReferenceGrantBody>
  readonly namespace: Decoder<NamespaceBody>
}

/** Builds all checks once; `policies` is policies/index.ts. */
export function createDecoders(policies: readonly PolicyDefinition[]): Decoders {
  const names = policies.map((policy) => policy.name)
  const policyDecoder = ownKind<Readonly<Record<string, unknown>>>(policyKind(policies))
  return {
    tenant: ownKind<TenantSpec>(tenantKind(policies)),
    route: ownKind<RouteSpec>(routeSpec),
    policy(body) {
      const result = policyDecoder(body)
      return result.ok ? { ok: true, value: splitBodies(result.value, names) } : result
    },
    service: coreKind<ServiceBody>(serviceBody),
    endpointSlice: coreKind<EndpointSliceBody>(endpointSliceBody),
    pod: coreKind<PodBody>(podBody),
    referenceGrant: coreKind<ReferenceGrantBody>(referenceGrantBody),
    namespace: coreKind<NamespaceBody>(namespaceBody),
  }
}

/** The schema of `Tenant.spec` with the bodies that may stand in it. */
export function tenantKind(policies: readonly PolicyDefinition[]) {
  return tenantSpec(policyBodies(policies, ['TenantDefaults']), policyBodies(policies, ['TenantOverrides']))
}

/** The schema of `Policy.spec` with the bodies that may stand in it. */
export function policyKind(policies: readonly PolicyDefinition[]) {
  return policySpec(policyBodies(policies, ['Namespace', 'Route', 'Rule']))
}

function ownKind<Decoded>(spec: Schema): Decoder<Decoded> {
  const check = schemaChecker(schemaNode(object({ spec }, { description: 'The object.' })), {
    ignored: ['apiVersion', 'kind', 'metadata', 'status'],
  })
  return (body) => {
    const problems = problemsOf(check, body)
    return problems.length > 0 ? { ok: false, problems } : { ok: true, value: body['spec'] as Decoded }
  }
}

function coreKind<Decoded>(schema: Schema): Decoder<Decoded> {
  const node = schemaNode(schema)
  const check = schemaChecker(node)
  return (body) => {
    // Kubernetes writes null for an absent list (`endpoints: null`), so null means absent in its kinds.
    const value = withoutNulls(body, node)
    const problems = problemsOf(check, value)
    return problems.length > 0 ? { ok: false, problems } : { ok: true, value: value as Decoded }
  }
}

function problemsOf(check: CheckSchema, value: unknown): readonly FieldProblem[] {
  const findings = new Findings()
  check(value, findings)
  return findings.problems
}

function splitBodies(spec: Readonly<Record<string, unknown>>, names: readonly string[]): PolicySpec {
  const bodies: Record<string, unknown> = {}
  for (const name of names) if (Object.hasOwn(spec, name)) bodies[name] = spec[name]
  const targetRefs = spec['targetRefs'] as PolicySpec['targetRefs']
  return targetRefs === undefined ? { bodies } : { targetRefs, bodies }
}

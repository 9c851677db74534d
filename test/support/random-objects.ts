// Random objects of every kind that compile reads, over names so few that they meet: hosts overlap, Routes collide, grants
// fit sometimes. Most are valid, some are nearly so, some are any JSON at all.
import { Hidden } from '../../model/hidden.ts'
import type { Kind, Material, SourceObject } from '../../model/resources.ts'
import type { Choice } from './random.ts'

const TENANTS = ['acme', 'beta', 'core', 'dora'] as const
const NAMESPACES = ['acme-a', 'acme-b', 'beta-a', 'core-a', 'dora-a', 'free-a'] as const
const HOSTS = [
  'a.test',
  '*.a.test',
  'x.a.test',
  '*.x.a.test',
  'y.x.a.test',
  'b.test',
  '*.b.test',
  'z.b.test',
  '*.test',
  'c.example',
] as const
const SERVICES = ['web', 'api'] as const
const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.0.3', 'fd00::1', '127.0.0.1', '169.254.169.254', 'nonsense'] as const
const PATHS = ['/', '/api', '/api/', '/api/v1', '/x%2fy', '/static'] as const

/** Kinds with the number of names that each has in a namespace. */
const NAMES: Readonly<Record<Exclude<Kind, 'Tenant' | 'Namespace'>, readonly [string, ...string[]]>> = {
  Route: ['one', 'two', 'three'],
  Policy: ['edge', 'limits'],
  Service: SERVICES,
  EndpointSlice: ['web-1', 'web-2', 'api-1'],
  Pod: ['pod-1', 'pod-2'],
  Secret: ['cert', 'other'],
  ConfigMap: ['ca', 'other'],
  ReferenceGrant: ['grant'],
}

/** What an edit is about. */
export interface Slot {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
}

/** A place for an object: Routes and slices more often than the rest. */
export function drawSlot(choice: Choice): Slot {
  if (choice.chance(0.12)) return { kind: 'Tenant', namespace: '', name: choice.of(TENANTS) }
  if (choice.chance(0.04)) return { kind: 'Namespace', namespace: '', name: choice.of(NAMESPACES) }
  const kind = choice.of([
    'Route',
    'Route',
    'Route',
    'Policy',
    'Policy',
    'Service',
    'EndpointSlice',
    'EndpointSlice',
    'Pod',
    'Secret',
    'ConfigMap',
    'ReferenceGrant',
  ] as const)
  return { kind, namespace: choice.of(NAMESPACES), name: choice.of(NAMES[kind]) }
}

/** Every place there is. */
export function allSlots(): readonly Slot[] {
  const cluster: Slot[] = [
    ...TENANTS.map((name): Slot => ({ kind: 'Tenant', namespace: '', name })),
    ...NAMESPACES.map((name): Slot => ({ kind: 'Namespace', namespace: '', name })),
  ]
  const inNamespaces = NAMESPACES.flatMap((namespace) =>
    Object.entries(NAMES).flatMap(([kind, names]) =>
      names.map((name): Slot => ({ kind: kind as Kind, namespace, name })),
    ),
  )
  return [...cluster, ...inNamespaces]
}

/** An object for a place. */
export function drawObject(choice: Choice, slot: Slot, generation: number): SourceObject {
  const { kind, namespace, name } = slot
  const labels: Record<string, string> = {}
  if (kind === 'EndpointSlice') labels['kubernetes.io/service-name'] = choice.of(SERVICES)
  if (kind === 'Namespace' && choice.chance(0.5)) labels['team'] = choice.of(TENANTS)
  const material = drawMaterial(choice, kind)
  return {
    kind,
    metadata: { name, namespace, generation, labels, annotations: {} },
    body: choice.chance(0.06) ? drawGarbage(choice) : drawBody(choice, slot),
    ...(material === undefined ? {} : { material }),
  }
}

/** Any JSON object. */
export function drawGarbage(choice: Choice): Record<string, unknown> {
  const keys = [
    'spec',
    'hostnames',
    'rules',
    'targetRefs',
    'endpoints',
    'addresses',
    'ports',
    '__proto__',
    'status',
    'to',
  ]
  const value = (depth: number): unknown => {
    switch (choice.below(depth > 4 ? 6 : 9)) {
      case 0:
        return null
      case 1:
        return choice.of([0, -1, 1.5, Number.MAX_SAFE_INTEGER, 1e300])
      case 2:
        return choice.chance(0.5)
      case 3:
        return choice.of(['', 'a.test', '/', '\u0000', '😀', 'x'.repeat(3000), '(', '*.'])
      case 4:
      case 5:
        return choice.of(HOSTS)
      case 6:
        return Array.from({ length: choice.below(4) }, () => value(depth + 1))
      default:
        return record(depth)
    }
  }
  const record = (depth: number): Record<string, unknown> => {
    const fields: Record<string, unknown> = Object.create(null)
    for (const key of choice.some(keys, 0.3)) fields[key] = value(depth + 1)
    return { ...fields }
  }
  return record(0)
}

function drawBody(choice: Choice, slot: Slot): Record<string, unknown> {
  switch (slot.kind) {
    case 'Tenant':
      return { spec: drawTenant(choice, slot.name) }
    case 'Route':
      return { spec: drawRoute(choice, slot.namespace) }
    case 'Policy':
      return { spec: drawPolicy(choice) }
    case 'Service':
      return { spec: drawService(choice) }
    case 'EndpointSlice':
      return drawSlice(choice)
    case 'Pod':
      return {
        spec: {},
        status: { phase: choice.of(['Running', 'Running', 'Failed']), podIP: choice.of(ADDRESSES) },
      }
    case 'ReferenceGrant':
      return {
        spec: {
          from: choice
            .some(NAMESPACES, 0.6)
            .map((namespace) => ({ group: 'atrium.dev', kind: choice.of(['Route', 'Route', 'Tenant']), namespace })),
          to: choice.some(['Service', 'Secret', 'ConfigMap'], 0.6).map((kind) => ({ group: '', kind })),
        },
      }
    default:
      return {}
  }
}

function drawTenant(choice: Choice, name: string): Record<string, unknown> {
  const own = NAMESPACES.filter((namespace) => namespace.startsWith(name))
  const namespaces = choice.chance(0.85) ? own : choice.some(NAMESPACES, 0.4)
  return {
    namespaces,
    ...(choice.chance(0.15) ? { namespaceSelector: { matchLabels: { team: name } } } : {}),
    hostnames: choice.some(HOSTS, 0.3),
    ...(choice.chance(0.4) ? { hostnameExceptions: choice.some(['x.a.test', 'y.x.a.test', 'z.b.test'], 0.5) } : {}),
    ...(choice.chance(0.2) ? { tls: { certificateRefs: [drawRef(choice, ['cert', 'other'])] } } : {}),
    ...(choice.chance(0.2) ? { limits: { routes: choice.below(5), requests: { rate: '5/s' } } } : {}),
    ...(choice.chance(0.2) ? { requires: ['access'] } : {}),
    ...(choice.chance(0.3)
      ? { policies: { [choice.of(['defaults', 'overrides'] as const)]: drawBodies(choice) } }
      : {}),
    ...(choice.chance(0.05) ? { suspended: true } : {}),
  }
}

function drawBodies(choice: Choice): Record<string, unknown> {
  return {
    ...(choice.chance(0.6)
      ? { rateLimits: [{ name: 'all', rate: choice.of(['5/s', '50/m']), key: [{ clientIP: {} }] }] }
      : {}),
    ...(choice.chance(0.5)
      ? { access: { ip: { allow: [choice.of(['10.0.0.0/8', '192.0.2.0/24', '10.0.0.0/33'])] } } }
      : {}),
  }
}

function drawPolicy(choice: Choice): Record<string, unknown> {
  const target = () => ({
    kind: 'Route',
    name: choice.of(NAMES.Route),
    ...(choice.chance(0.4) ? { sectionName: choice.of(['first', 'second']) } : {}),
  })
  return {
    ...(choice.chance(0.6) ? { targetRefs: Array.from({ length: 1 + choice.below(2) }, target) } : {}),
    ...drawBodies(choice),
  }
}

function drawRef(choice: Choice, names: readonly [string, ...string[]]): Record<string, unknown> {
  return { name: choice.of(names), ...(choice.chance(0.4) ? { namespace: choice.of(NAMESPACES) } : {}) }
}

function drawRoute(choice: Choice, namespace: string): Record<string, unknown> {
  const rules = Array.from({ length: 1 + choice.below(2) }, (_, index) => drawRule(choice, namespace, index))
  return {
    hostnames: choice.some(HOSTS, 0.25),
    rules,
    ...(choice.chance(0.15) ? { requires: [choice.of(['access', 'rateLimits', 'jwt'])] } : {}),
    ...(choice.chance(0.3) ? { tls: drawTls(choice) } : {}),
  }
}

function drawTls(choice: Choice): Record<string, unknown> {
  const clientValidation = {
    caCertificateRefs: [{ kind: choice.of(['ConfigMap', 'Secret']), ...drawRef(choice, ['ca', 'other']) }],
    mode: choice.of(['Require', 'Optional']),
  }
  return {
    certificateRefs: [drawRef(choice, ['cert', 'other'])],
    minVersion: choice.of(['1.2', '1.3']),
    plainHTTP: choice.of(['Redirect', 'Refuse', 'Serve']),
    ...(choice.chance(0.4) ? { clientValidation } : {}),
  }
}

function drawRule(choice: Choice, namespace: string, index: number): Record<string, unknown> {
  const type = choice.of(['PathPrefix', 'PathPrefix', 'Exact', 'RegularExpression'] as const)
  const value = type === 'RegularExpression' ? choice.of(['/a.*', '/(', '[a-z]+']) : choice.of(PATHS)
  const redirects = choice.chance(0.1)
  return {
    ...(choice.chance(0.7) ? { name: choice.of([['first', 'second'][index] ?? 'other', 'other']) } : {}),
    ...(choice.chance(0.8) ? { matches: [{ path: { type, value } }] } : {}),
    ...(redirects ? { filters: [{ type: 'RequestRedirect', requestRedirect: { scheme: 'https' } }] } : {}),
    ...(redirects && choice.chance(0.9)
      ? {}
      : {
          backendRefs: Array.from({ length: choice.below(3) }, () => ({
            name: choice.of(SERVICES),
            port: choice.of([80, 'http', 9]),
            ...(choice.chance(0.3) ? { namespace: choice.chance(0.5) ? namespace : choice.of(NAMESPACES) } : {}),
            ...(choice.chance(0.4) ? { weight: choice.below(3) } : {}),
          })),
        }),
  }
}

function drawService(choice: Choice): Record<string, unknown> {
  return {
    ...(choice.chance(0.05) ? { type: 'ExternalName', externalName: 'other.test' } : {}),
    ports: [{ name: choice.of(['http', 'web']), port: 80, targetPort: 'http' }],
  }
}

function drawSlice(choice: Choice): Record<string, unknown> {
  const endpoint = () => ({
    addresses: [choice.of(ADDRESSES)],
    conditions: choice.chance(0.3) ? { ready: false, serving: true, terminating: choice.chance(0.5) } : {},
    ...(choice.chance(0.2) ? { targetRef: { kind: 'Pod', name: choice.of(NAMES.Pod) } } : {}),
    zone: choice.of(['z1', 'z2', '']),
  })
  return {
    addressType: 'IPv4',
    endpoints: Array.from({ length: choice.below(4) }, endpoint),
    ports: [{ name: choice.of(['http', 'web']), port: choice.of([8080, 3000]) }],
  }
}

function drawMaterial(choice: Choice, kind: Kind): Material | undefined {
  if (kind !== 'Secret' && kind !== 'ConfigMap') return undefined
  const problem = choice.chance(0.2) ? { problem: 'is not PEM' } : {}
  const fingerprint = choice.of(['f1', 'f2', 'f3'])
  return {
    ...(kind === 'Secret' && choice.chance(0.8)
      ? {
          certificate: {
            names: choice.some(HOSTS, 0.4),
            notBefore: 0,
            notAfter: 1e12,
            fingerprint,
            chainPem: fingerprint,
            keyPem: new Hidden(fingerprint),
            ...problem,
          },
        }
      : {}),
    ...(choice.chance(0.6)
      ? { authorities: { count: 1, notAfter: 1e12, fingerprint, pem: fingerprint, ...problem } }
      : {}),
  }
}

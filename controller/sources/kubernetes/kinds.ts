// Where each kind lives in the API, and which of them whole kinds are watched. Pure data. source.ts makes a reflector
// for each; Secrets and ConfigMaps are watched only where they are referenced (material-watches.ts).
import type { Kind } from '../../../model/resources.ts'

/** A resource of the API. */
export interface ApiResource {
  readonly kind: Kind
  readonly plural: string
  /** Paths of the API versions that serve it, best first: `/api/v1`, `/apis/GROUP/VERSION`. */
  readonly prefixes: readonly string[]
  readonly clusterScoped: boolean
  /** Its CRD may be absent, which means that there is no object of it. */
  readonly optional: boolean
  /** Objects that are never needed stay with the server. */
  readonly fieldSelector?: string
}

const CORE = ['/api/v1']
const OWN = ['/apis/atrium.dev/v1alpha1']

/** All kinds that a source reads. */
export const API_RESOURCES: Readonly<Record<Kind, ApiResource>> = {
  Tenant: resource('Tenant', 'tenants', OWN, { clusterScoped: true }),
  Route: resource('Route', 'routes', OWN),
  Policy: resource('Policy', 'policies', OWN),
  Service: resource('Service', 'services', CORE),
  EndpointSlice: resource('EndpointSlice', 'endpointslices', ['/apis/discovery.k8s.io/v1']),
  // A Pod that has ended gave its addresses back.
  Pod: resource('Pod', 'pods', CORE, { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' }),
  Secret: resource('Secret', 'secrets', CORE),
  ConfigMap: resource('ConfigMap', 'configmaps', CORE),
  Namespace: resource('Namespace', 'namespaces', CORE, { clusterScoped: true }),
  ReferenceGrant: resource(
    'ReferenceGrant',
    'referencegrants',
    ['/apis/gateway.networking.k8s.io/v1', '/apis/gateway.networking.k8s.io/v1beta1'],
    { optional: true },
  ),
}

/** Kinds that are watched whole. */
export const WHOLE_KINDS = [
  'Tenant',
  'Route',
  'Policy',
  'Service',
  'EndpointSlice',
  'Pod',
  'Namespace',
  'ReferenceGrant',
] as const satisfies readonly Kind[]

/** Path of the list of a resource, of one namespace or of all. */
export function listPath(resource: ApiResource, prefix: string, namespace: string | undefined): string {
  const within = namespace === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  return `${prefix}${within}/${resource.plural}`
}

function resource(
  kind: Kind,
  plural: string,
  prefixes: readonly string[],
  more: Partial<ApiResource> = {},
): ApiResource {
  return { kind, plural, prefixes, clusterScoped: false, optional: false, ...more }
}

// Objects for tests over real sockets, written short: one tenant `acme` in the namespace `prod`, Services on loopback
// ports, Routes and Policies. Everything comes out as YAML for startGateway.

type Body = Record<string, unknown>

/** Joins objects into one YAML text. */
export function world(...objects: readonly (Body | readonly Body[])[]): string {
  return objects
    .flat()
    .map((object) => JSON.stringify(object))
    .join('\n---\n')
}

/** Tenant `acme` (or another) with its namespace. */
export function tenant(hostnames: readonly string[], more: Body = {}, name = 'acme', namespace = 'prod'): Body[] {
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    {
      apiVersion: 'atrium.dev/v1alpha1',
      kind: 'Tenant',
      metadata: { name },
      spec: { namespaces: [namespace], hostnames, ...more },
    },
  ]
}

/** A Route. */
export function route(
  name: string,
  hostnames: readonly string[],
  rules: readonly Body[],
  more: Body = {},
  namespace = 'prod',
): Body {
  return {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Route',
    metadata: { namespace, name },
    spec: { hostnames, rules, ...more },
  }
}

/** A rule that sends a path prefix to a Service's port 80. */
export function to(service: string, prefix = '/', more: Body = {}): Body {
  return {
    matches: [{ path: { type: 'PathPrefix', value: prefix } }],
    backendRefs: [{ name: service, port: 80 }],
    ...more,
  }
}

/** A Service with port 80 and one EndpointSlice for each endpoint on 127.0.0.1. */
export function service(name: string, ports: readonly number[], namespace = 'prod'): Body[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name },
      spec: { ports: [{ name: 'http', port: 80 }] },
    },
    ...ports.map((port, index) => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace, name: `${name}-${index}`, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port }],
      endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
    })),
  ]
}

/** A Policy on Routes, or on the whole namespace where none is named. */
export function policy(name: string, routes: readonly string[], bodies: Body, namespace = 'prod'): Body {
  return {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Policy',
    metadata: { namespace, name },
    spec: {
      ...(routes.length === 0 ? {} : { targetRefs: routes.map((route) => ({ kind: 'Route', name: route })) }),
      ...bodies,
    },
  }
}

/** A Secret with a certificate. */
export function certificate(name: string, leaf: { certPem: string; keyPem: string }, namespace = 'prod'): Body {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { namespace, name },
    data: {
      'tls.crt': Buffer.from(leaf.certPem).toString('base64'),
      'tls.key': Buffer.from(leaf.keyPem).toString('base64'),
    },
  }
}

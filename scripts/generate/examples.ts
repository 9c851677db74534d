// The example at the top of each reference page. A test decodes them, so they are always right. Part of generate.ts.

/** One object of each kind, with the fields that most people write. */
export const EXAMPLES = {
  Tenant: {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Tenant',
    metadata: { name: 'acme' },
    spec: {
      displayName: 'Acme Corp',
      namespaces: ['acme-prod', 'acme-staging'],
      hostnames: ['acme.example.com', '*.acme.example.com'],
      limits: {
        requests: { rate: '500/s', burst: 1000 },
        concurrency: 200,
        connections: 2000,
        bodySize: '10Mi',
        routes: 200,
      },
      policies: {
        defaults: { rateLimits: [{ name: 'per-client', rate: '50/s', key: [{ clientIP: {} }] }] },
        overrides: { access: { ip: { deny: ['203.0.113.0/24'] } } },
      },
    },
  },
  Route: {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Route',
    metadata: { namespace: 'acme-prod', name: 'shop' },
    spec: {
      hostnames: ['shop.acme.example.com'],
      tls: { certificateRefs: [{ name: 'shop-tls' }] },
      rules: [
        {
          name: 'api',
          matches: [{ path: { type: 'PathPrefix', value: '/api' }, headers: [{ name: 'x-version', value: '2' }] }],
          filters: [
            { type: 'URLRewrite', urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' } } },
          ],
          backendRefs: [
            { name: 'api', port: 8080, weight: 90 },
            { name: 'api-canary', port: 8080, weight: 10 },
          ],
          timeouts: { request: '30s', backendRequest: '10s' },
        },
        { matches: [{ path: { value: '/' } }], backendRefs: [{ name: 'web', port: 'http' }] },
      ],
    },
  },
  Policy: {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Policy',
    metadata: { namespace: 'acme-prod', name: 'edge' },
    spec: {
      targetRefs: [{ kind: 'Route', name: 'shop', sectionName: 'api' }],
      access: { ip: { allow: ['10.0.0.0/8', '2001:db8::/32'] } },
      rateLimits: [{ name: 'per-client', rate: '20/s', burst: 40, key: [{ clientIP: {} }] }],
    },
  },
} as const

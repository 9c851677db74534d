// A tenant of a test: its namespace, what it may claim, and a backend that answers its own name. Used by the tests on a
// cluster.
import { apply, get, kubectl } from './kubectl.ts'

const SERVER = `
const { hostname } = require('os')
const server = require('http').createServer((request, response) => {
  response.setHeader('x-pod', hostname())
  response.end(process.env.NAME + ' ' + request.url + '\\n')
})
server.keepAliveTimeout = 60000
server.listen(8080)
process.on('SIGTERM', () => setTimeout(() => server.close(() => process.exit()), 3000))
`

/** Makes a tenant of that name, in a namespace of that name, for every host under `<name>.test`. Waits for its backend. */
export function makeTenant(name: string, replicas = 1): void {
  removeTenant(name)
  kubectl(['wait', '--for=delete', `namespace/${name}`, '--timeout=120s'])
  const image = imageOfAtrium()
  const tenant = {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Tenant',
    metadata: { name },
    spec: { namespaces: [name], hostnames: [`${name}.test`, `*.${name}.test`] },
  }
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: name, name: 'web' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: {
          containers: [
            {
              name: 'web',
              image,
              imagePullPolicy: 'IfNotPresent',
              command: ['/usr/local/bin/node', '-e', SERVER],
              env: [{ name: 'NAME', value: name }],
              ports: [{ containerPort: 8080 }],
              // Without, it weighs a fiftieth of every other pod, and a busy machine keeps it waiting for 100 ms.
              resources: { requests: { cpu: '100m', memory: '32Mi' } },
              // Ready at once, and patient after that: a busy machine is no broken backend.
              startupProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1, failureThreshold: 60 },
              readinessProbe: {
                httpGet: { path: '/', port: 8080 },
                periodSeconds: 2,
                timeoutSeconds: 5,
                failureThreshold: 6,
              },
            },
          ],
        },
      },
    },
  }
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: name, name: 'web' },
    spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
  }
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }
  apply([namespace, tenant, deployment, service].map((each) => JSON.stringify(each)).join('\n---\n'))
  kubectl(['rollout', 'status', '-n', name, 'deployment/web', '--timeout=120s'])
}

/** Takes it away, with everything in its namespace. */
export function removeTenant(name: string): void {
  kubectl(['delete', '--ignore-not-found', '--wait=false', `tenant/${name}`, `namespace/${name}`])
}

/** A Route of a tenant made by `makeTenant`. */
export function routeOf(tenant: string, name: string, host: string, more: Readonly<Record<string, unknown>> = {}) {
  return {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Route',
    metadata: { namespace: tenant, name },
    spec: {
      hostnames: [host],
      rules: [{ backendRefs: [{ name: 'web', port: 80 }], timeouts: { connect: '10s' } }],
      ...more,
    },
  }
}

/** The image that the installation runs: it is on every node. */
export function imageOfAtrium(): string {
  const { spec } = get<{ spec: { template: { spec: { containers: readonly { image: string }[] } } } }>(
    'deployment/atrium-controller',
    '-n',
    'atrium-system',
  )
  return spec.template.spec.containers[0]?.image ?? ''
}

// A pod that has nothing to do with Atrium, in a namespace of its own, on Atrium's image because that is on every node. It
// runs what a test asks it to. Used by the tests on a cluster.
import { apply, get, kubectl } from './kubectl.ts'
import { imageOfAtrium } from './tenant.ts'

export const STRAY_NAMESPACE = 'stray'

/** Makes the pod and waits until it runs. It mounts a token for the audience of Atrium's certificates, as any pod may. */
export function makeStray(
  name: string,
  script = 'setInterval(() => {}, 1e6)',
  files: Readonly<Record<string, string>> = {},
) {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: STRAY_NAMESPACE, name, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'stray',
          image: imageOfAtrium(),
          imagePullPolicy: 'IfNotPresent',
          command: ['/usr/local/bin/node', '-e', script],
          volumeMounts: [
            { name: 'token', mountPath: '/token' },
            { name: 'files', mountPath: '/files' },
          ],
        },
      ],
      volumes: [
        {
          name: 'token',
          projected: {
            sources: [{ serviceAccountToken: { path: 'token', audience: 'atrium-identity', expirationSeconds: 3600 } }],
          },
        },
        { name: 'files', configMap: { name } },
      ],
    },
  }
  const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: STRAY_NAMESPACE, name }, data: files }
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: STRAY_NAMESPACE } }
  apply([namespace, config].map((each) => JSON.stringify(each)).join('\n---\n'))
  waitForAccount()
  apply(JSON.stringify(pod))
  kubectl(['wait', '-n', STRAY_NAMESPACE, `pod/${name}`, '--for=condition=Ready', '--timeout=60s'])
}

/** The address of a stray pod. */
export function strayAddress(name: string): string {
  return get<{ status: { podIP: string } }>('pod', name, '-n', STRAY_NAMESPACE).status.podIP
}

/** Takes all stray pods away. */
export function removeStrays(): void {
  kubectl(['delete', '--ignore-not-found', '--wait=false', `namespace/${STRAY_NAMESPACE}`])
}

/** Runs JavaScript in the pod; what it printed. */
export function inStray(name: string, script: string, ...args: readonly string[]): string {
  return kubectl(['exec', '-n', STRAY_NAMESPACE, name, '--', '/usr/local/bin/node', '-e', script, ...args]).trim()
}

/** What the pod printed since it began. */
export function strayLog(name: string): string {
  return kubectl(['logs', '-n', STRAY_NAMESPACE, name])
}

/** The service account of a new namespace comes a moment after it. */
function waitForAccount(): void {
  kubectl(['wait', '-n', STRAY_NAMESPACE, 'serviceaccount/default', '--for=create', '--timeout=30s'])
}

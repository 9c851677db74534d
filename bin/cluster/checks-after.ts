// `atrium check`: whether an installed Atrium is as it should be: CRDs, rights, admission policies, leader, pods, clocks,
// and what its own API says. Reads only, unless `--probe` is given.
import type { StatusAnswer } from '../../controller/api/answers.ts'
import { customResourceDefinition } from '../../model/crd.ts'
import { canonicalText } from '../../model/canonical.ts'
import { API_GROUP, customKinds } from '../../model/custom-kinds.ts'
import { POLICIES } from '../../policies/index.ts'
import { atriumVersion } from '../commands/version.ts'
import { CommandFailure } from '../exit.ts'
import { type Check, type Finding, finding } from './findings.ts'
import type { ServerFlags } from './flags.ts'
import { failureOf, type Kubernetes, releasePods } from './kubernetes.ts'
import { clocks } from './checks-clock.ts'
import { openSession } from './session.ts'

/** What the controller's account must be able to do; the chart's ClusterRole gives it. */
const RIGHTS: readonly (readonly [group: string, resource: string, verb: string])[] = [
  [API_GROUP, 'tenants', 'watch'],
  [API_GROUP, 'routes', 'watch'],
  [API_GROUP, 'policies', 'watch'],
  ['', 'services', 'watch'],
  ['', 'pods', 'watch'],
  ['discovery.k8s.io', 'endpointslices', 'watch'],
  ['rbac.authorization.k8s.io', 'rolebindings', 'create'],
]
const POLICIES_OF_ADMISSION = ['role-bindings', 'tenant-label']
const PEER_PORT = 9_902
/** Pods whose log is read. */
const MOST_SAID = 3
/** A leader renews every two seconds. */
const LEASE_AGE_MS = 30_000

/** The checks, in the order in which they are told. */
export function checksAfter(
  kubernetes: Kubernetes,
  flags: ServerFlags & { readonly probe?: boolean },
): readonly Check[] {
  return [
    () => clocks(kubernetes),
    () => definitions(kubernetes),
    () => rights(kubernetes, flags),
    () => admission(kubernetes, flags),
    () => leader(kubernetes, flags),
    () => pods(kubernetes, flags),
    () => ownWord(kubernetes, flags),
    ...(flags.probe === true
      ? [async () => await (await import('./probe.ts')).networkPolicies(kubernetes, flags)]
      : []),
  ]
}

async function definitions(kubernetes: Kubernetes): Promise<readonly Finding[]> {
  const found: Finding[] = []
  const kinds = customKinds(POLICIES)
  for (const kind of kinds) {
    const name = `${kind.plural}.${API_GROUP}`
    const stored = await kubernetes.read(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`)
    if (stored === undefined) {
      found.push(finding('api', 'fail', `CRD ${name} is not installed`, 'helm install, or kubectl apply -f crds/'))
    } else if (schemaText(stored) !== schemaText(customResourceDefinition(kind))) {
      const text = `CRD ${name} is not that of Atrium ${atriumVersion()}`
      found.push(finding('api', 'warn', text, 'upgrade the chart, or use the atrium of the installed version'))
    }
  }
  return found.length > 0 ? found : [finding('api', 'ok', `${kinds.length} CRDs as in Atrium ${atriumVersion()}`)]
}

function schemaText(definition: unknown): string {
  const { versions } = Object(Object(definition).spec)
  const [first] = Array.isArray(versions) ? versions : []
  return canonicalText(Object(Object(first).schema).openAPIV3Schema)
}

async function rights(kubernetes: Kubernetes, flags: ServerFlags): Promise<readonly Finding[]> {
  const user = `system:serviceaccount:${flags.releaseNamespace}:${flags.release}-controller`
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${flags.releaseNamespace}`, 'system:authenticated']
  const missing: string[] = []
  for (const [group, resource, verb] of RIGHTS) {
    const { status, body } = await kubernetes.ask({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user, groups, resourceAttributes: { group, resource, verb } },
      },
    })
    if (status === 403) return [finding('rights', 'note', 'you may not ask what the controller may do')]
    if (Object(Object(body).status).allowed !== true) missing.push(`${verb} ${resource}`)
  }
  if (missing.length === 0) return [finding('rights', 'ok', 'the controller may do what it has to')]
  return [
    finding(
      'rights',
      'fail',
      `the controller may not ${missing.join(', ')}`,
      'rbac.create, or the roles of the chart by hand',
    ),
  ]
}

async function admission(kubernetes: Kubernetes, flags: ServerFlags): Promise<readonly Finding[]> {
  const base = '/apis/admissionregistration.k8s.io/v1'
  const missing: string[] = []
  for (const name of POLICIES_OF_ADMISSION.map((each) => `${flags.release}-${each}`)) {
    const [policy, binding] = await Promise.all([
      kubernetes.read(`${base}/validatingadmissionpolicies/${name}`),
      kubernetes.read(`${base}/validatingadmissionpolicybindings/${name}`),
    ])
    if (policy === undefined || binding === undefined) missing.push(name)
  }
  if (missing.length === 0)
    return [finding('rights', 'ok', 'admission policies hold the controller to namespaces of tenants')]
  return [finding('rights', 'fail', `admission policies are not there: ${missing.join(', ')}`, 'upgrade the chart')]
}

async function leader(kubernetes: Kubernetes, flags: ServerFlags): Promise<readonly Finding[]> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${flags.releaseNamespace}/leases/${flags.release}-controller`
  const { status, body, serverTime = Date.now() } = await kubernetes.ask({ path })
  if (status !== 200 && status !== 404) throw failureOf(status, path)
  const { holderIdentity, renewTime } = Object(Object(body).spec)
  if (typeof holderIdentity !== 'string') {
    return [
      finding(
        'controller',
        'fail',
        'no replica leads: nothing that is applied takes effect',
        'kubectl logs of the controller',
      ),
    ]
  }
  const name = holderIdentity.replace(/_[0-9a-f]+$/, '')
  const age = serverTime - Date.parse(String(renewTime))
  if (age > LEASE_AGE_MS) {
    const text = `${name} leads by the lease, but has not renewed it for ${Math.round(age / 1_000)} s`
    return [finding('controller', 'warn', text, 'it is gone or cut off from the API server: kubectl logs of that pod')]
  }
  return [finding('controller', 'ok', `${name} leads`)]
}

async function pods(kubernetes: Kubernetes, flags: ServerFlags): Promise<readonly Finding[]> {
  const found: Finding[] = []
  const versions = new Set<string>()
  for (const component of ['controller', 'dataplane'] as const) {
    const list = await releasePods(kubernetes, flags, component)
    for (const { version } of list) versions.add(version)
    const ready = list.filter((pod) => pod.ready).length
    const verdict = ready === 0 ? 'fail' : ready < list.length ? 'warn' : 'ok'
    found.push(finding(component, verdict, `${ready} of ${list.length} pods that run are ready`))
    for (const { name } of list.filter((pod) => !pod.ready).slice(0, MOST_SAID)) {
      const said = await lastWord(kubernetes, flags, name)
      found.push(finding(component, 'warn', `${name} is not ready${said === '' ? '' : `; its log ends: ${said}`}`))
    }
  }
  if (versions.size > 1)
    found.push(finding('dataplane', 'warn', `pods of several versions: ${[...versions].sort().join(', ')}`))
  return found
}

/** The last message in a pod's log that is none of a request. */
async function lastWord(kubernetes: Kubernetes, { releaseNamespace }: ServerFlags, pod: string): Promise<string> {
  const path = `/api/v1/namespaces/${releaseNamespace}/pods/${pod}/log`
  const lines = (await kubernetes.lines(path, { tailLines: 50 })) ?? []
  const messages = lines.flatMap((line) => {
    try {
      const { message } = Object(JSON.parse(line))
      return typeof message === 'string' ? [message] : []
    } catch {
      return []
    }
  })
  return messages.at(-1) ?? ''
}

// Reaching the API at all proves its certificate, the token's way and the forwarding.
async function ownWord(kubernetes: Kubernetes, flags: ServerFlags): Promise<readonly Finding[]> {
  try {
    const session = await openSession(flags)
    try {
      const answer = (await session.json('/api/v1/status')) as StatusAnswer
      return [
        ...agreement(answer),
        ...(await unreachable(kubernetes, flags, answer)),
        ...certificates(answer),
        ...complaints(answer),
      ]
    } finally {
      session.close()
    }
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error
    return [finding('snapshot', 'warn', `the controller's API cannot be asked: ${error.message}`)]
  }
}

function agreement({ pods: all, snapshot }: StatusAnswer): readonly Finding[] {
  const others = all.filter(({ state }) => state === 'behind')
  const reached = all.filter(({ state }) => state !== 'unreachable')
  const version = snapshot.version.slice(0, 6)
  if (others.length > 0) {
    const names = others.map(({ name }) => name)
    return [finding('snapshot', 'warn', `${version} is not yet on ${names.join(', ')}`, 'atrium status')]
  }
  if (reached.length === 0)
    return [finding('snapshot', 'fail', 'the controller knows of no dataplane pod that it can reach')]
  return [finding('snapshot', 'ok', `all ${reached.length} pods that the controller reaches have ${version}`)]
}

async function unreachable(
  kubernetes: Kubernetes,
  flags: ServerFlags,
  { pods: all }: StatusAnswer,
): Promise<readonly Finding[]> {
  const { releaseNamespace, release } = flags
  // A pod that ended is on the controller's list for two minutes more.
  const there = new Set((await releasePods(kubernetes, flags, 'dataplane')).map(({ name }) => name))
  const away = all.filter(({ name, state }) => state === 'unreachable' && there.has(name))
  if (away.length === 0) return []
  const path = `/apis/networking.k8s.io/v1/namespaces/${releaseNamespace}/networkpolicies`
  const { status, body } = await kubernetes.ask({ path })
  const { items } = Object(body)
  const names = (status === 200 && Array.isArray(items) ? items : []).map((each: unknown) => {
    return String(Object(Object(each).metadata).name)
  })
  const others = names.filter((name) => name !== `${release}-controller` && name !== `${release}-dataplane`)
  const hint = away.some(({ problem }) => problem.includes('certificate'))
    ? 'its certificate is of an authority that is believed no more; it asks for another within two minutes, else delete the pod'
    : others.length > 0 && others.length === names.length
      ? `NetworkPolicy ${others.join(', ')} is in ${releaseNamespace} and none of Atrium's: set networkPolicy.enabled`
      : `something between the pods keeps controllers from TCP port ${PEER_PORT}: a firewall of nodes, a policy of the network plugin${others.length > 0 ? `, NetworkPolicy ${others.join(', ')}` : ''}`
  const named = away.slice(0, MOST_SAID).map(({ name, address }) => `${name} (${address})`)
  const more = away.length > named.length ? ` and ${away.length - named.length} more` : ''
  const text = `the controller cannot reach ${named.join(', ')}${more} on port ${PEER_PORT}: ${away[0]?.problem}. They serve what they have`
  return [finding('dataplane', 'fail', text, hint)]
}

function certificates({ attention }: StatusAnswer): readonly Finding[] {
  const ending = attention.filter(({ reason }) => reason === 'CertificateExpiring' || reason === 'CertificateExpired')
  if (ending.length === 0) return [finding('certificates', 'ok', 'none of a tenant ends within 14 days')]
  return ending.map(({ object, tenant, message }) =>
    finding('certificates', 'warn', `${tenant}: ${object}: ${message}`),
  )
}

// What of them is about pods that do not answer is told above.
function complaints({ warnings, pods: all }: StatusAnswer): readonly Finding[] {
  const others = warnings.filter((text) => !all.some(({ name }) => text.startsWith(`${name} did not answer`)))
  return others.map((text) => finding('controller', 'warn', text.replace(/\.$/, '')))
}

// `atrium check`: whether an installed Atrium is as it should be: CRDs, rights, admission policies, leader, pods, and
// what its own API says. Reads only.
import type { StatusAnswer } from '../../controller/api/answers.ts'
import { customResourceDefinition } from '../../model/crd.ts'
import { canonicalText } from '../../model/canonical.ts'
import { API_GROUP, customKinds } from '../../model/custom-kinds.ts'
import { POLICIES } from '../../policies/index.ts'
import { atriumVersion } from '../commands/version.ts'
import { CommandFailure } from '../exit.ts'
import type { Check, Finding } from './findings.ts'
import type { ServerFlags } from './flags.ts'
import { type Kubernetes, releasePods } from './kubernetes.ts'
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
/** A leader renews every two seconds. */
const LEASE_AGE_MS = 30_000

/** The checks, in the order in which they are told. */
export function checksAfter(kubernetes: Kubernetes, flags: ServerFlags): readonly Check[] {
  return [
    () => definitions(kubernetes),
    () => rights(kubernetes, flags),
    () => admission(kubernetes, flags),
    () => leader(kubernetes, flags),
    () => pods(kubernetes, flags),
    () => ownWord(flags),
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
  const { holderIdentity, renewTime } = Object(Object(await kubernetes.read(path)).spec)
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
  const age = Date.now() - Date.parse(String(renewTime))
  if (age > LEASE_AGE_MS) {
    const text = `${name} leads by the lease, but has not renewed it for ${Math.round(age / 1_000)} s`
    return [finding('controller', 'warn', text, 'it is gone or cut off, or the clocks differ')]
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
    const others = list.filter((pod) => !pod.ready).map(({ name }) => name)
    found.push(
      finding(
        component,
        verdict,
        `${ready} of ${list.length} pods ready${others.length === 0 ? '' : `, not ${others.join(', ')}`}`,
      ),
    )
  }
  if (versions.size > 1)
    found.push(finding('dataplane', 'warn', `pods of several versions: ${[...versions].sort().join(', ')}`))
  return found
}

// Reaching the API at all proves its certificate, the token's way and the forwarding.
async function ownWord(flags: ServerFlags): Promise<readonly Finding[]> {
  try {
    const session = await openSession(flags)
    try {
      const answer = (await session.json('/api/v1/status')) as StatusAnswer
      return [...agreement(answer), ...certificates(answer), ...complaints(answer)]
    } finally {
      session.close()
    }
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error
    return [finding('snapshot', 'warn', `the controller's API cannot be asked: ${error.message}`)]
  }
}

function agreement({ pods: all, snapshot }: StatusAnswer): readonly Finding[] {
  const others = all.filter(({ state }) => state !== 'current')
  const version = snapshot.version.slice(0, 6)
  if (others.length === 0) return [finding('snapshot', 'ok', `all ${all.length} pods have ${version}`)]
  const names = others.map(({ name, state }) => `${name} ${state}`)
  return [finding('snapshot', 'warn', `not on all pods: ${names.join(', ')}`, 'atrium status')]
}

function certificates({ attention }: StatusAnswer): readonly Finding[] {
  const ending = attention.filter(({ reason }) => reason === 'CertificateExpiring' || reason === 'CertificateExpired')
  if (ending.length === 0) return [finding('certificates', 'ok', 'none of a tenant ends within 14 days')]
  return ending.map(({ object, tenant, message }) =>
    finding('certificates', 'warn', `${tenant}: ${object}: ${message}`),
  )
}

function complaints({ warnings }: StatusAnswer): readonly Finding[] {
  return warnings.map((text) => finding('controller', 'warn', text.replace(/\.$/, '')))
}

function finding(group: string, verdict: Finding['verdict'], text: string, hint?: string): Finding {
  return { group, verdict, text, ...(hint === undefined ? {} : { hint }) }
}

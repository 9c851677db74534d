// `atrium check --pre`: whether a cluster can take Atrium, and who its neighbours are. Reads only.
import { type Check, type Finding, finding } from './findings.ts'
import type { ChartValues } from './chart-values.ts'
import { clocks } from './checks-clock.ts'
import { checksOfValues } from './checks-values.ts'
import type { ServerFlags } from './flags.ts'
import type { Kubernetes } from './kubernetes.ts'

/** Minor versions of Kubernetes 1 that are supported: ValidatingAdmissionPolicy is there from 30 on; 37 is tested. */
const MINORS = { least: 30, most: 37 }
const NEEDED: readonly {
  readonly group: string
  readonly resource: string
  readonly verb: string
  readonly by?: string
}[] = [
  { group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions', verb: 'create', by: 'crds.install' },
  { group: 'rbac.authorization.k8s.io', resource: 'clusterroles', verb: 'create', by: 'rbac.create' },
  { group: 'rbac.authorization.k8s.io', resource: 'clusterrolebindings', verb: 'create', by: 'rbac.create' },
  { group: 'admissionregistration.k8s.io', resource: 'validatingadmissionpolicies', verb: 'create' },
]

/** The checks, in the order in which they are told. */
export function checksBefore(kubernetes: Kubernetes, values: ChartValues, flags: ServerFlags): readonly Check[] {
  return [
    () => version(kubernetes),
    () => rights(kubernetes, values),
    () => loadBalancers(kubernetes, values),
    () => clocks(kubernetes),
    ...checksOfValues(kubernetes, values, flags),
    () => routesOfOthers(kubernetes),
    () => ingressNginx(kubernetes),
    () => monitoring(kubernetes, values),
  ]
}

async function version(kubernetes: Kubernetes): Promise<readonly Finding[]> {
  const { major, minor, gitVersion } = Object(await kubernetes.read('/version'))
  const number = Number.parseInt(String(minor), 10)
  const supported = `supported: 1.${MINORS.least} to 1.${MINORS.most}`
  const text = `version ${String(gitVersion)} (${supported})`
  if (String(major) === '1' && number >= MINORS.least && number <= MINORS.most)
    return [finding('kubernetes', 'ok', text)]
  return [finding('kubernetes', number > MINORS.most ? 'warn' : 'fail', text)]
}

async function rights(kubernetes: Kubernetes, values: ChartValues): Promise<readonly Finding[]> {
  const needed = NEEDED.filter(({ by }) => by === undefined || values.at(by) === true)
  const answers = await Promise.all(
    needed.map(async ({ group, resource, verb }) => {
      const { status, body } = await kubernetes.ask({
        method: 'POST',
        path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        body: {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SelfSubjectAccessReview',
          spec: { resourceAttributes: { group, resource, verb } },
        },
      })
      return { resource, allowed: status === 201 && Object(Object(body).status).allowed === true }
    }),
  )
  const missing = answers.filter(({ allowed }) => !allowed).map(({ resource }) => resource)
  if (missing.length === 0) {
    return [finding('kubernetes', 'ok', `you may create ${needed.map(({ resource }) => resource).join(', ')}`)]
  }
  return [
    finding('kubernetes', 'fail', `you may not create ${missing.join(', ')}`, 'install as a cluster administrator'),
  ]
}

async function loadBalancers(kubernetes: Kubernetes, values: ChartValues): Promise<readonly Finding[]> {
  const type = String(values.at('dataplane.service.type'))
  if (type !== 'LoadBalancer') return [finding('kubernetes', 'ok', `a Service of type ${type} needs no load balancer`)]
  const services = (await items(kubernetes, '/api/v1/services')).filter((each) => {
    return Object(Object(each).spec).type === 'LoadBalancer'
  })
  const withAddress = services.filter((each) => {
    const { ingress } = Object(Object(Object(each).status).loadBalancer)
    return Array.isArray(ingress) && ingress.length > 0
  })
  if (withAddress.length > 0) return [finding('kubernetes', 'ok', 'Services of type LoadBalancer get addresses')]
  const pending = services.length > 0 ? `${services.length} wait for an address` : 'none is there to tell by'
  return [
    finding(
      'kubernetes',
      services.length > 0 ? 'warn' : 'note',
      `no Service of type LoadBalancer has an address (${pending}): Atrium's may stay pending`,
      'set dataplane.service.type=NodePort, or install a load balancer controller; `atrium curl` needs no address',
    ),
  ]
}

/** OpenShift and Knative have a kind of that name too. */
async function routesOfOthers(kubernetes: Kubernetes): Promise<readonly Finding[]> {
  const { groups } = Object(await kubernetes.read('/apis'))
  const names = (Array.isArray(groups) ? groups : []).map((group: unknown) => String(Object(group).name))
  const others = names.filter((name) => name === 'route.openshift.io' || name === 'serving.knative.dev')
  if (others.length === 0) return [finding('neighbours', 'ok', 'no other kind is called Route')]
  const text = `${others.join(' and ')} has a kind Route too: kubectl's \`routes\` may mean that one`
  return [finding('neighbours', 'note', text, 'write routes.atrium.dev, or art')]
}

async function ingressNginx(kubernetes: Kubernetes): Promise<readonly Finding[]> {
  const classes = await items(kubernetes, '/apis/networking.k8s.io/v1/ingressclasses')
  const nginx = classes.some((each) => Object(Object(each).spec).controller === 'k8s.io/ingress-nginx')
  if (!nginx) return [finding('neighbours', 'ok', 'no ingress-nginx')]
  const ingresses = await items(kubernetes, '/apis/networking.k8s.io/v1/ingresses')
  return [
    finding(
      'neighbours',
      'warn',
      `ingress-nginx found with ${ingresses.length} Ingresses (retired in March 2026)`,
      'Atrium leaves them alone; both can run side by side',
    ),
  ]
}

async function monitoring(kubernetes: Kubernetes, values: ChartValues): Promise<readonly Finding[]> {
  const { status, body } = await kubernetes.ask({ path: '/apis/monitoring.coreos.com/v1/prometheuses' })
  if (status === 404)
    return [finding('monitoring', 'note', 'no Prometheus operator: scrape port 9903 of the pods yourself')]
  if (status !== 200)
    return [finding('monitoring', 'note', 'Prometheus operator; which monitors it selects cannot be read')]
  const { items: list } = Object(body)
  const [first] = Array.isArray(list) ? list : []
  if (first === undefined) return [finding('monitoring', 'note', 'a Prometheus operator, but no Prometheus')]
  const wanted = Object.entries(Object(Object(Object(Object(first).spec).podMonitorSelector).matchLabels))
  const given = Object(values.at('metrics.labels'))
  const lacking = wanted.filter(([name, value]) => given[name] !== value)
  const found: Finding[] = []
  if (lacking.length === 0) found.push(finding('monitoring', 'ok', 'Prometheus operator; it selects our PodMonitors'))
  else {
    const set = lacking.map(([name, value]) => `metrics.labels.${name}=${String(value)}`).join(',')
    found.push(finding('monitoring', 'warn', 'Prometheus selects PodMonitors by a label that ours lack', `set ${set}`))
  }
  const namespace = String(Object(Object(first).metadata).namespace)
  const from = JSON.stringify(values.at('metrics.from'))
  if (values.at('networkPolicy.enabled') === true && !from.includes(`"${namespace}"`)) {
    const text = `Prometheus runs in ${namespace}, which metrics.from does not name: it cannot scrape`
    const hint = `metrics.from: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: ${namespace} } } }]`
    found.push(finding('monitoring', 'warn', text, hint))
  }
  return found
}

async function items(kubernetes: Kubernetes, path: string): Promise<readonly unknown[]> {
  const { status, body } = await kubernetes.ask({ path, query: { limit: 5_000 } })
  const list: unknown = status === 200 ? Object(body).items : []
  return Array.isArray(list) ? list : []
}

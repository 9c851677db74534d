// The world of the test of scale: tenants, each with its namespace, Routes, Services, EndpointSlices, one Pod object for
// each address, and a Secret that a Route refers to. No kubelet runs these Pods; their addresses are written by the test.
import { makeCa, makeLeaf, type TestLeaf } from '../../test/support/certificates.ts'
import { type AdminApi, forEach } from './scale-api.ts'
import { ownPath } from './api.ts'

/** How much. */
export interface ScaleSize {
  readonly tenants: number
  readonly routes: number
  readonly slices: number
}

/** Tenants that share a certificate; their Secrets are objects of their own. */
const TENANTS_A_LEAF = 50
const SERVICES = 5
const AT_ONCE = 16
const FIRST_ADDRESS = 10 * 2 ** 24 + 64 * 2 ** 16

/** From the environment: ATRIUM_E2E_TENANTS (2000), ATRIUM_E2E_ROUTES (5 a tenant), ATRIUM_E2E_SLICES (10 a tenant). */
export function scaleSize(): ScaleSize {
  const number = (name: string, otherwise: number) => Number(process.env[name] ?? otherwise)
  const tenants = number('ATRIUM_E2E_TENANTS', 2_000)
  return {
    tenants,
    routes: number('ATRIUM_E2E_ROUTES', 5 * tenants),
    slices: number('ATRIUM_E2E_SLICES', 10 * tenants),
  }
}

/** Name of a tenant and of its namespace. */
export function tenantName(index: number): string {
  return `scale-${index}`
}

/** The host of a Route. */
export function hostOf(tenant: number, route: number): string {
  return `r${route}.${tenantName(tenant)}.test`
}

/** A Route of that number. The first of a tenant has a certificate. */
export function scaleRoute(tenant: number, route: number, timeout = '30s') {
  return {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Route',
    metadata: { namespace: tenantName(tenant), name: `r${route}` },
    spec: {
      hostnames: [hostOf(tenant, route)],
      ...(route === 0 ? { tls: { certificateRefs: [{ name: 'tls' }], plainHTTP: 'Serve' } } : {}),
      rules: [{ backendRefs: [{ name: `s${route % SERVICES}`, port: 80 }], timeouts: { request: timeout } }],
    },
  }
}

/** A slice of that number, with one endpoint: the Pod of the same number. */
export function scaleSlice(tenant: number, slice: number, perTenant: number, ready = true) {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      namespace: tenantName(tenant),
      name: `e${slice}`,
      labels: { 'kubernetes.io/service-name': `s${slice % SERVICES}` },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: [
      {
        addresses: [addressOf(tenant * perTenant + slice)],
        conditions: { ready },
        targetRef: { kind: 'Pod', namespace: tenantName(tenant), name: `p${slice}` },
      },
    ],
  }
}

/** Whether an earlier run left it all. */
export async function isThere(api: AdminApi, size: ScaleSize): Promise<boolean> {
  const last = Math.max(1, Math.round(size.routes / size.tenants)) - 1
  const found = await api.call(
    'GET',
    `${ownPath('routes', tenantName(size.tenants - 1))}/r${last}`,
    undefined,
    [200, 404],
  )
  return Object(found)['kind'] === 'Route'
}

/** Makes everything. Tells how long each kind took. */
export async function makeWorld(api: AdminApi, size: ScaleSize, told: (line: string) => void): Promise<void> {
  const { tenants } = size
  const all = Array.from({ length: tenants }, (_, index) => index)
  const routesEach = Math.max(1, Math.round(size.routes / tenants))
  const slicesEach = Math.max(1, Math.round(size.slices / tenants))
  const leaves = await makeLeaves(tenants)
  const began = performance.now()
  const step = async (what: string, run: (tenant: number) => Promise<unknown>) => {
    const from = performance.now()
    await forEach(all, AT_ONCE, run)
    told(`made ${what} in ${((performance.now() - from) / 1_000).toFixed(1)} s`)
  }
  await step('namespaces with their accounts, Secrets and Tenants', async (tenant) => {
    const name = tenantName(tenant)
    await api.call('POST', '/api/v1/namespaces', { metadata: { name } })
    // Kubernetes makes one in its own time, at 20 a second.
    await api.call('POST', `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: 'default' } })
    const { certPem, keyPem } = leaves[Math.floor(tenant / TENANTS_A_LEAF)] ?? { certPem: '', keyPem: '' }
    await api.call('POST', `/api/v1/namespaces/${name}/secrets`, {
      metadata: { name: 'tls' },
      type: 'kubernetes.io/tls',
      stringData: { 'tls.crt': certPem, 'tls.key': keyPem },
    })
    await api.call('POST', ownPath('tenants'), {
      apiVersion: 'atrium.dev/v1alpha1',
      kind: 'Tenant',
      metadata: { name },
      spec: { namespaces: [name], hostnames: [`*.${name}.test`] },
    })
  })
  await step(`${tenants * SERVICES} Services and ${tenants * slicesEach} EndpointSlices`, async (tenant) => {
    const name = tenantName(tenant)
    for (let service = 0; service < SERVICES; service++) {
      await api.call('POST', `/api/v1/namespaces/${name}/services`, {
        metadata: { name: `s${service}` },
        spec: { clusterIP: 'None', ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
      })
    }
    for (let slice = 0; slice < slicesEach; slice++) {
      const path = `/apis/discovery.k8s.io/v1/namespaces/${name}/endpointslices`
      await api.call('POST', path, scaleSlice(tenant, slice, slicesEach))
    }
  })
  await step(`${tenants * slicesEach} Pods with their addresses`, async (tenant) => {
    const path = `/api/v1/namespaces/${tenantName(tenant)}/pods`
    for (let pod = 0; pod < slicesEach; pod++) {
      const podIP = addressOf(tenant * slicesEach + pod)
      await api.call('POST', path, {
        metadata: { name: `p${pod}` },
        spec: {
          schedulerName: 'none',
          automountServiceAccountToken: false,
          containers: [{ name: 'web', image: 'none' }],
        },
      })
      await api.call('PATCH', `${path}/p${pod}/status`, {
        status: { phase: 'Running', podIP, podIPs: [{ ip: podIP }] },
      })
    }
  })
  await step(`${tenants * routesEach} Routes`, async (tenant) => {
    for (let route = 0; route < routesEach; route++) {
      await api.call('POST', ownPath('routes', tenantName(tenant)), scaleRoute(tenant, route))
    }
  })
  told(`made all in ${((performance.now() - began) / 1_000).toFixed(1)} s, ${AT_ONCE} at once`)
}

/** Takes it all away; namespaces go in Kubernetes' own time. */
export async function removeWorld(api: AdminApi, { tenants }: ScaleSize): Promise<void> {
  const all = Array.from({ length: tenants }, (_, index) => tenantName(index))
  await forEach(all, AT_ONCE, async (name) => {
    await api.call('DELETE', `${ownPath('tenants')}/${name}`, undefined, [200, 404])
    for (const path of [
      ownPath('routes', name),
      `/apis/discovery.k8s.io/v1/namespaces/${name}/endpointslices`,
      `/api/v1/namespaces/${name}/pods`,
    ]) {
      await api.call('DELETE', path, { gracePeriodSeconds: 0 }, [200, 404])
    }
    await api.call('DELETE', `/api/v1/namespaces/${name}`, undefined, [200, 202, 404, 409])
  })
}

async function makeLeaves(tenants: number): Promise<readonly TestLeaf[]> {
  const ca = await makeCa()
  const count = Math.ceil(tenants / TENANTS_A_LEAF)
  return await Promise.all(
    Array.from({ length: count }, (_, leaf) =>
      makeLeaf(ca, {
        names: Array.from(
          { length: TENANTS_A_LEAF },
          (__, index) => `*.${tenantName(leaf * TENANTS_A_LEAF + index)}.test`,
        ),
      }),
    ),
  )
}

function addressOf(index: number): string {
  const address = FIRST_ADDRESS + index
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
}

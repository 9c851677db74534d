// Rights in namespaces of tenants, against an API server in memory: given where referenced, taken away where not.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { failure, ObjectServer } from '../test/support/object-server.ts'
import { createGrants, type Grants, READS_SECRETS, type TenantNamespace } from './grants.ts'

const binding = (namespace: string) =>
  `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings/${READS_SECRETS}`
const LIMITS = { perSecond: 1_000, burst: 50, objectMs: 0, backoffMs: 10, backoffMostMs: 20 }

describe('grants', () => {
  let server: ObjectServer
  let grants: Grants
  let fence: number | undefined
  let warnings: string[]

  beforeEach(() => {
    server = new ObjectServer()
    fence = 1
    warnings = []
    grants = createGrants({
      api: server,
      namespace: 'atrium-system',
      serviceAccount: 'atrium-controller',
      labels: {},
      fence: () => fence,
      warn: (message) => warnings.push(message),
      limits: LIMITS,
      againMs: 60_000,
    })
    for (const name of ['acme-1', 'globex-1']) server.put(`/api/v1/namespaces/${name}`, {})
  })
  afterEach(() => grants.stop())

  /** What the source would say of these namespaces. */
  const world = (tenants: Readonly<Record<string, string | undefined>>) =>
    new Map<string, TenantNamespace>(
      Object.entries(tenants).map(([name, tenant]) => {
        const labels = Object(server.objects.get(`/api/v1/namespaces/${name}`)?.metadata['labels'])
        return [name, { tenant, label: labels['atrium.dev/tenant'] }]
      }),
    )
  const label = (name: string): unknown =>
    Object(server.objects.get(`/api/v1/namespaces/${name}`)?.metadata['labels'])['atrium.dev/tenant']

  test('a namespace is labelled first, and bound only where something is referenced', async () => {
    grants.lead(true)
    const granted = grants.grant('acme-1')
    await sleep(20)
    // Nobody holds it yet.
    expect(server.objects.has(binding('acme-1'))).toBe(false)
    grants.update(world({ 'acme-1': 'acme', 'globex-1': 'globex' }))
    await granted
    expect([label('acme-1'), label('globex-1')]).toEqual(['acme', 'globex'])
    expect(server.objects.has(binding('globex-1'))).toBe(false)
    expect(server.objects.get(binding('acme-1'))).toMatchObject({
      roleRef: { kind: 'ClusterRole', name: READS_SECRETS },
      subjects: [{ kind: 'ServiceAccount', name: 'atrium-controller', namespace: 'atrium-system' }],
      metadata: { labels: { 'atrium.dev/tenant': 'acme' } },
    })
    const order = server.calls.filter(({ method }) => method !== undefined).map(({ path }) => path)
    expect(order.indexOf('/api/v1/namespaces/acme-1')).toBeLessThan(
      order.indexOf(binding('acme-1').replace(`/${READS_SECRETS}`, '')),
    )
  })

  test('what is referenced no more is taken away, and the label goes with the tenant', async () => {
    grants.lead(true)
    grants.update(world({ 'acme-1': 'acme' }))
    await grants.grant('acme-1')
    grants.revoke('acme-1')
    await vi.waitFor(() => expect(server.objects.has(binding('acme-1'))).toBe(false))
    grants.update(world({ 'acme-1': 'acme' }))
    grants.update(world({ 'acme-1': undefined }))
    await vi.waitFor(() => expect(label('acme-1')).toBeUndefined())
  })

  test('a new leader takes away what its predecessor left', async () => {
    server.put(binding('acme-1'), { roleRef: {}, subjects: [] })
    grants.update(world({ 'acme-1': 'acme' }))
    grants.lead(true)
    await vi.waitFor(() => expect(server.objects.has(binding('acme-1'))).toBe(false))
  })

  test('a binding of that name that somebody else made is replaced', async () => {
    server.put(binding('acme-1'), { roleRef: { kind: 'ClusterRole', name: 'cluster-admin' }, subjects: [] })
    grants.lead(true)
    grants.update(world({ 'acme-1': 'acme' }))
    await grants.grant('acme-1')
    expect(server.objects.get(binding('acme-1'))).toMatchObject({ roleRef: { name: READS_SECRETS } })
  })

  test('a refusal is tried again', async () => {
    let refusals = 2
    server.interfere = (call) => (call.method === 'POST' && refusals-- > 0 ? failure(403, 'Forbidden') : undefined)
    grants.lead(true)
    grants.update(world({ 'acme-1': 'acme' }))
    await grants.grant('acme-1')
    expect(server.objects.has(binding('acme-1'))).toBe(true)
  })

  test('admission that has not seen the label yet is asked again without a word', async () => {
    let refusals = 2
    server.interfere = (call) => (call.method === 'POST' && refusals-- > 0 ? failure(422, 'Invalid') : undefined)
    grants.lead(true)
    grants.update(world({ 'acme-1': 'acme' }))
    await grants.grant('acme-1')
    expect(server.objects.has(binding('acme-1'))).toBe(true)
    expect(warnings).toEqual([])
  })

  test('a standby writes nothing and waits for the leader', async () => {
    grants.update(world({ 'acme-1': 'acme' }))
    await expect(grants.grant('acme-1')).rejects.toThrow('no rights')
    server.put(binding('acme-1'), {})
    await grants.grant('acme-1')
    expect(server.calls.every(({ method }) => method === undefined)).toBe(true)
  })

  test('who lost the lease writes nothing, even before it is told', async () => {
    grants.lead(true)
    fence = undefined
    grants.update(world({ 'acme-1': 'acme' }))
    await sleep(20)
    expect(server.calls).toEqual([])
  })
})

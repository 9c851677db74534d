// What checks make of what they read: values against the chart, the answers of the probe, clocks.
import { describe, expect, test } from 'vitest'
import type { ApiRequest, ApiResponse } from '../../controller/sources/kubernetes/client.ts'
import { chartValues, readValues } from './chart-values.ts'
import { clocks } from './checks-clock.ts'
import { checksOfValues } from './checks-values.ts'
import { runChecks } from './findings.ts'
import type { Kubernetes } from './kubernetes.ts'
import { judge } from './probe.ts'

/** A cluster that answers from a table; what is not in it is not there. */
function cluster(table: Readonly<Record<string, unknown>>, serverTime = Date.now()): Kubernetes {
  const ask = ({ path }: ApiRequest): Promise<ApiResponse> =>
    Promise.resolve({ status: path in table ? 200 : 404, body: table[path], retryAfterMs: undefined, serverTime })
  return {
    credentials: {
      server: { host: 'localhost', port: 1, path: '' },
      namespace: 'default',
      access: () => Promise.reject(new Error('not here')),
    },
    ask,
    read: async (path) => (await ask({ path })).body,
    lines: () => Promise.resolve(undefined),
    close: () => undefined,
  }
}

const FLAGS = { release: 'atrium', releaseNamespace: 'atrium-system', timeout: 1_000 }
const NODE = {
  metadata: { name: 'n1', labels: { disk: 'ssd' } },
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
}
const NODES = {
  '/api/v1/nodes': { items: [NODE] },
  '/apis/apps/v1/daemonsets': { items: [{ metadata: { name: 'cilium' } }] },
}

describe('values', () => {
  test('name what the chart does not know, groups and leaves, with the nearest name', () => {
    const values = chartValues(
      { 'dataplane.replicas': 2, 'dataplane.resources': {}, 'rbac.create': true },
      {
        dataplane: { replica: 3, resources: { requests: { cpu: 1 } } },
        rback: { create: false },
        global: { a: 1 },
      },
    )
    expect(values.unknown).toEqual([
      { path: 'dataplane.replica', nearest: 'dataplane.replicas' },
      { path: 'rback', nearest: undefined },
    ])
    expect([values.at('dataplane.replicas'), values.at('rbac.create')]).toEqual([2, true])
  })

  test('of the chart itself ask for nothing that a plain cluster lacks', async () => {
    const found = await runChecks(checksOfValues(cluster(NODES), await readValues(undefined), FLAGS))
    expect(found.filter(({ verdict }) => verdict === 'fail')).toEqual([])
    expect(found.map(({ text }) => text)).toContain('cilium enforces NetworkPolicies')
  })

  test('that ask for what is not there fail, each with what to do', async () => {
    const values = chartValues(
      { 'networkPolicy.enabled': true, 'crds.install': true },
      {
        image: { repository: 'example.com/atrium' },
        crds: { install: false },
        dataplane: {
          kind: 'Deployment',
          priorityClassName: 'high',
          defaultCertificate: 'wild',
          nodeSelector: { disk: 'none' },
          autoscaling: { enabled: true },
        },
      },
    )
    const found = await runChecks(checksOfValues(cluster(NODES), values, FLAGS))
    const failed = found.filter(({ verdict, text }) => verdict === 'fail' && !text.includes('is no value'))
    expect(failed.map(({ text }) => text)).toEqual([
      'crds.install is false, and tenants.atrium.dev is not there',
      'crds.install is false, and routes.atrium.dev is not there',
      'crds.install is false, and policies.atrium.dev is not there',
      'dataplane.priorityClassName: there is no PriorityClass high',
      'dataplane.defaultCertificate: there is no Secret atrium-system/wild; pods wait for it',
      'dataplane.nodeSelector fits no Node',
      'dataplane.autoscaling.enabled, but nothing serves metrics.k8s.io',
    ])
    for (const { hint } of failed) expect(hint).not.toBe(undefined)
  })

  test('CRDs of another release are in the way', async () => {
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/routes.atrium.dev'
    const annotations = { 'meta.helm.sh/release-name': 'edge', 'meta.helm.sh/release-namespace': 'gateways' }
    const there = cluster({ ...NODES, [path]: { metadata: { annotations } } })
    const values = await readValues(undefined)
    const failed = async (flags: typeof FLAGS) =>
      (await runChecks(checksOfValues(there, values, flags))).filter(({ verdict }) => verdict === 'fail')
    expect(await failed(FLAGS)).toMatchObject([{ text: 'routes.atrium.dev is owned by release gateways/edge' }])
    expect(await failed({ ...FLAGS, release: 'edge-atrium', releaseNamespace: 'gateways' })).toEqual([])
  })
})

describe('the probe', () => {
  const targets = [
    { what: 'dataplane', address: '10.0.0.1', port: 8_080, open: true },
    { what: 'dataplane', address: '10.0.0.1', port: 9_902, open: false },
  ]
  test.each([
    ['all as it should be', [true, false], 'ok', 'are enforced'],
    ['nothing enforced', [true, true], 'warn', 'a stranger reaches port 9902'],
    ['nothing goes out', [false, false], 'warn', 'cannot reach port 8080'],
    ['it never ran', undefined, 'warn', 'did not run'],
  ] as const)('%s', (_what, answers, verdict, said) => {
    expect(judge(targets, answers)).toMatchObject([{ verdict, text: expect.stringContaining(said) }])
  })
})

describe('clocks', () => {
  const LEASES = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
  const withLease = (ahead: number, server: number, node: unknown = NODE) =>
    cluster(
      {
        '/version': {},
        '/api/v1/nodes': { items: [node] },
        [LEASES]: {
          items: [{ metadata: { name: 'n1' }, spec: { renewTime: new Date(server + ahead).toISOString() } }],
        },
      },
      server,
    )
  test.each([
    ['agree', 0, -8_000, ['ok', 'ok']],
    ['this machine is behind', 60_000, -8_000, ['warn', 'ok']],
    ['a node is ahead', 0, 30_000, ['ok', 'warn']],
    ['a node is behind', 0, -120_000, ['ok', 'warn']],
    ['a node is hours behind', 0, -9_000_000, ['ok', 'fail']],
  ] as const)('%s', async (_what, serverAhead, leaseAhead, verdicts) => {
    const found = await clocks(withLease(leaseAhead, Date.now() + serverAhead))
    expect(found.map(({ verdict }) => verdict)).toEqual(verdicts)
  })

  test('a node that is away says nothing of its clock', async () => {
    const away = { ...NODE, status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } }
    expect((await clocks(withLease(-900_000, Date.now(), away))).map(({ verdict }) => verdict)).toEqual(['ok', 'ok'])
  })
})

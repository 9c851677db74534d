// The chart before a real API server: it takes every object of every set of values, and its admission policies let the
// controller do what it must and nothing else. Needs the programs of `e2e/cluster/build --api-only`, and helm.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { CLUSTER_SCRIPTS, clusterProgram, type Ran, runProgram } from '../support/cluster-programs.ts'
import { MATRIX } from './matrix.ts'
import { HELM, template } from './render.ts'

const KUBECTL = clusterProgram('kubectl') ?? ''
const ready =
  HELM !== undefined && clusterProgram('kube-apiserver') !== undefined && clusterProgram('etcd') !== undefined
const title = ready ? 'an API server' : 'an API server (skipped: none here; e2e/cluster/build makes it)'
const CONTROLLER = 'system:serviceaccount:atrium-system:atrium-controller'

describe.skipIf(!ready)(title, () => {
  const state = join(mkdtempSync(join(tmpdir(), 'atrium-chart-')), 'cluster')
  let kubeconfig = ''
  const kubectl = (args: readonly string[], input = ''): Ran =>
    runProgram(KUBECTL, args, { input, environment: { KUBECONFIG: kubeconfig } })
  /** Applies as somebody; nothing is kept with `--dry-run=server`. */
  const apply = (text: string, ...flags: readonly string[]) => kubectl(['apply', ...flags, '-f', '-'], text)
  const create = (text: string, ...flags: readonly string[]) => kubectl(['create', ...flags, '-f', '-'], text)

  beforeAll(() => {
    const up = runProgram(join(CLUSTER_SCRIPTS, 'up'), ['--api-only', '--state', state])
    expect(up.status, up.stderr).toBe(0)
    kubeconfig = up.stdout.trim()
    for (const kind of ['PodMonitor', 'PrometheusRule']) expect(apply(monitoringKind(kind)).status).toBe(0)
    const restricted = ['enforce', 'warn'].map((mode) => `pod-security.kubernetes.io/${mode}: restricted`).join(', ')
    const namespaces = [
      `atrium-system, labels: {${restricted}}`,
      'shop, labels: {atrium.dev/tenant: acme, team: shop}',
      'other',
    ].map((metadata) => `{apiVersion: v1, kind: Namespace, metadata: {name: ${metadata}}}`)
    expect(apply(namespaces.join('\n---\n')).status).toBe(0)
  }, 60_000)

  afterAll(() => {
    runProgram(join(CLUSTER_SCRIPTS, 'down'), ['--state', state])
    rmSync(join(state, '..'), { recursive: true, force: true })
  })

  test.each(Object.entries(MATRIX))('takes every object of %s', (_name, values) => {
    const rendered = template(values, ['--api-versions', 'monitoring.coreos.com/v1'])
    expect(rendered.stderr).toBe('')
    const { status, stderr } = apply(rendered.stdout, '--dry-run=server')
    expect(stderr).toBe('')
    expect(status).toBe(0)
  })

  describe('once installed', () => {
    beforeAll(async () => {
      expect(apply(template('').stdout).stderr).toBe('')
      // Policies are in force a moment after they are there.
      await vi.waitUntil(() => label('other', 'acme').status !== 0, { timeout: 20_000, interval: 200 })
      await vi.waitUntil(() => bind('other', READS, ACCOUNT).status !== 0, { timeout: 20_000, interval: 200 })
    }, 60_000)

    const label = (namespace: string, tenant: string, ...flags: readonly string[]) =>
      kubectl([
        'label',
        '--dry-run=server',
        '--overwrite',
        'namespace',
        namespace,
        `atrium.dev/tenant=${tenant}`,
        ...flags,
      ])
    const bind = (namespace: string, role: string, subjects: string, as: string = CONTROLLER) =>
      create(
        `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b, namespace: ${namespace}},
          roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ${role}}, subjects: ${subjects}}`,
        '--dry-run=server',
        `--as=${as}`,
      )
    const READS = 'atrium-reads-secrets'
    const ACCOUNT = '[{kind: ServiceAccount, name: atrium-controller, namespace: atrium-system}]'
    const MEMBERS = '[{kind: Group, apiGroup: rbac.authorization.k8s.io, name: acme-devs}]'

    test('the controller binds itself and members in a namespace of a tenant', () => {
      expect(bind('shop', READS, ACCOUNT).stderr).toBe('')
      expect(bind('shop', 'atrium-view', MEMBERS).stderr).toBe('')
      expect(bind('shop', 'atrium-edit', MEMBERS).stderr).toBe('')
    })

    test.each([
      ['where no tenant is', 'other', READS, ACCOUNT],
      ['in the system', 'kube-system', READS, ACCOUNT],
      ['the account of another', 'shop', READS, '[{kind: ServiceAccount, name: default, namespace: shop}]'],
      ['itself and another', 'shop', READS, `${ACCOUNT.slice(0, -1)}, {kind: User, name: eve}]`],
      ['nobody', 'shop', READS, '[]'],
      ['itself to a role of people', 'shop', 'atrium-edit', ACCOUNT],
      ['members to Secrets', 'shop', READS, MEMBERS],
      ['a group of the system', 'shop', 'atrium-view', '[{kind: Group, name: "system:authenticated"}]'],
      ['a user of the system', 'shop', 'atrium-view', '[{kind: User, name: "system:kube-scheduler"}]'],
      ['to any other role', 'shop', 'cluster-admin', MEMBERS],
      ['to the platform role', 'shop', 'atrium-platform', MEMBERS],
    ])('the controller cannot bind %s', (_what, namespace, role, subjects) => {
      expect(bind(namespace, role, subjects).stderr).toMatch(/denied request|forbidden/)
    })

    test('others bind as Kubernetes lets them', () => {
      expect(bind('other', 'view', MEMBERS, 'admin:someone').stderr).toMatch(/forbidden/)
      expect(
        create(`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: c, namespace: other},
          roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: ${MEMBERS}}`).stderr,
      ).toBe('')
    })

    test('only the controller writes the label', () => {
      expect(label('shop', 'globex').stderr).toContain('written by Atrium alone')
      expect(label('other', 'globex').stderr).toContain('written by Atrium alone')
      expect(kubectl(['label', '--dry-run=server', 'namespace', 'shop', 'atrium.dev/tenant-']).stderr).toContain(
        'Atrium',
      )
      expect(label('shop', 'globex', `--as=${CONTROLLER}`).stderr).toBe('')
      expect(kubectl(['label', '--dry-run=server', 'namespace', 'shop', 'team=new', '--overwrite']).stderr).toBe('')
    })

    test('a namespace comes with the label only from those who may write Tenants', () => {
      const labelled = '{apiVersion: v1, kind: Namespace, metadata: {name: fresh, labels: {atrium.dev/tenant: acme}}}'
      expect(create(labelled, '--dry-run=server').stderr).toBe('')
      const role =
        '{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: makes-namespaces}, rules: [{apiGroups: [""], resources: [namespaces], verbs: [create]}]}'
      expect(apply(role).stderr).toBe('')
      expect(
        kubectl(['create', 'clusterrolebinding', 'eve', '--clusterrole=makes-namespaces', '--user=eve']).stderr,
      ).toBe('')
      expect(create(labelled, '--dry-run=server', '--as=eve').stderr).toContain('written by Atrium alone')
    })

    test('the controller writes nothing else of a Namespace', () => {
      const patch = (body: string) =>
        kubectl(['patch', '--dry-run=server', 'namespace', 'shop', '--type=merge', `-p=${body}`, `--as=${CONTROLLER}`])
          .stderr
      expect(patch('{"metadata":{"labels":{"atrium.dev/tenant":"globex"}}}')).toBe('')
      expect(patch('{"metadata":{"labels":{"atrium.dev/tenant":null}}}')).toBe('')
      for (const body of [
        '{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}',
        '{"metadata":{"labels":{"team":null}}}',
        '{"metadata":{"labels":{"team":"other"}}}',
        '{"metadata":{"annotations":{"a":"b"}}}',
        '{"metadata":{"finalizers":["a.example.com/b"]}}',
      ]) {
        expect(patch(body), body).toContain('changes nothing of a Namespace')
      }
    })
  })
})

function monitoringKind(kind: string): string {
  const plural = `${kind.toLowerCase()}s`
  return `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: ${plural}.monitoring.coreos.com},
    spec: {group: monitoring.coreos.com, scope: Namespaced, names: {kind: ${kind}, plural: ${plural}},
    versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}`
}

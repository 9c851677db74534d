// The chart as text: it lints, renders the same bytes twice, refuses what it does not know, and gives no more rights than
// the golden file says. Needs helm, which `e2e/cluster/build` makes.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { runProgram } from '../support/cluster-programs.ts'
import { MATRIX, RUBBISH } from './matrix.ts'
import { CHART, HELM, type Rendered, render, template } from './render.ts'

const GOLDEN = join(import.meta.dirname, 'rights.golden.yaml')
const title = HELM === undefined ? 'the chart (skipped: no helm here; e2e/cluster/build makes it)' : 'the chart'

interface Rule {
  readonly apiGroups?: readonly string[]
  readonly resources?: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly nonResourceURLs?: readonly string[]
  readonly verbs: readonly string[]
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
}

interface PodSpec {
  readonly serviceAccountName: string
  readonly automountServiceAccountToken: boolean
  readonly terminationGracePeriodSeconds: number
  readonly securityContext: Record<string, unknown>
  readonly containers: readonly {
    readonly args: readonly string[]
    readonly securityContext: Record<string, unknown>
    readonly ports: readonly { readonly containerPort: number }[]
    readonly startupProbe: Probe
    readonly readinessProbe: Probe
    readonly livenessProbe: Probe
  }[]
  readonly volumes: readonly Record<string, unknown>[]
}

test('its version is that of the package', () => {
  const { version } = JSON.parse(readFileSync(join(CHART, '..', '..', 'package.json'), 'utf8'))
  const chart = readFileSync(join(CHART, 'Chart.yaml'), 'utf8')
  expect(chart).toContain(`\nversion: ${version}\nappVersion: ${version}\n`)
})

describe.skipIf(HELM === undefined)(title, () => {
  test('passes helm lint --strict', () => {
    const { status, stdout, stderr } = runProgram(HELM ?? '', ['lint', '--strict', CHART])
    expect(status, stdout + stderr).toBe(0)
  })

  test.each(Object.entries(MATRIX))('%s: two renders are the same bytes', (_name, values) => {
    const first = template(values)
    expect(first.stderr).toBe('')
    expect(template(values).stdout).toBe(first.stdout)
  })

  test.each(RUBBISH)('refuses %s', (values, named) => {
    const { status, stderr } = template(values)
    expect(status).not.toBe(0)
    expect(stderr).toContain(named)
  })

  test.each(Object.entries(MATRIX))(
    '%s: every pod is restricted, and holds no token that it does not need',
    (_, values) => {
      for (const [name, pod] of podsOf(render(values))) {
        expect(pod.securityContext, name).toMatchObject({
          runAsNonRoot: true,
          seccompProfile: { type: 'RuntimeDefault' },
        })
        expect(pod.serviceAccountName).toBe(name)
        expect(pod.automountServiceAccountToken).toBe(name === 'atrium-controller')
        for (const { securityContext, ports } of pod.containers) {
          expect(securityContext).toEqual({
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
            readOnlyRootFilesystem: true,
          })
          for (const { containerPort } of ports) expect(containerPort).toBeGreaterThan(1024)
        }
      }
    },
  )

  test('the dataplane holds one token, for the controller alone, and its drain fits into the grace period', () => {
    const pods = new Map(podsOf(render('dataplane: { drain: { unreadyFor: 7s, timeout: 100s } }')))
    const pod = pods.get('atrium-dataplane')
    expect(pod?.volumes.filter((volume) => 'projected' in volume)).toEqual([
      {
        name: 'identity',
        projected: {
          sources: [{ serviceAccountToken: { path: 'token', audience: 'atrium-identity', expirationSeconds: 3600 } }],
        },
      },
    ])
    expect(pod?.terminationGracePeriodSeconds).toBe(117)
  })

  test('only readiness asks for a snapshot: a pod that waits for a controller is not killed for it', () => {
    for (const [name, { containers }] of podsOf(render(''))) {
      for (const { startupProbe, readinessProbe, livenessProbe } of containers) {
        const paths = [startupProbe, readinessProbe, livenessProbe].map(({ httpGet }) => httpGet.path)
        expect(paths, name).toEqual(['/healthz', '/readyz', '/healthz'])
      }
    }
  })

  describe('values of a release before, as `helm upgrade --reuse-values` hands them over', () => {
    const values: unknown = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8'))
    const flags = ['--api-versions', 'monitoring.coreos.com/v1']
    let whole = ''
    beforeAll(() => {
      whole = template('', flags).stdout
    })

    test('every key may be missing: what later came with the chart has its default', () => {
      const folder = mkdtempSync(join(tmpdir(), 'atrium-chart-'))
      try {
        // Null would do for one key; a chart whose own values are none lacks them all, as an old release does.
        cpSync(CHART, folder, { recursive: true })
        writeFileSync(join(folder, 'values.yaml'), '{}\n')
        const { status, stdout, stderr } = template('', flags, folder)
        expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
        expect(stdout).toBe(whole)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    })

    test.each(pathsOf(values).map((path) => [path.join('.'), path] as const))('without %s', (name, path) => {
      const { status, stdout, stderr } = template(stringify(nested(path, null)), flags)
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      // Of what stands below a single value nothing is filled in: whoever takes the limit of memory away means it.
      if (!/^(controller|dataplane)\.resources\./.test(name)) expect(stdout).toBe(whole)
    })

    test('a key that the chart no longer has is named', () => {
      expect(template('dataplane: { retired: 1 }').stderr).toContain('retired')
    })
  })

  test('NOTES name what the values leave open, and how to reach this release', () => {
    const notes = (values: string, name = 'atrium', namespace = 'atrium-system') => {
      const args = ['install', name, CHART, '-n', namespace, '--dry-run=client', '--values', '-']
      const { status, stdout, stderr } = runProgram(HELM ?? '', args, { input: values === '' ? '{}' : values })
      expect(status, stderr).toBe(0)
      return stdout.slice(stdout.indexOf('NOTES:'))
    }
    const plain = 'image: { repository: example.com/atrium }\ndataplane: { service: { externalTrafficPolicy: Local } }'
    expect(notes(plain)).not.toContain('Worth a look')
    expect(notes(plain)).toContain('npx atrium curl http://hello.acme.test/ ')
    expect(notes(plain, 'edge', 'gateways')).toContain(
      'atrium check --release edge-atrium --release-namespace gateways',
    )
    for (const [values, named] of [
      ['', 'image.repository'],
      ['', 'externalTrafficPolicy'],
      ['controller: { replicas: 1 }', 'controller.replicas is 1'],
      ['metrics: { podMonitor: { enabled: false } }', 'podMonitor.enabled'],
      ['metrics: { podMonitor: { force: true } }', 'runbookURL'],
      ['networkPolicy: { enabled: false }', 'networkPolicy.enabled'],
      ['rbac: { create: false }', 'rbac.create'],
    ] as const)
      expect(notes(values), values).toContain(named)
  })

  test('the rights are those of the golden file, and none is a wildcard', () => {
    const roles = render('')
      .filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role')
      .map(({ kind, metadata, rules }) => ({ [`${kind} ${metadata.name}`]: (rules as readonly Rule[]).map(ruleText) }))
    const text = stringify(Object.assign({}, ...roles), { lineWidth: 0 })
    expect(text).not.toContain('*')
    expect(text).not.toMatch(/\b(escalate|impersonate)\b/)
    if (process.env['GOLDEN'] === 'write') writeFileSync(GOLDEN, text)
    expect(text).toBe(readFileSync(GOLDEN, 'utf8'))
  })

  test('nobody reads Secrets of the whole cluster', () => {
    for (const { kind, roleRef } of render('')) {
      if (kind !== 'ClusterRoleBinding') continue
      expect(['atrium-controller', 'atrium-cli']).toContain((roleRef as { name: string }).name)
    }
    const wide = render('').find(
      ({ kind, metadata }) => kind === 'ClusterRole' && metadata.name === 'atrium-controller',
    )
    for (const rule of (wide?.['rules'] ?? []) as readonly Rule[]) {
      expect(rule.resources ?? []).not.toContain('secrets')
      expect(rule.resources ?? []).not.toContain('configmaps')
    }
  })

  test('the parts that values switch are there or not', () => {
    const kinds = (values: string) => render(values).map(({ kind }) => kind)
    expect(kinds(MATRIX['default'] ?? '')).toEqual(expect.arrayContaining(['NetworkPolicy', 'PodDisruptionBudget']))
    expect(kinds(MATRIX['minimal'] ?? '')).not.toEqual(expect.arrayContaining(['NetworkPolicy']))
    expect(kinds(MATRIX['minimal'] ?? '')).not.toContain('PodDisruptionBudget')
    expect(kinds(MATRIX['no-crds'] ?? '')).not.toContain('CustomResourceDefinition')
    expect(kinds(MATRIX['ha'] ?? '')).toEqual(expect.arrayContaining(['PodMonitor', 'PrometheusRule']))
    expect(kinds(MATRIX['default'] ?? '')).not.toContain('PodMonitor')
    expect(kinds(MATRIX['daemonset'] ?? '')).toContain('DaemonSet')
    const scaled = render(MATRIX['autoscaled'] ?? '')
    const deployment = scaled.find(
      ({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'atrium-dataplane',
    )
    expect(deployment?.['spec']).not.toHaveProperty('replicas')
    expect(scaled.map(({ kind }) => kind)).toContain('HorizontalPodAutoscaler')
  })

  test('the CRDs stay when the release goes, and nothing is a hook', () => {
    for (const { kind, metadata } of render('') as readonly (Rendered & { metadata: { annotations?: object } })[]) {
      const annotations: Readonly<Record<string, string>> = { ...metadata.annotations }
      expect(annotations['helm.sh/hook']).toBe(undefined)
      expect(annotations['helm.sh/resource-policy']).toBe(kind === 'CustomResourceDefinition' ? 'keep' : undefined)
    }
  })
})

/** Every path of a tree, groups and leaves. */
function pathsOf(tree: unknown, at: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree)) return []
  return Object.entries(tree).flatMap(([name, value]) => [[...at, name], ...pathsOf(value, [...at, name])])
}

function nested(path: readonly string[], leaf: unknown): unknown {
  return path.reduceRight((inside: unknown, name) => ({ [name]: inside }), leaf)
}

function podsOf(objects: readonly Rendered[]): [string, PodSpec][] {
  return objects
    .filter(({ kind }) => kind === 'Deployment' || kind === 'DaemonSet')
    .map(({ metadata, spec }) => [metadata.name, (spec as { template: { spec: PodSpec } }).template.spec])
}

/** `get, list on routes, policies of atrium.dev (only NAME)`. */
function ruleText({ apiGroups, resources, resourceNames, nonResourceURLs, verbs }: Rule): string {
  if (nonResourceURLs !== undefined) return `${verbs.join(', ')} on ${nonResourceURLs.join(', ')}`
  const groups = (apiGroups ?? []).map((group) => (group === '' ? 'core' : group)).join(', ')
  const only = resourceNames === undefined ? '' : ` (only ${resourceNames.join(', ')})`
  return `${verbs.join(', ')} on ${(resources ?? []).join(', ')} of ${groups}${only}`
}

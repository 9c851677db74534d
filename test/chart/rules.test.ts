// Every rule over several fields that the CRDs carry (x-kubernetes-validations), one example after the other, before a
// real API server and before our own decoders: a bad one is refused by both, by the API server in the words of the rule; a
// good one is taken by both. Needs the programs of `e2e/cluster/build --api-only`.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createApiClient } from '../../controller/sources/kubernetes/client.ts'
import { loadCredentials } from '../../controller/sources/kubernetes/credentials.ts'
import { type CustomKind, customKinds } from '../../model/custom-kinds.ts'
import { createDecoders } from '../../model/decode.ts'
import { type CrossFieldRule, type SchemaNode, schemaNode } from '../../model/schema.ts'
import { POLICIES } from '../../policies/index.ts'
import { CLUSTER_SCRIPTS, clusterProgram, runProgram } from '../support/cluster-programs.ts'

const KUBECTL = clusterProgram('kubectl') ?? ''
const ready = ['kubectl', 'kube-apiserver', 'etcd'].every((name) => clusterProgram(name) !== undefined)
const title = ready ? 'an API server' : 'an API server (skipped: none here; e2e/cluster/build --api-only makes it)'
const CRDS = join(import.meta.dirname, '..', '..', 'crds')

/** A rule, and where it stands: names of fields, and `[]` for an item of a list. */
interface Place {
  readonly kind: CustomKind
  readonly path: readonly string[]
  readonly rule: CrossFieldRule
}

/** Bad examples of rules that our own decoders never ask: they refuse them by their grammar, in other words. */
const REFUSED_EARLIER: Readonly<Record<string, readonly unknown[]>> = {
  'at most 24h': ['24h1ms', '1441m', '99999h', '24h0m1s'],
}

function badOf({ examples, message }: CrossFieldRule): readonly unknown[] {
  return [...examples.bad, ...(REFUSED_EARLIER[message] ?? [])]
}

function placesOf(kind: CustomKind, node: SchemaNode, path: readonly string[]): readonly Place[] {
  return [
    ...(node.rules ?? []).map((rule) => ({ kind, path, rule })),
    ...Object.entries(node.properties ?? {}).flatMap(([name, field]) => placesOf(kind, field, [...path, name])),
    ...(node.items === undefined ? [] : placesOf(kind, node.items, [...path, '[]'])),
  ]
}

/** What a field needs where it stands beside an example and must be there. */
const NEEDED: Readonly<Record<string, unknown>> = {
  hostnames: ['shop.acme.test'],
  name: 'x',
  namespaces: ['acme'],
  port: 80,
  rate: '1/s',
  targetRefs: [{ kind: 'Tenant', name: 'acme' }],
  value: 'x',
}
/** What else has to stand beside a field, so that no other rule is in the way. */
const BESIDE: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  urlRewrite: { type: 'URLRewrite' },
  requestRedirect: { type: 'RequestRedirect' },
  requestHeaderModifier: { type: 'RequestHeaderModifier' },
  responseHeaderModifier: { type: 'ResponseHeaderModifier' },
  replaceFullPath: { type: 'ReplaceFullPath' },
  replacePrefixMatch: { type: 'ReplacePrefixMatch' },
}

/** The smallest value around an example. */
function around(node: SchemaNode, [name, ...rest]: readonly string[], example: unknown): unknown {
  if (name === undefined) return example
  const child = name === '[]' ? node.items : node.properties?.[name]
  if (child === undefined) throw new Error(`there is no ${name}`)
  const inside = around(child, rest, example)
  if (name === '[]') return [inside]
  const needed = (node.required ?? []).filter((field) => field !== name && BESIDE[name]?.[field] === undefined)
  return { ...Object.fromEntries(needed.map((field) => [field, NEEDED[field]])), ...BESIDE[name], [name]: inside }
}

function objectOf({ kind, path }: Place, example: unknown) {
  return {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: kind.kind,
    metadata: { name: 'example', ...(kind.scope === 'Namespaced' ? { namespace: 'default' } : {}) },
    spec: around(schemaNode(kind.spec), path, example),
  }
}

const kinds = customKinds(POLICIES)
const places = kinds.flatMap((kind) => placesOf(kind, schemaNode(kind.spec), []))
const cases = places.map(
  (place) => [`${place.kind.kind} ${place.path.join('.')}: ${place.rule.message}`, place] as const,
)
const decoders = createDecoders(POLICIES)

function decoded({ kind }: Place, object: Record<string, unknown>): readonly string[] {
  const decode = { Tenant: decoders.tenant, Route: decoders.route, Policy: decoders.policy }[kind.kind]
  const result = decode(object)
  return result.ok ? [] : result.problems.map(({ message }) => message)
}

test('every rule has examples of both kinds', () => {
  expect(places.length).toBeGreaterThan(35)
  for (const [name, { rule }] of cases) {
    expect([name, rule.examples.good.length > 0, badOf(rule).length > 0]).toEqual([name, true, true])
  }
})

describe('our own decoders', () => {
  test.each(cases)('%s', (_name, place) => {
    for (const example of place.rule.examples.good) expect(decoded(place, objectOf(place, example))).toEqual([])
    for (const example of place.rule.examples.bad) {
      const problems = decoded(place, objectOf(place, example))
      expect(problems.join('\n'), JSON.stringify(example)).toContain(place.rule.message)
    }
    for (const example of REFUSED_EARLIER[place.rule.message] ?? []) {
      expect(decoded(place, objectOf(place, example)), JSON.stringify(example)).toHaveLength(1)
    }
  })
})

describe.skipIf(!ready)(title, () => {
  const state = join(mkdtempSync(join(tmpdir(), 'atrium-rules-')), 'cluster')
  let create: (place: Place, object: unknown) => Promise<{ status: number; message: string }>
  let close = () => {}

  beforeAll(async () => {
    const up = runProgram(join(CLUSTER_SCRIPTS, 'up'), ['--api-only', '--state', state])
    expect(up.status, up.stderr).toBe(0)
    const kubeconfig = up.stdout.trim()
    const applied = runProgram(KUBECTL, ['apply', '-f', CRDS], { environment: { KUBECONFIG: kubeconfig } })
    expect(applied.stderr).toBe('')
    const client = createApiClient({ credentials: await loadCredentials({ kubeconfig }), userAgent: 'atrium-tests' })
    close = () => client.close()
    create = async ({ kind }, object) => {
      const within = kind.scope === 'Namespaced' ? '/namespaces/default' : ''
      const path = `/apis/atrium.dev/v1alpha1${within}/${kind.plural}`
      const { status, body } = await client.request({ method: 'POST', path, query: { dryRun: 'All' }, body: object })
      return { status, message: String(Object(body).message ?? '') }
    }
    // A kind is served a moment after its CRD is there.
    for (const kind of kinds) {
      const list = { path: `/apis/atrium.dev/v1alpha1/${kind.plural}` }
      await vi.waitUntil(async () => (await client.request(list)).status === 200, { timeout: 20_000, interval: 100 })
    }
  }, 60_000)

  afterAll(() => {
    close()
    runProgram(join(CLUSTER_SCRIPTS, 'down'), ['--state', state])
    rmSync(join(state, '..'), { recursive: true, force: true })
  })

  test.each(cases)('%s', async (_name, place) => {
    for (const example of place.rule.examples.good) {
      expect(await create(place, objectOf(place, example)), JSON.stringify(example)).toEqual({
        status: 201,
        message: '',
      })
    }
    for (const example of badOf(place.rule)) {
      const { status, message } = await create(place, objectOf(place, example))
      expect([status, message], JSON.stringify(example)).toEqual([422, expect.stringContaining(place.rule.message)])
    }
  })
})

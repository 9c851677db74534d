// Wrong objects of every kind, put straight into the API server past every tool that could warn: the controller runs and
// starts with them present, each has a condition, and no other tenant's shard changes by a byte.
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest'
import { makeCa, makeLeaf } from '../test/support/certificates.ts'
import { fieldCases, goodWorld, type Json, randomFrom } from '../test/support/misfeed-cases.ts'
import { type Api, openApi, ownPath } from './support/api.ts'
import {
  describeInstallation,
  type GatewayAddress,
  gatewayAddress,
  install,
  NAMESPACE,
  podsOf,
} from './support/installation.ts'
import { apply, get, kubectl } from './support/kubectl.ts'
import { askUntil } from './support/request.ts'
import { activeShards } from './support/shards.ts'
import { type Load, loadText, startLoad } from './support/steady-load.ts'
import { makeTenant, removeTenant, routeOf } from './support/tenant.ts'

const MUTATIONS = 500
const CALM = 'calm'
const NAMESPACE_OF_BAD = 'mutants'
const PATHS: Readonly<Record<string, string>> = {
  Tenant: ownPath('tenants'),
  Route: ownPath('routes', NAMESPACE_OF_BAD),
  Policy: ownPath('policies', NAMESPACE_OF_BAD),
  Service: `/api/v1/namespaces/${NAMESPACE_OF_BAD}/services`,
  EndpointSlice: `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE_OF_BAD}/endpointslices`,
  Secret: `/api/v1/namespaces/${NAMESPACE_OF_BAD}/secrets`,
  ConfigMap: `/api/v1/namespaces/${NAMESPACE_OF_BAD}/configmaps`,
}
/** Every third is wrong twice. */
const TWICE = 3

interface Mutant {
  readonly kind: string
  readonly object: Readonly<Record<string, Json>>
}

interface OwnObject {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly generation: number }
  readonly status?: {
    readonly observedGeneration?: number
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string }[]
  }
}

let api: Api | undefined
let gateway: GatewayAddress
let load: Load
let hash: string | undefined

beforeAll(async () => {
  install()
  gateway = await gatewayAddress()
  makeTenant(CALM, 2)
  apply(JSON.stringify(routeOf(CALM, 'web', `web.${CALM}.test`)))
  const own = { apiVersion: 'atrium.dev/v1alpha1', kind: 'Tenant', metadata: { name: NAMESPACE_OF_BAD } }
  const spec = { namespaces: [NAMESPACE_OF_BAD], hostnames: ['acme.test', '*.acme.test'] }
  removeTenant(NAMESPACE_OF_BAD)
  kubectl(['wait', '--for=delete', `namespace/${NAMESPACE_OF_BAD}`, '--timeout=120s'])
  apply(JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE_OF_BAD } }))
  apply(JSON.stringify({ ...own, spec }))
  await askUntil(gateway, `web.${CALM}.test`, ({ status }) => status === 200, 20_000)
  hash = (await shardsOfCalm())[0]
  load = startLoad({ gateway, host: `web.${CALM}.test`, rate: 20 })
})

afterAll(() => {
  api?.close()
  removeTenant(CALM)
  removeTenant(NAMESPACE_OF_BAD)
  const tenants = get<{ items: OwnObject[] }>('tenants').items.map(({ metadata }) => metadata.name)
  const bad = tenants.filter((name) => /^m-\d+$/.test(name))
  if (bad.length > 0) kubectl(['delete', '--wait=false', 'tenants', ...bad])
})

test(`${MUTATIONS} objects that pass the schema are there`, async () => {
  const server = await openApi()
  api = server
  const taken = new Map<string, number>()
  let asked = 0
  for (const { kind, object } of await mutants()) {
    asked++
    const { status } = await server.call('POST', PATHS[kind] ?? '', object)
    expect(status).toBeLessThan(500)
    if (status === 201) taken.set(kind, (taken.get(kind) ?? 0) + 1)
    if (sum(taken) === MUTATIONS) break
  }
  console.log(`of ${asked} the API server took ${[...taken].map(([kind, count]) => `${count} ${kind}`).join(', ')}`)
  expect(sum(taken)).toBe(MUTATIONS)
  expect([...taken.keys()].sort()).toEqual(Object.keys(PATHS).sort())
})

test('each has a condition for what it is now', async () => {
  onTestFailed(() => console.log(describeInstallation()))
  await expect.poll(() => unjudged(), { timeout: 180_000, interval: 2_000 }).toEqual([])
})

test('the controllers start with them present, and go on working', async () => {
  onTestFailed(() => console.log(describeInstallation()))
  kubectl(['rollout', 'restart', '-n', NAMESPACE, 'deployment/atrium-controller'])
  kubectl(['rollout', 'status', '-n', NAMESPACE, 'deployment/atrium-controller', '--timeout=120s'])
  apply(JSON.stringify(routeOf(CALM, 'later', `later.${CALM}.test`)))
  await askUntil(gateway, `later.${CALM}.test`, ({ status }) => status === 200, 30_000)
  kubectl(['delete', 'route', '-n', CALM, 'later'])
  await askUntil(gateway, `later.${CALM}.test`, ({ status }) => status === 404, 30_000)
  for (const { status } of podsOf('controller')) {
    expect(status.containerStatuses?.map(({ restartCount }) => restartCount)).toEqual([0])
  }
})

test('new dataplane pods become ready with them present', () => {
  onTestFailed(() => console.log(describeInstallation()))
  kubectl(['rollout', 'restart', '-n', NAMESPACE, 'deployment/atrium-dataplane'])
  kubectl(['rollout', 'status', '-n', NAMESPACE, 'deployment/atrium-dataplane', '--timeout=180s'])
  for (const { status } of podsOf('dataplane')) {
    expect(status.containerStatuses?.map(({ restartCount }) => restartCount)).toEqual([0])
  }
})

test('the other tenant has the same shard on every pod, and lost no request', async () => {
  onTestFailed(() => console.log(describeInstallation()))
  const report = await load.stop()
  console.log(loadText(report))
  expect([...report.failures]).toEqual([])
  expect(await shardsOfCalm()).toEqual(podsOf('dataplane').map(() => hash))
})

/** Hash of the calm tenant's shard on each pod. */
async function shardsOfCalm(): Promise<readonly (string | undefined)[]> {
  return podsOf('dataplane').map(({ metadata }) => activeShards(metadata.name).get(CALM))
}

/** Objects whose newest generation nobody has judged. */
function unjudged(): readonly string[] {
  const objects = [
    ...get<{ items: OwnObject[] }>('routes,policies', '-n', NAMESPACE_OF_BAD).items,
    ...get<{ items: OwnObject[] }>('tenants').items,
  ]
  return objects
    .filter(({ metadata, status }) => {
      const ready = status?.conditions?.find(({ type }) => type === 'Ready')
      return status?.observedGeneration !== metadata.generation || ready === undefined || ready.reason === 'Pending'
    })
    .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
}

/** Wrong objects, kind by kind in turn so that each comes up; the same in every run. */
async function mutants(): Promise<readonly Mutant[]> {
  const ca = await makeCa()
  const leaf = await makeLeaf(ca, { names: ['acme.test'] })
  const good = goodWorld({ crt: leaf.certPem, key: leaf.keyPem, ca: ca.pem })
  const random = randomFrom(8)
  const queues = Object.keys(PATHS).map((kind) => casesOf(good, kind, random))
  const list: Mutant[] = []
  for (let round = 0; queues.some((queue) => round < queue.length); round++) {
    for (const queue of queues) {
      const mutant = queue[round]
      if (mutant !== undefined) list.push({ ...mutant, object: renamed(mutant.object, `m-${list.length}`) })
    }
  }
  return list
}

function casesOf(good: readonly Json[], kind: string, random: (below: number) => number): readonly Mutant[] {
  const at = good.findIndex((object) => isMap(object) && object['kind'] === kind)
  const changed = [...fieldCases(good)].flatMap(({ world }) => {
    const object = world[at]
    return world.length === good.length && isMap(object) && object !== good[at] ? [object] : []
  })
  const usable = changed.filter((object) => isMap(object['metadata']) && object['kind'] === kind)
  for (let last = usable.length - 1; last > 0; last--) {
    const other = random(last + 1)
    const [a, b] = [usable[last], usable[other]]
    if (a !== undefined && b !== undefined) [usable[last], usable[other]] = [b, a]
  }
  // Two at once: what one changed of the spec, beside what the next changed elsewhere.
  return usable.map((object, index) => {
    const next = usable[(index + 1) % usable.length]
    const both = index % TWICE === 0 && isMap(next) ? { ...next, ...differing(object, good[at]) } : object
    return { kind, object: both }
  })
}

function differing(object: Readonly<Record<string, Json>>, from: Json | undefined): Readonly<Record<string, Json>> {
  const original = isMap(from) ? from : {}
  return Object.fromEntries(Object.entries(object).filter(([field, value]) => value !== original[field]))
}

function renamed(object: Readonly<Record<string, Json>>, name: string): Readonly<Record<string, Json>> {
  const metadata = isMap(object['metadata']) ? object['metadata'] : {}
  const { namespace: _namespace, uid: _uid, resourceVersion: _version, ...rest } = metadata
  const within = object['kind'] === 'Tenant' ? {} : { namespace: NAMESPACE_OF_BAD }
  return { ...object, metadata: { ...rest, ...within, name } }
}

function isMap(value: Json | undefined): value is Readonly<Record<string, Json>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0)
}

// How long a worker's loop stands still while it takes changes in: the whole first set, then again while it serves, one
// tenant, 100 tenants. The longest turn of the loop, each second looked at. On a busy machine a thread also waits for the
// processor: run it before all others (`chrt -f 1 node …` as root) where the figure is to mean something.
//   node bench/activation-stall.ts [tenants=2000] [routes=5] [workers=1]
import { compile } from '../controller/compile/compile.ts'
import type { CompileSettings } from '../controller/compile/compile-types.ts'
import { startDataplane, type Dataplane } from '../dataplane/main.ts'
import type { Kind, Partition, ResourceSet, SourceObject } from '../model/resources.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { createDigest } from '../peer/digest.ts'
import { POLICIES } from '../policies/index.ts'

const MANY = 100
const ROUNDS = 3

const [tenants = 2_000, routes = 5, workers = 1] = process.argv.slice(2).map(Number)
let revision = 0
const versions: number[] = []
const settings: CompileSettings = {
  digest: createDigest(),
  policies: POLICIES,
  allowEndpoints: [],
  ownAddresses: [],
}

function object(kind: Kind, namespace: string, name: string, body: Record<string, unknown>, labels = {}): SourceObject {
  return { kind, metadata: { name, namespace, generation: 1, labels, annotations: {} }, body }
}

function partitionOf(namespace: string, objects: readonly SourceObject[]): Partition {
  const kinds = new Map<Kind, Map<string, SourceObject>>()
  for (const each of objects) {
    const names = kinds.get(each.kind) ?? new Map<string, SourceObject>()
    kinds.set(each.kind, names.set(each.metadata.name, each))
  }
  return { namespace, objects: kinds }
}

/** The world after one more edit of the first so many tenants. */
function snapshot(edited: number): Snapshot {
  revision++
  for (let tenant = 0; tenant < edited; tenant++) versions[tenant] = revision
  const partitions = new Map<string, Partition>()
  const cluster: SourceObject[] = []
  for (let tenant = 0; tenant < tenants; tenant++) {
    const name = `t${tenant}`
    const spec = { namespaces: [name], hostnames: [`*.${name}.test`] }
    cluster.push(object('Tenant', '', name, { spec }), object('Namespace', '', name, {}))
    const objects: SourceObject[] = []
    for (let route = 0; route < routes; route++) {
      const ports = [{ name: 'http', port: 8080, protocol: 'TCP' }]
      const number = tenant * routes + route
      const addresses = [`10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`]
      const timeouts = { request: `${30 + (versions[tenant] ?? 0)}s` }
      objects.push(
        object('Service', name, `s${route}`, { spec: { ports: [{ name: 'http', port: 80 }] } }),
        object(
          'EndpointSlice',
          name,
          `e${route}`,
          { addressType: 'IPv4', ports, endpoints: [{ addresses, conditions: { ready: true } }] },
          { 'kubernetes.io/service-name': `s${route}` },
        ),
        object('Route', name, `r${route}`, {
          spec: {
            hostnames: [`r${route}.${name}.test`],
            rules: [{ backendRefs: [{ name: `s${route}`, port: 80 }], timeouts }],
          },
        }),
      )
    }
    partitions.set(name, partitionOf(name, objects))
  }
  partitions.set('', partitionOf('', cluster))
  const resources: ResourceSet = { revision: String(revision), partitions, claims: [], lastGood: [] }
  return compile(resources, settings).snapshot
}

async function longestOf(plane: Dataplane, run: () => Promise<unknown>): Promise<string> {
  let ended = false
  const longest = new Map<string, number>()
  const look = async () => {
    const text = await plane.metricsText()
    for (const [, worker = '', value] of text.matchAll(/^atrium_eventloop_lag_seconds\{worker="(\w+)"\} (\S+)$/gm)) {
      longest.set(worker, Math.max(longest.get(worker) ?? 0, Number(value)))
    }
  }
  const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
  // What was before is forgotten.
  await sleep(2_100)
  const watching = (async () => {
    while (!ended) {
      await look()
      await sleep(700)
    }
  })()
  const from = performance.now()
  await run()
  const took = performance.now() - from
  await sleep(1_100)
  ended = true
  await watching
  await look()
  const parts = [...longest].map(([worker, lag]) => `${worker} ${(lag * 1_000).toFixed(1)} ms`)
  return `${took.toFixed(0)} ms, longest turn of ${parts.join(', ')}`
}

const plane = await startDataplane({
  workers,
  host: '127.0.0.1',
  port: 0,
  tlsPort: null,
  adminPort: null,
  accessLog: 'off',
})
try {
  let sequence = 0
  for (const [what, edited] of [
    ['the first set', 0],
    ['nothing', -1],
    ...Array.from({ length: ROUNDS }, () => [
      ['one tenant', 1] as const,
      [`${MANY} tenants`, MANY] as const,
      [`all ${tenants} tenants`, tenants] as const,
    ]).flat(),
  ] as const) {
    sequence++
    const set = snapshot(Math.max(0, edited))
    const result = await longestOf(plane, async () => (edited < 0 ? undefined : await plane.activate(set, sequence)))
    console.log(`${what.padEnd(18)} ${result}`)
  }
} finally {
  await plane.stop()
}

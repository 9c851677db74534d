// Compile at scale: 10,000 tenants, 40,000 Routes, 200,000 endpoints, from ResourceSet to sealed snapshot. Prints the time
// of a cold compile, of one edited Route and of one flipped endpoint, the peak memory and the bytes of the changed shard.
//   node bench/compile-scale.ts [tenants]
import { compile } from '../controller/compile/compile.ts'
import type { CompileResult, CompileSettings } from '../controller/compile/compile-types.ts'
import { canonicalText } from '../model/canonical.ts'
import type { Kind, Partition, ResourceSet, SourceObject } from '../model/resources.ts'
import { createDigest } from '../peer/digest.ts'
import { POLICIES } from '../policies/index.ts'

const ROUTES_PER_TENANT = 4
const ENDPOINTS_PER_SERVICE = 5
const EDITS = 200

const settings: CompileSettings = {
  digest: createDigest(),
  policies: POLICIES,
  allowEndpoints: [],
  ownAddresses: [],
}

function object(kind: Kind, namespace: string, name: string, body: Record<string, unknown>, labels = {}): SourceObject {
  return { kind, metadata: { name, namespace, generation: 1, labels, annotations: {} }, body }
}

function byKind(objects: readonly SourceObject[]): Partition['objects'] {
  const kinds = new Map<Kind, Map<string, SourceObject>>()
  for (const each of objects) {
    let map = kinds.get(each.kind)
    if (map === undefined) {
      map = new Map()
      kinds.set(each.kind, map)
    }
    map.set(each.metadata.name, each)
  }
  return kinds
}

function routeObject(tenant: number, index: number, version: number): SourceObject {
  return object('Route', `ns-${tenant}`, `route-${index}`, {
    spec: {
      hostnames: [`r${index}.t${tenant}.example.com`],
      rules: [
        {
          name: 'api',
          matches: [
            { path: { type: 'PathPrefix', value: `/api/v${version}` } },
            { path: { type: 'Exact', value: '/x' } },
          ],
          filters: [
            { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-tenant', value: 't' }] } },
          ],
          backendRefs: [{ name: `service-${index}`, port: 80 }],
        },
        { backendRefs: [{ name: `service-${index}`, port: 'http', weight: 10 }] },
      ],
    },
  })
}

function sliceObject(tenant: number, index: number, ready: boolean): SourceObject {
  const endpoints = Array.from({ length: ENDPOINTS_PER_SERVICE }, (_, place) => {
    const number = (tenant * ROUTES_PER_TENANT + index) * ENDPOINTS_PER_SERVICE + place
    return {
      addresses: [`10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`],
      conditions: { ready: place !== 0 || ready },
      zone: `zone-${place % 3}`,
    }
  })
  return object(
    'EndpointSlice',
    `ns-${tenant}`,
    `service-${index}-a`,
    { addressType: 'IPv4', endpoints, ports: [{ name: 'http', port: 8080, protocol: 'TCP' }] },
    { 'kubernetes.io/service-name': `service-${index}` },
  )
}

function partitionOf(tenant: number): Partition {
  const objects: SourceObject[] = []
  for (let index = 0; index < ROUTES_PER_TENANT; index += 1) {
    objects.push(
      routeObject(tenant, index, 1),
      object('Service', `ns-${tenant}`, `service-${index}`, {
        spec: { ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
      }),
      sliceObject(tenant, index, true),
    )
  }
  objects.push(
    object('Policy', `ns-${tenant}`, 'limits', {
      spec: { rateLimits: [{ name: 'per-client', rate: '20/s', burst: 40, key: [{ clientIP: {} }] }] },
    }),
  )
  return { namespace: `ns-${tenant}`, objects: byKind(objects) }
}

function world(tenants: number): ResourceSet {
  const partitions = new Map<string, Partition>()
  const cluster: SourceObject[] = []
  for (let tenant = 0; tenant < tenants; tenant += 1) {
    cluster.push(
      object('Tenant', '', `t-${tenant}`, {
        spec: {
          namespaces: [`ns-${tenant}`],
          hostnames: [`t${tenant}.example.com`, `*.t${tenant}.example.com`],
          limits: { requests: { rate: '500/s' }, routes: 200 },
        },
      }),
      object('Namespace', '', `ns-${tenant}`, {}),
    )
    partitions.set(`ns-${tenant}`, partitionOf(tenant))
  }
  partitions.set('', { namespace: '', objects: byKind(cluster) })
  return { revision: '0', partitions, claims: [], lastGood: [] }
}

/** The world with one object of one namespace replaced, as a source would do it. */
function replace(resources: ResourceSet, changed: SourceObject): ResourceSet {
  const { namespace, name } = changed.metadata
  const partitions = new Map(resources.partitions)
  const former = partitions.get(namespace)
  const objects = new Map(former?.objects)
  objects.set(changed.kind, new Map(objects.get(changed.kind)).set(name, changed))
  partitions.set(namespace, { namespace, objects })
  return { ...resources, revision: `${resources.revision}+`, partitions }
}

function edits(resources: ResourceSet, first: CompileResult, change: (round: number) => SourceObject) {
  const times: number[] = []
  let shardsRebuilt = 0
  let previous = first
  let current = resources
  for (let round = 1; round <= EDITS; round += 1) {
    current = replace(current, change(round))
    const start = performance.now()
    const next = compile(current, settings, previous)
    times.push(performance.now() - start)
    for (const [name, shard] of next.snapshot.shards) {
      if (shard !== previous.snapshot.shards.get(name)) shardsRebuilt += 1
    }
    previous = next
  }
  times.sort((a, b) => a - b)
  return {
    median: times[times.length >> 1] ?? 0,
    p99: times[Math.floor(times.length * 0.99)] ?? 0,
    shardsRebuilt,
    last: previous,
  }
}

function main(): void {
  const tenants = Number(process.argv[2] ?? 10_000)
  const generated = performance.now()
  const resources = world(tenants)
  console.log(`world           ${tenants} tenants, generated in ${Math.round(performance.now() - generated)} ms`)
  const memoryBefore = process.memoryUsage().rss
  const start = performance.now()
  const cpuBefore = process.threadCpuUsage()
  const first = compile(resources, settings)
  const cold = performance.now() - start
  const { user, system } = process.threadCpuUsage(cpuBefore)
  const { shards, pools } = first.snapshot
  let endpoints = 0
  for (const pool of pools.values()) endpoints += pool.endpoints.length
  console.log(
    `cold            ${Math.round(cold)} ms, of which ${Math.round((user + system) / 1000)} ms on its own thread's CPU; ${shards.size} shards, ${pools.size} pools, ${endpoints} endpoints, ${first.issues.length} issues`,
  )
  console.log(
    `memory          ${Math.round((process.memoryUsage().rss - memoryBefore) / 1e6)} MB for compile, peak ${Math.round(process.resourceUsage().maxRSS / 1e3)} MB`,
  )
  const claims = first.claims.map((claim) => ({ ...claim, since: 1 }))
  const claimed = { ...resources, claims }
  const claimStart = performance.now()
  const second = compile(claimed, settings, first)
  console.log(
    `claims stored   ${(performance.now() - claimStart).toFixed(1)} ms; version kept: ${second.snapshot.version === first.snapshot.version}`,
  )
  const route = edits(claimed, second, (round) => routeObject(round % tenants, 1, round + 1))
  const bytes = canonicalText(route.last.snapshot.shards.get(`t-${EDITS % tenants}`)).length
  console.log(
    `one route       median ${route.median.toFixed(2)} ms, p99 ${route.p99.toFixed(2)} ms; ${route.shardsRebuilt} shards rebuilt by ${EDITS} edits; ${bytes} bytes of the changed shard`,
  )
  const flip = edits(claimed, second, (round) => sliceObject(round % tenants, 2, false))
  console.log(
    `one endpoint    median ${flip.median.toFixed(2)} ms, p99 ${flip.p99.toFixed(2)} ms; ${flip.shardsRebuilt} shards rebuilt by ${EDITS} flips`,
  )
  const tenant = edits(claimed, second, (round) =>
    object('Tenant', '', `t-${round % tenants}`, {
      spec: {
        namespaces: [`ns-${round % tenants}`],
        hostnames: [`*.t${round % tenants}.example.com`],
        limits: { routes: 100 },
      },
    }),
  )
  console.log(
    `one tenant      median ${tenant.median.toFixed(2)} ms, p99 ${tenant.p99.toFixed(2)} ms; ${tenant.shardsRebuilt} shards rebuilt by ${EDITS} edits`,
  )
}

main()

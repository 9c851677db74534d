// What one edit costs on the wire at scale: bytes, and milliseconds until every pod has it, beside what the whole set
// costs. Three pods in processes of their own, mutual TLS on loopback. The bytes are exact; of the times, the ratios count.
// usage: node bench/push.ts [--tenants 2000] [--routes 5] [--pools 10] [--pods 3] [--edits 50]
import { type ChildProcess, fork } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { type Pool, poolKey, type Snapshot, type TenantShard } from '../model/snapshot.ts'
import { certificateFacts, makeCa, makeLeaf } from '../test/support/certificates.ts'
import { PublishWorld, sealedPool, sealedShard, snapshotOf } from '../test/support/publish-world.ts'
import { makeBackend, makeHost, makeHostTls, makeMatch, makeRoute } from '../test/support/shard.ts'

const { values } = parseArgs({
  options: {
    tenants: { type: 'string', default: '2000' },
    routes: { type: 'string', default: '5' },
    pools: { type: 'string', default: '10' },
    pods: { type: 'string', default: '3' },
    edits: { type: 'string', default: '50' },
  },
})
const count = (name: keyof typeof values) => Number(values[name])

const world = await PublishWorld.start()
const controller = await world.controller()
const { publisher } = controller
const facts = certificateFacts(await makeLeaf(await makeCa(), { names: ['example.com'] }), ['example.com'])

function shardOf(tenant: string, mark: number): TenantShard {
  return sealedShard(tenant, 'r', {
    hosts: [
      makeHost(`${tenant}.example.com`, {
        tls: makeHostTls({ certificates: [facts.fingerprint] }),
        matches: Array.from({ length: count('routes') }, (_, route) => makeMatch(`/p${route}-${mark}`, { route })),
      }),
    ],
    routes: Array.from({ length: count('routes') }, (_, route) =>
      makeRoute(tenant, `route-${route}`, {
        action: { type: 'forward', backends: [makeBackend(`s${route}`, { pool: poolOf(tenant, route, 0).id })] },
      }),
    ),
    certificates: new Map([[facts.fingerprint, facts]]),
  })
}

function poolOf(tenant: string, index: number, mark: number): Pool {
  return sealedPool(tenant, `s${index}`, [`10.${mark % 250}.${index % 250}.1`, `10.${mark % 250}.${index % 250}.2`])
}

const names = Array.from({ length: count('tenants') }, (_, index) => `tenant-${index}`)
let snapshot = snapshotOf(
  names.map((tenant) => shardOf(tenant, 0)),
  names.flatMap((tenant) => Array.from({ length: count('pools') }, (_, index) => poolOf(tenant, index, 0))),
)
const delay = monitorEventLoopDelay({ resolution: 5 })
delay.enable()
let sequence = 0

interface Cost {
  readonly bytes: number
  readonly ms: number
}

async function publish(next: Snapshot): Promise<Cost> {
  const bytes = publisher.sentBytes
  const from = performance.now()
  snapshot = next
  const answers = await publisher.publish(next, ++sequence)
  const ms = performance.now() - from
  if (answers.length !== pods.length) throw new Error(`only ${answers.length} pods answered`)
  return { bytes: (publisher.sentBytes - bytes) / pods.length, ms }
}

async function measure(what: string, edit: (index: number) => Snapshot): Promise<void> {
  for (const pod of pods) pod.send('reset')
  delay.reset()
  const costs: Cost[] = []
  for (let index = 0; index < count('edits'); index++) costs.push(await publish(edit(index)))
  const times = costs.map(({ ms }) => ms).sort((a, b) => a - b)
  const bytes = costs.reduce((sum, cost) => sum + cost.bytes, 0) / costs.length
  const at = (share: number) => (times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0).toFixed(1)
  const stall = (delay.max / 1e6).toFixed(1)
  const reports = await Promise.all(pods.map(report))
  console.log(
    `${what.padEnd(28)} ${bytes.toFixed(0).padStart(10)} bytes a pod   p50 ${at(0.5)} ms  p99 ${at(0.99)} ms   ` +
      `stall ${stall} ms here, ${Math.max(...reports.map((each) => each.stall)).toFixed(1)} ms in pods`,
  )
}

function report(pod: ChildProcess): Promise<{ stall: number; rss: number }> {
  return new Promise((resolve) => {
    pod.once('message', (message) => resolve(message as { stall: number; rss: number }))
    pod.send('report')
  })
}

const before = process.memoryUsage().rss
await publisher.publish(snapshot, ++sequence)
const pods: ChildProcess[] = []
const from = performance.now()
for (let index = 0; index < count('pods'); index++) {
  const uid = `bench-${index}`
  const tokenFile = join(world.folder, uid)
  await writeFile(tokenFile, world.tokens.make(uid))
  const last = join(world.folder, `memory-${index}`)
  pods.push(
    fork(new URL('./push-pod.ts', import.meta.url).pathname, [
      uid,
      tokenFile,
      world.authorityFile,
      `127.0.0.1:${controller.listener.port}`,
      last,
    ]),
  )
}
try {
  while (publisher.pods().filter(({ state }) => state === 'current').length < pods.length) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const cold = performance.now() - from
  const reports = await Promise.all(pods.map(report))
  console.log(
    `${count('tenants')} tenants, ${count('tenants') * count('routes')} routes, ${snapshot.pools.size} pools, ${pods.length} pods\n` +
      `whole set, processes started    ${(cold / 1000).toFixed(1)} s; stall ${(delay.max / 1e6).toFixed(1)} ms here, ` +
      `${Math.max(...reports.map((each) => each.stall)).toFixed(1)} ms in pods; ` +
      `memory +${((process.memoryUsage().rss - before) / 1e6).toFixed(0)} MB here, ` +
      `${Math.max(...reports.map((each) => each.rss)).toFixed(0)} MB in a pod`,
  )
  const tenant = 'tenant-7'
  await measure('one route of one tenant', (index) => {
    const shards = new Map(snapshot.shards)
    return { ...snapshot, shards: shards.set(tenant, shardOf(tenant, index + 1)) }
  })
  await measure('endpoints of one pool', (index) => {
    const pool = poolOf(tenant, 3, index + 1)
    return { ...snapshot, pools: new Map(snapshot.pools).set(poolKey(pool.id), pool) }
  })
  await measure('ten tenants at once', (index) => {
    const shards = new Map(snapshot.shards)
    for (const name of names.slice(0, 10)) shards.set(name, shardOf(name, index + 100))
    return { ...snapshot, shards }
  })
} finally {
  for (const pod of pods) pod.disconnect()
  await world.stop()
}

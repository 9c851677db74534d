// The Kubernetes source on a real API server at scale: time and memory from nothing to the first complete state, sockets
// and the server's memory with a Secret watched in every namespace, and the way of one new Route from the server's answer
// to the source's word. Needs e2e/cluster/build.
//   node bench/kube-source.ts [namespaces=2000] [routes=10000] [slices=20000]
import { fork } from 'node:child_process'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { createApiClient, type ApiClient } from '../controller/sources/kubernetes/client.ts'
import { loadCredentials } from '../controller/sources/kubernetes/credentials.ts'
import { createKubernetesSource } from '../controller/sources/kubernetes/source.ts'
import { missingRealApi, must, startRealApi } from '../test/support/real-api.ts'

const PARALLEL = 48
const NEW_ROUTES = 300
const SETTLE_MS = Number(process.env['SETTLE_MS'] ?? 100_000)

/** What the measured process tells. */
interface Measured {
  readonly startMs: number
  readonly objects: number
  readonly peakRss: number
  readonly rss: number
  readonly heap: number
  readonly sockets: number
  readonly watches: number
  readonly failures: number
  readonly idleCpuPercent: number
  readonly newRoutes: readonly number[]
}

const [first, ...rest] = process.argv.slice(2)
if (first === '--measure') await measure(String(rest[0]))
else await drive(Number(first ?? 2_000), Number(rest[0] ?? 10_000), Number(rest[1] ?? 20_000))

async function drive(namespaces: number, routes: number, slices: number): Promise<void> {
  const missing = await missingRealApi()
  if (missing !== undefined) {
    console.log(`Not run: ${missing}.`)
    return
  }
  // Pods and their service accounts are made by nobody here, so nobody may ask for them.
  const api = await startRealApi(['--disable-admission-plugins=ServiceAccount'])
  try {
    const began = performance.now()
    await populate(api.client, namespaces, routes, slices)
    console.log(`written in ${seconds(performance.now() - began)}`)
    const server = await processOf(api.state, 'kube-apiserver')
    const before = await residentOf(server)
    const cpuBefore = await cpuSecondsOf(server)
    const child = fork(new URL(import.meta.url), ['--measure', api.kubeconfig], { execArgv: ['--expose-gc'] })
    const measured = await new Promise<Measured>((resolve, reject) => {
      child.once('message', (message) => resolve(message as Measured))
      child.once('exit', (code) => reject(new Error(`the measured process ended with ${code}`)))
    })
    const sorted = [...measured.newRoutes].sort((a, b) => a - b)
    const at = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1)
    console.log(
      [
        `first complete state  ${seconds(measured.startMs)}, ${measured.objects} objects`,
        `memory                peak ${mebibytes(measured.peakRss)} resident, then ${mebibytes(measured.rss)}, heap ${mebibytes(measured.heap)}`,
        `watches               ${measured.watches} over ${measured.sockets} sockets, ${measured.failures} failures`,
        `idle                  ${measured.idleCpuPercent.toFixed(1)} % of a core in this process`,
        `API server            ${mebibytes(before)} before, ${mebibytes(await residentOf(server))} after, ${((await cpuSecondsOf(server)) - cpuBefore).toFixed(0)} s of CPU`,
        `a new Route           p50 ${at(0.5)} ms, p99 ${at(0.99)} ms from the server's answer to the state, of ${sorted.length}`,
      ].join('\n'),
    )
    child.kill()
  } finally {
    await api.stop()
  }
}

async function measure(kubeconfig: string): Promise<void> {
  const client = createApiClient({ credentials: await loadCredentials({ kubeconfig }) })
  const source = createKubernetesSource({
    client,
    firstMaterialMs: 60_000,
  })
  let peakRss = 0
  const sampler = setInterval(() => {
    peakRss = Math.max(peakRss, process.memoryUsage().rss)
  }, 20)
  const began = performance.now()
  const changes = new Set<() => void>()
  await source.start(() => {
    for (const change of changes) change()
  })
  const startMs = performance.now() - began
  clearInterval(sampler)
  let objects = 0
  for (const partition of source.read().resources.partitions.values()) {
    for (const names of partition.objects.values()) objects += names.size
  }
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  const cpu = process.cpuUsage()
  const idleFrom = performance.now()
  // Long enough that every quiet watch has been opened anew.
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
  const used = process.cpuUsage(cpu)
  const idleCpuPercent = (used.user + used.system) / 10 / (performance.now() - idleFrom)
  if (typeof globalThis.gc === 'function') globalThis.gc()
  const memory = process.memoryUsage()
  const sockets = await countSockets()
  const newRoutes: number[] = []
  for (let index = 0; index < NEW_ROUTES; index++) {
    const name = `new-${index}`
    const namespace = `ns-${index % 50}`
    const seen = new Promise<number>((resolve) => {
      const look = () => {
        if (source.read().resources.partitions.get(namespace)?.objects.get('Route')?.has(name) !== true) return
        changes.delete(look)
        resolve(performance.now())
      }
      changes.add(look)
    })
    await must(client, 'POST', `/apis/atrium.dev/v1alpha1/namespaces/${namespace}/routes`, route(namespace, name))
    const answered = performance.now()
    newRoutes.push(Math.max(0, (await seen) - answered))
  }
  const statuses = source.watches()
  const measured: Measured = {
    startMs,
    objects,
    peakRss,
    rss: memory.rss,
    heap: memory.heapUsed,
    sockets,
    watches: statuses.length,
    failures: statuses.reduce((sum, { failures }) => sum + failures, 0),
    idleCpuPercent,
    newRoutes,
  }
  process.send?.(measured)
  await source.stop()
  client.close()
}

async function populate(client: ApiClient, namespaces: number, routes: number, slices: number): Promise<void> {
  const name = (index: number) => `ns-${index % namespaces}`
  await parallel(namespaces, async (index) => {
    await must(client, 'POST', '/api/v1/namespaces', { metadata: { name: name(index) } })
    await must(client, 'POST', '/apis/atrium.dev/v1alpha1/tenants', {
      apiVersion: 'atrium.dev/v1alpha1',
      kind: 'Tenant',
      metadata: { name: `tenant-${index}` },
      spec: {
        namespaces: [name(index)],
        hostnames: [`*.${name(index)}.test`],
        tls: { certificateRefs: [{ name: 'tls', namespace: name(index) }] },
      },
    })
    await must(client, 'POST', `/api/v1/namespaces/${name(index)}/secrets`, {
      metadata: { name: 'tls' },
      data: { 'tls.crt': Buffer.from('no certificate'.repeat(100)).toString('base64') },
    })
  })
  await parallel(routes, async (index) => {
    const path = `/apis/atrium.dev/v1alpha1/namespaces/${name(index)}/routes`
    await must(client, 'POST', path, route(name(index), `route-${index}`))
  })
  await parallel(slices, async (index) => {
    const namespace = name(index)
    const address = `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`
    const pod = `web-${index}`
    await must(client, 'POST', `/api/v1/namespaces/${namespace}/pods`, {
      metadata: { name: pod, labels: { app: 'web' } },
      spec: { containers: [{ name: 'web', image: 'web:1' }] },
    })
    await must(client, 'PATCH', `/api/v1/namespaces/${namespace}/pods/${pod}/status`, {
      status: { phase: 'Running', podIP: address, podIPs: [{ ip: address }] },
    })
    await must(client, 'POST', `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`, {
      metadata: { name: `web-${index}`, labels: { 'kubernetes.io/service-name': `web-${index % 10}` } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      endpoints: [
        {
          addresses: [address],
          conditions: { ready: true, serving: true, terminating: false },
          targetRef: { kind: 'Pod', name: pod, namespace },
          nodeName: `node-${index % 100}`,
          zone: `zone-${index % 3}`,
        },
      ],
    })
  })
}

function route(namespace: string, name: string): Record<string, unknown> {
  return {
    apiVersion: 'atrium.dev/v1alpha1',
    kind: 'Route',
    metadata: { name },
    spec: { hostnames: [`${name}.${namespace}.test`], rules: [{ backendRefs: [{ name: 'web-0', port: 80 }] }] },
  }
}

async function parallel(count: number, run: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < count) await run(next++)
  }
  await Promise.all(Array.from({ length: PARALLEL }, worker))
}

async function processOf(state: string, name: string): Promise<string> {
  const line = (await readFile(`${state}/pids`, 'utf8')).split('\n').find((each) => each.endsWith(` ${name}`))
  return line?.split(' ')[0] ?? ''
}

async function residentOf(pid: string): Promise<number> {
  const kibibytes = /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kibibytes) * 1024
}

async function cpuSecondsOf(pid: string): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

async function countSockets(): Promise<number> {
  const links = (await readdir('/proc/self/fd')).map((each) => readlink(`/proc/self/fd/${each}`).catch(() => ''))
  return (await Promise.all(links)).filter((each) => each.startsWith('socket:')).length
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(1)} s`
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`
}

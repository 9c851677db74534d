// A whole platform at once: 2,000 tenants with their namespaces, 10,000 Routes, 20,000 EndpointSlices with a Pod for each
// address, a Secret in every namespace. How long a controller takes from nothing, what it holds, what one edit costs, how
// long the loops stand still. ATRIUM_E2E_TENANTS makes it smaller: 60 take a minute. With ATRIUM_E2E_KEEP=1 the world stays
// for another run, which makes nothing that is there.
import { Agent } from 'node:http'
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest'
import { ownPath } from './support/api.ts'
import {
  change,
  describeInstallation,
  type GatewayAddress,
  install,
  NAMESPACE,
  podsOf,
} from './support/installation.ts'
import { kubectl } from './support/kubectl.ts'
import { ask, quantile } from './support/request.ts'
import { type AdminApi, forEach, openAdminApi } from './support/scale-api.ts'
import {
  leaderMetrics,
  processFacts,
  putWorkersFirst,
  readMetrics,
  secondsUntil,
  watchLoops,
} from './support/scale-measure.ts'
import {
  isThere,
  makeWorld,
  removeWorld,
  scaleRoute,
  scaleSize,
  scaleSlice,
  tenantName,
} from './support/scale-objects.ts'
import { makeTenant, removeTenant, routeOf } from './support/tenant.ts'
import { activeShards } from './support/shards.ts'

const SIZE = scaleSize()
const SLICES_EACH = Math.max(1, Math.round(SIZE.slices / SIZE.tenants))
/** What the chart's README tells for this size. */
const VALUES = [
  'controller.resources.limits.memory=1Gi',
  'dataplane.resources.limits.memory=1Gi',
  // The test reads metrics from outside.
  'metrics.from[0].ipBlock.cidr=0.0.0.0/0',
]
const LIVE = 'live'
const AT_ONCE = 16
const MANY = Math.min(100, SIZE.tenants)
const GIVE_UP = 60_000
const TIME = 1_800_000
/** Milliseconds that a worker may hold requests up, whatever is pushed. */
const STALL = 20
/** Milliseconds that the machine may keep a thread waiting where stalls are to be judged. */
const MACHINE_QUIET = 10
const TRIES = 4
const MEBIBYTE = 1_048_576
const RUN = Math.floor(Date.now() / 1_000)

let api: AdminApi
let hosts = 0
let areFirst = false
let edits = 0

beforeAll(async () => {
  // Nobody watches while the world is made: what starts after it starts for the first time.
  install(...VALUES, 'controller.replicas=0', 'dataplane.replicas=0')
  api = openAdminApi(AT_ONCE)
  console.log(`API server: ${await apiServerMemory()} before`)
  makeTenant(LIVE)
  if (!(await isThere(api, SIZE))) await makeWorld(api, SIZE, (line) => console.log(line))
  console.log(`API server: ${await apiServerMemory()} with everything in it`)
}, TIME)

afterAll(async () => {
  if (process.env['ATRIUM_E2E_KEEP'] === '1') return
  removeTenant(LIVE)
  await removeWorld(api, SIZE)
  api.close()
  install('controller.replicas=2', 'dataplane.replicas=2')
}, TIME)

test('the first start of all', { timeout: TIME }, async () => {
  onTestFailed(() => console.log(describeInstallation()))
  const began = performance.now()
  // Not waited for by helm: how long it takes is what is asked.
  scale(2)
  await settled('first start, no rights for Secrets yet', began)
  report()
})

test('a cold start', { timeout: TIME }, async () => {
  onTestFailed(() => console.log(describeInstallation()))
  scale(0)
  kubectl(['wait', '--for=delete', '-n', NAMESPACE, 'pod', '-l', 'app.kubernetes.io/name=atrium', '--timeout=120s'])
  const began = performance.now()
  scale(2)
  await settled('cold start', began)
  for (const { pod, peak } of report()) {
    expect(peak, `${pod} took ${(peak / MEBIBYTE).toFixed(0)} MiB`).toBeLessThan(1_024 * MEBIBYTE)
  }
  console.log(`API server: ${await apiServerMemory()} with the watches of 2 controllers`)
})

test('a new Route serves at that size as at any other', { timeout: TIME }, async () => {
  onTestFailed(() => console.log(describeInstallation()))
  const gateways = podsOf('dataplane').map(({ status }) => ({ host: status.podIP ?? '', port: 8080, tlsPort: 8443 }))
  await quiet()
  await createRoute(gateways)
  const times: number[] = []
  const { longest } = await watchLoops(async () => {
    for (let count = 0; count < 30; count++) times.push(await createRoute(gateways))
  })
  const [p50, p99] = [quantile(times, 0.5), quantile(times, 0.99)].map((ms) => ms.toFixed(0))
  console.log(`30 new routes: p50 ${p50} ms, p99 ${p99} ms on ${gateways.length} pods; ${loops(longest)}`)
  expect(quantile(times, 0.99)).toBeLessThan(5_000)
})

test('one edit costs what it is, and holds nobody up', { timeout: TIME }, async () => {
  onTestFailed(() => console.log(describeInstallation()))
  await quiet()
  const threads = putWorkersFirst()
  areFirst = threads > 0
  console.log(areFirst ? `${threads} threads of workers come before all others` : 'workers wait with all others')
  const idle = await watchLoops(() => new Promise((resolve) => setTimeout(resolve, 5_000)), areFirst)
  console.log(`idle: ${loops(idle.longest)}`)

  await patchEndpoint(0, true)
  await quiet()
  const editFirst = (tenants: number) => async () => {
    const timeout = newTimeout()
    await forEach(
      Array.from({ length: tenants }, (_, index) => index),
      AT_ONCE,
      (tenant) => patchRoute(tenant, timeout),
    )
  }
  const route = await judged('one Route', editFirst(1))
  const endpoint = await judged('one endpoint', (attempt) => patchEndpoint(0, attempt % 2 === 0))
  const all = [
    route,
    endpoint,
    await judged(`${MANY} tenants at once`, editFirst(MANY)),
    await judged(`all ${SIZE.tenants} tenants`, editFirst(SIZE.tenants)),
  ]
  const pods = podsOf('dataplane').length
  expect(route.bytes / pods).toBeLessThan(32_768)
  expect(endpoint.bytes / pods).toBeLessThan(8_192)
  for (const { longest, isDecided } of all) if (isDecided) expect(longest.workers).toBeLessThan(STALL)
})

/** Sets the number of pods of both halves. */
function scale(replicas: number): void {
  change(`controller.replicas=${replicas}`, `dataplane.replicas=${replicas}`)
}

/** Waits until every Route is Ready and all pods have everything, and prints when what was reached. */
async function settled(what: string, began: number): Promise<void> {
  const since = () => `${((performance.now() - began) / 1_000).toFixed(1)} s`
  const reached = new Map<string, string>()
  const once = (name: string, holds: boolean) => {
    if (holds && !reached.has(name)) reached.set(name, since())
  }
  const end = performance.now() + 300_000 + 200 * SIZE.tenants
  const wanted = SIZE.tenants * Math.max(1, Math.round(SIZE.routes / SIZE.tenants))
  let ready = 0
  while (performance.now() < end) {
    const dataplanes = podsOf('dataplane')
    const serving = dataplanes.filter(({ status }) =>
      status.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True'),
    )
    once('every pod Ready', dataplanes.length === 2 && serving.length === 2)
    const leader = await leaderMetrics()
    ready = leader?.sum('atrium_objects', 'kind="Route"', 'ready="true"') ?? 0
    once('a leader with a compiled set', (leader?.sum('atrium_objects', 'kind="Route"') ?? 0) >= wanted)
    const current = leader?.sum('atrium_pods', 'state="current"') ?? 0
    once('both pods have what the leader has', current === 2)
    if (ready >= wanted && current === 2 && reached.has('every pod Ready')) break
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
  once(`all ${wanted} Routes Ready`, ready >= wanted)
  console.log(`${what}: ${[...reached].map(([name, time]) => `${name} ${time}`).join(', ')}`)
  for (const pod of podsOf('controller')) {
    const seconds = await secondsUntil(pod, 'controller.ready')
    console.log(`${what}: ${pod.metadata.name} first complete set ${seconds?.toFixed(1)} s after its process began`)
  }
  for (const metrics of [...(await readMetrics('controller')), ...(await readMetrics('dataplane'))]) {
    console.log(`${what}: ${metrics.pod} used ${metrics.sum('process_cpu_seconds_total').toFixed(1)} s of CPU so far`)
  }
  expect(ready, 'Routes that are Ready').toBeGreaterThanOrEqual(wanted)
  for (const { metadata } of podsOf('dataplane')) {
    const tenants = activeShards(metadata.name).size
    expect(tenants, `tenants of ${metadata.name}`).toBeGreaterThanOrEqual(SIZE.tenants)
  }
}

/** Prints and returns what the processes hold. */
function report() {
  for (const { metadata } of podsOf('dataplane')) {
    const { peak, now } = processFacts(metadata.name)
    console.log(`${metadata.name}: ${mebibytes(now)}, at most ${mebibytes(peak)}`)
  }
  return podsOf('controller').map(({ metadata }) => {
    const facts = processFacts(metadata.name)
    const { now, peak, toApi } = facts
    console.log(`${metadata.name}: ${mebibytes(now)}, at most ${mebibytes(peak)}, ${toApi} sockets to the API server`)
    return { pod: metadata.name, ...facts }
  })
}

/** Makes an edit and waits until everybody has it; bytes that the leader sent for it, and how long loops stood still. */
async function edited(what: string, edit: () => Promise<unknown>) {
  const before = await sentBytes()
  const { longest } = await watchLoops(async () => {
    await edit()
    await quiet()
  }, areFirst)
  const bytes = (await sentBytes()) - before
  console.log(`${what}: ${bytes} bytes to ${podsOf('dataplane').length} pods; ${loops(longest)}`)
  return { bytes, longest }
}

/** As `edited`, again where the machine itself stood still for too long to say whose the longest turn was. */
async function judged(what: string, edit: (attempt: number) => Promise<unknown>) {
  for (let attempt = 1; ; attempt++) {
    const { bytes, longest } = await edited(what, () => edit(attempt))
    const isDecided = longest.workers < STALL || longest.machine <= MACHINE_QUIET
    if (!isDecided) console.log(`undecided: the machine itself stood still ${longest.machine.toFixed(0)} ms`)
    if (isDecided || attempt === TRIES) return { bytes, longest, isDecided }
  }
}

/** Another each time, also in a world that was kept: the same edit again would be none. At most five digits (GEP-2257). */
function newTimeout(): string {
  return `${30_000 + 20 * (RUN % 3_000) + edits++}ms`
}

async function patchRoute(tenant: number, timeout: string): Promise<void> {
  const { spec } = scaleRoute(tenant, 1, timeout)
  await api.call('PATCH', `${ownPath('routes', tenantName(tenant))}/r1`, { spec })
}

async function patchEndpoint(tenant: number, ready: boolean): Promise<void> {
  const { endpoints } = scaleSlice(tenant, 1, SLICES_EACH, ready)
  const path = `/apis/discovery.k8s.io/v1/namespaces/${tenantName(tenant)}/endpointslices/e1`
  await api.call('PATCH', path, { endpoints })
}

async function sentBytes(): Promise<number> {
  return (await leaderMetrics())?.sum('atrium_published_bytes_total') ?? Number.NaN
}

/** Waits until nothing was sent for two seconds. Statuses are written meanwhile, 20 a second. */
async function quiet(): Promise<void> {
  const pods = podsOf('controller')
  let last = Number.NaN
  let still = 0
  const end = performance.now() + 120_000
  while (still < 4 && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    const leader = await leaderMetrics(pods)
    const sent = leader?.sum('atrium_published_bytes_total') ?? Number.NaN
    still = sent === last ? still + 1 : 0
    last = sent
  }
}

/** Milliseconds from the API server's answer until every pod answers 200. */
async function createRoute(gateways: readonly GatewayAddress[]): Promise<number> {
  const name = `new-${hosts++}`
  const host = `${name}.${LIVE}.test`
  await api.call('POST', ownPath('routes', LIVE), routeOf(LIVE, name, host))
  const answered = performance.now()
  const firsts = await Promise.all(gateways.map((gateway) => firstAnswer(gateway, host, answered + GIVE_UP)))
  return Math.max(...firsts) - answered
}

async function firstAnswer(gateway: GatewayAddress, host: string, end: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  try {
    for (;;) {
      const { status } = await ask(gateway, host, { agent })
      const now = performance.now()
      if (status === 200) return now
      expect(status).toBe(404)
      if (now > end) throw new Error(`${host}: still ${status} after ${GIVE_UP} ms`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  } finally {
    agent.destroy()
  }
}

async function apiServerMemory(): Promise<string> {
  const [, bytes] = /^process_resident_memory_bytes (\S+)$/m.exec(await api.text('/metrics')) ?? []
  return mebibytes(Number(bytes))
}

function loops({
  workers,
  main,
  controllers,
  machine,
}: Readonly<Record<'workers' | 'main' | 'controllers' | 'machine', number>>) {
  return `longest turn of a worker ${workers.toFixed(1)} ms, of main threads ${main.toFixed(1)} ms, of controllers ${controllers.toFixed(1)} ms; the machine itself ${machine.toFixed(1)} ms`
}

function mebibytes(bytes: number): string {
  return `${(bytes / MEBIBYTE).toFixed(0)} MiB`
}

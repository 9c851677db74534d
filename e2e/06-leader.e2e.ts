// The leader is stopped for a minute and continued, and killed in the middle of its pushes, while Routes of three tenants
// are edited: another takes over, no pod ever has half a set or goes back, no request fails. Part of `npm run e2e -- --all`,
// on nodes whose processes this machine sees.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFailed, onTestFinished, test } from 'vitest'
import { type Api, openApi, ownPath } from './support/api.ts'
import { describeInstallation, gatewayAddress, install, NAMESPACE, podsOf } from './support/installation.ts'
import { Journal } from './support/journal.ts'
import { MarkedRoutes } from './support/marked-routes.ts'
import { atriumProcess } from './support/processes.ts'
import { quantile } from './support/request.ts'
import { loadText, startLoad } from './support/steady-load.ts'
import { makeTenant, removeTenant } from './support/tenant.ts'
import { leader, otherLeader, removeTestControllers, runTestControllers } from './support/test-controllers.ts'

const SECONDS = Number(process.env['ATRIUM_E2E_STOPPED_SECONDS'] ?? '60')
const POINTS = Number(process.env['ATRIUM_E2E_POINTS'] ?? '200')
const TENANTS = ['lead-a', 'lead-b', 'lead-c']
/** Milliseconds after an edit over which the points are spread, where pushes are quick. */
const LEAST_SPAN = 60
const QUIET = 10_000
const PODS = 'dataplane.replicas=3'

let api: Api
let routes: MarkedRoutes
let isSeen = false

beforeAll(async () => {
  install(PODS)
  const [first] = podsOf('controller')
  isSeen = first !== undefined && atriumProcess(first.metadata.uid, 'controller') !== undefined
  if (!isSeen) return
  api = await openApi()
  for (const tenant of TENANTS) makeTenant(tenant)
  routes = new MarkedRoutes(api, TENANTS)
  await routes.create()
})

afterAll(() => {
  if (!isSeen) return
  api.close()
  for (const tenant of TENANTS) removeTenant(tenant)
  removeTestControllers()
})

test(`stopped for ${SECONDS} s and continued`, { timeout: SECONDS * 1_000 + 300_000 }, async ({ skip }) => {
  if (!isSeen) skip('the processes of this cluster are not those of this machine')
  onTestFailed(() => console.log(describeInstallation()))
  runTestControllers(2, '15s', PODS)
  const watched = await watchAll()
  const old = await present()
  const next = await whileItIsStopped(old.pid, async () => {
    const began = performance.now()
    // One edit is under way when it stops, and those after it wait for the next.
    const waits = [routes.edit()]
    const edits = setInterval(() => waits.push(routes.edit()), 500)
    try {
      const holder = await otherLeader(api, old.identity, 60_000)
      const taken = performance.now() - began
      await watched.follow(holder.fence, 20_000)
      const followed = performance.now() - began
      await watched.served(await routes.edit(), 20_000)
      const served = performance.now() - began
      const [first, second, third] = [taken, followed, served].map((each) => (each / 1_000).toFixed(1))
      console.log(
        `leader stopped: another leads by the lease after ${first} s (fence ${old.fence} to ${holder.fence}), all pods follow it after ${second} s, the newest edit is served after ${third} s`,
      )
      await sleep(Math.max(0, SECONDS * 1_000 - (performance.now() - began) - 5_000))
      return holder
    } finally {
      clearInterval(edits)
      await Promise.all(waits)
      await watched.served(routes.mark, 20_000)
      // What the new leader still has to write, it writes before the old one wakes: a status that changes all the time
      // once in 8 seconds.
      await sleep(12_000)
    }
  })
  const before = await written()
  await sleep(QUIET)
  expect(await written()).toEqual(before)
  for (let edit = 0; edit < 20; edit++) await watched.served(await routes.edit(), 10_000)
  expect((await present()).identity).toBe(next.identity)
  for (const { fence } of watched.journals) expect(fence).toBe(next.fence)
  await watched.endsWell()
})

test(`killed in the middle of a push, ${POINTS} times`, { timeout: POINTS * 10_000 + 300_000 }, async ({ skip }) => {
  if (!isSeen) skip('the processes of this cluster are not those of this machine')
  onTestFailed(() => console.log(describeInstallation()))
  // A standby leads after two seconds, and a third is there for when the killed one is on its way back.
  runTestControllers(3, '2s', PODS)
  const watched = await watchAll()
  const pushes: number[] = []
  for (let edit = 0; edit < 10; edit++) {
    const before = watched.positions()
    await routes.edit()
    pushes.push(await watched.allNewer(before, 20_000))
  }
  const longest = Math.max(LEAST_SPAN, 1.5 * quantile(pushes, 0.5))
  const takeovers: number[] = []
  const had = { none: 0, some: 0, all: 0 }
  for (let point = 0; point < POINTS; point++) {
    const { pid, identity } = await present()
    const before = watched.positions()
    await routes.edit()
    await sleep((point * longest) / POINTS)
    process.kill(pid, 'SIGKILL')
    const began = performance.now()
    had[howMany(before, watched.positions())]++
    await otherLeader(api, identity, 30_000)
    await watched.served(await routes.edit(), 20_000)
    takeovers.push(performance.now() - began)
    if (point % 20 === 19) {
      const { none, some, all } = had
      console.log(`${point + 1} of ${POINTS}: no pod had it ${none}, some ${some}, all ${all}`)
    }
  }
  const [p50, p99] = [quantile(takeovers, 0.5), quantile(takeovers, 0.99)].map((each) => (each / 1_000).toFixed(1))
  console.log(
    `${POINTS} leaders killed 0 to ${longest.toFixed(0)} ms after an edit (${had.none} when no pod had it yet, ${had.some} when some had, ${had.all} when all had); the next edit served after p50 ${p50} s, p99 ${p99} s`,
  )
  await watched.endsWell()
})

/** Everything that is watched all the time: journals of the pods, their answers, and the Service under load. */
async function watchAll() {
  const pods = podsOf('dataplane')
  const journals = pods.map(({ metadata }) => {
    return new Journal(metadata.name, atriumProcess(metadata.uid, 'dataplane') ?? Number.NaN)
  })
  const watches = pods.map(({ status }) => routes.watch({ host: status.podIP ?? '', port: 8080, tlsPort: 8443 }))
  const served = (mark: number, timeout: number) => Promise.all(watches.map((watch) => watch.until(mark, timeout)))
  await served(routes.mark, 30_000)
  const load = startLoad({
    gateway: await gatewayAddress(),
    host: `marked.${TENANTS[0]}.test`,
    path: '/one',
    rate: 100,
  })
  const reading = setInterval(() => {
    for (const journal of journals) journal.poll()
  }, 100)
  onTestFinished(async () => {
    clearInterval(reading)
    await Promise.all(watches.map((watch) => watch.stop()))
  })
  return {
    journals,
    served,
    /** Resolves when every pod has a set of that term. */
    async follow(fence: number, timeout: number): Promise<void> {
      const end = performance.now() + timeout
      while (journals.some((journal) => journal.fence < fence)) {
        if (performance.now() > end) throw new Error(`not all pods follow ${fence}: ${this.positions().join(', ')}`)
        await sleep(20)
      }
    },
    /** Resolves with the milliseconds until every pod has another set than then. */
    async allNewer(than: readonly string[], timeout: number): Promise<number> {
      const began = performance.now()
      while (this.positions().some((position, index) => position === than[index])) {
        if (performance.now() - began > timeout) throw new Error(`not all pods have a new set: ${than.join(', ')}`)
        await sleep(2)
      }
      return performance.now() - began
    },
    /** Fence and sequence of every pod. */
    positions(): readonly string[] {
      for (const journal of journals) journal.poll()
      return journals.map(({ fence, sequence }) => `${fence}/${sequence}`)
    },
    async endsWell(): Promise<void> {
      clearInterval(reading)
      await Promise.all(watches.map((watch) => watch.stop()))
      const report = await load.stop()
      for (const journal of journals) journal.poll()
      const asked = watches.reduce((sum, { requests }) => sum + requests, 0)
      console.log(
        `sets active in ${journals.length} pods: ${journals.map(({ sets }) => sets).join(', ')}; ${asked} answers watched; beside them ${loadText(report)}`,
      )
      expect(journals.flatMap(({ problems }) => problems)).toEqual([])
      expect(watches.flatMap(({ problems }) => problems)).toEqual([])
      expect([...report.failures]).toEqual([])
    },
  }
}

/** How many pods had got something new when the leader was killed. */
function howMany(before: readonly string[], after: readonly string[]): 'none' | 'some' | 'all' {
  if (after.every((position, index) => position === before[index])) return 'none'
  return after.every((position) => position === after[0]) ? 'all' : 'some'
}

/** The chart's may have led until a moment ago. */
async function present() {
  const end = performance.now() + 30_000
  for (;;) {
    const found = await leader(api)
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error('no leader among the controllers of the test, or no process of one')
    await sleep(100)
  }
}

async function whileItIsStopped<Result>(pid: number, run: () => Promise<Result>): Promise<Result> {
  process.kill(pid, 'SIGSTOP')
  try {
    return await run()
  } finally {
    process.kill(pid, 'SIGCONT')
  }
}

/** Versions of everything that a leader writes, but for the lease and the pulse, which it writes all the time. */
async function written(): Promise<ReadonlyMap<string, string>> {
  const paths = [
    ...(['tenants', 'routes', 'policies'] as const).map((plural) => ownPath(plural)),
    ...['configmaps', 'secrets'].map((plural) => `/api/v1/namespaces/${NAMESPACE}/${plural}`),
    '/apis/rbac.authorization.k8s.io/v1/rolebindings',
  ]
  const versions = new Map<string, string>()
  for (const path of paths) {
    for (const item of Object((await api.call('GET', path)).body).items) {
      const { namespace = '', name, resourceVersion } = item.metadata
      if (name !== 'atrium-pulse') versions.set(`${path} ${namespace}/${name}`, resourceVersion)
    }
  }
  return versions
}

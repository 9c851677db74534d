// The API server is away: first every packet between pods and it is dropped, then it is killed. Traffic goes on without a
// failure, new dataplane pods become ready, and what was edited meanwhile is live soon after its return. Part of
// `npm run e2e -- --all`; needs a cluster of e2e/cluster. ATRIUM_E2E_AWAY_SECONDS is how long, 600 by default.
import { afterAll, afterEach, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { type Api, openApi } from './support/api.ts'
import { eachSum, leader, logSince, readyPods, restarts, untilWatches } from './support/controllers.ts'
import {
  change,
  describeInstallation,
  type GatewayAddress,
  gatewayAddress,
  install,
  NAMESPACE,
  type Pod,
  podsOf,
} from './support/installation.ts'
import { kubectl } from './support/kubectl.ts'
import { findOwnCluster, type OwnCluster } from './support/own-cluster.ts'
import { type Load, loadText, startLoad } from './support/steady-load.ts'
import { makeTenant, removeTenant } from './support/tenant.ts'
import { hostOf, notYet, putRoute, removeRoute, untilLive, type Wanted } from './support/tenant-edits.ts'

const TENANT = 'away'
const AWAY_MS = Number(process.env['ATRIUM_E2E_AWAY_SECONDS'] ?? '600') * 1_000
const RATE = Number(process.env['ATRIUM_E2E_RATE'] ?? '200')
const ROUTES = 20
/** Within this all edits must be live after the return. */
const CATCH_UP_MS = 10_000
/** Where the leader went meanwhile, another first waits as long as a lease holds from when it saw it last. */
const LEASE_MS = 15_000
/** How long the shorter cases are. */
const SHORT_MS = Math.min(AWAY_MS, 60_000)
/** What every controller must have said. */
const TOLD = /"event":"source.failing"[\s\S]*"event":"source.working"/
const cluster = findOwnCluster()

describe.skipIf(cluster === undefined)('on a cluster of e2e/cluster, whose API server can be taken away', () => {
  let gateway: GatewayAddress
  let api: Api
  const own = cluster as OwnCluster

  beforeAll(async () => {
    install('dataplane.drain.unreadyFor=10s')
    makeTenant(TENANT, 2)
    api = await openApi()
    for (let index = 0; index < ROUTES; index++) await putRoute(api, TENANT, `r${index}`, 'first')
    gateway = await gatewayAddress()
    await untilLive(gateway, allRoutes('first'), 60_000)
  })

  afterEach(() => {
    own.heal()
    own.api('start')
  })

  afterAll(() => {
    api.close()
    removeTenant(TENANT)
    install()
  })

  test('packets dropped: serves, grows, restarts, catches up', { timeout: AWAY_MS + 600_000 }, async () => {
    onTestFailed(() => console.log(describeInstallation()))
    const began = Date.now()
    const controllers = readyPods('controller')
    const lead = leader()
    const load = startLoad({ gateway, host: hostOf(TENANT, 'r0'), rate: RATE })
    own.cutPods()
    const cutAt = performance.now()
    const found = await untilWatches(own, controllers, 'failing', 90_000)

    const fromController = await anotherDataplanePod()
    // The leader lives, but no dataplane pod reaches it.
    const address = now(lead).status.podIP ?? ''
    own.drop([`ip daddr ${address} tcp dport 9902`])
    const fromStandby = await anotherDataplanePod()
    const alone = await restartAlone(own)

    const wanted = await editMuch()
    expect(await notYet(gateway, allRoutes('first'))).toEqual([])
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, cutAt + AWAY_MS - performance.now())))
    const failing = eachSum(own, controllers, 'atrium_watch_failing')
    for (const count of failing) expect(count).toBeGreaterThan(0)
    expect(await notYet(gateway, allRoutes('first'))).toEqual([])

    const away = performance.now() - cutAt
    own.heal()
    const caughtUp = await untilLive(gateway, wanted, 60_000)
    await untilWatches(own, controllers, 'working', 60_000)
    const report = await stopLoad(load)
    console.log(
      `away ${seconds(away)} by dropped packets: found after ${seconds(found)}; new pod ready after ` +
        `${seconds(fromController)}, from the standby alone after ${seconds(fromStandby)}; container back from its own ` +
        `last good after ${seconds(alone)}; ${wanted.size} hosts as edited ${seconds(caughtUp)} after the return; ` +
        `${failing.join(' and ')} watches said they fail; ${loadText(report)}`,
    )
    expect([...report.failures]).toEqual([])
    expect(caughtUp).toBeLessThan(CATCH_UP_MS)
    expect(restarts(controllers.map(({ metadata }) => now(metadata.name)))).toEqual([0, 0])
    for (const pod of controllers) expect(logSince(pod, began)).toMatch(TOLD)
  })

  test('packets dropped, and the leader goes meanwhile', { timeout: 600_000 }, async () => {
    onTestFailed(() => console.log(describeInstallation()))
    const controllers = readyPods('controller')
    const lead = leader()
    const load = startLoad({ gateway, host: hostOf(TENANT, 'r0'), rate: RATE })
    own.cutPods()
    const cutAt = performance.now()
    await untilWatches(own, controllers, 'failing', 90_000)
    kubectl(['delete', 'pod', '-n', NAMESPACE, lead, '--grace-period=1', '--wait=true', '--timeout=60s'])
    const fromStandby = await anotherDataplanePod()
    const wanted = await editMuch()
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, cutAt + SHORT_MS - performance.now())))
    const away = performance.now() - cutAt
    own.heal()
    const caughtUp = await untilLive(gateway, wanted, 60_000)
    kubectl(['rollout', 'status', '-n', NAMESPACE, 'deployment/atrium-controller', '--timeout=90s'])
    const report = await stopLoad(load)
    console.log(
      `away ${seconds(away)} and the leader gone: new pod ready from the standby after ${seconds(fromStandby)}; ` +
        `${wanted.size} hosts as edited ${seconds(caughtUp)} after the return; ${loadText(report)}`,
    )
    expect([...report.failures]).toEqual([])
    expect(caughtUp).toBeLessThan(CATCH_UP_MS + LEASE_MS)
    expect(restarts(podsOf('controller'))).toEqual([0, 0])
  })

  test('killed: serves, and catches up', { timeout: 600_000 }, async () => {
    onTestFailed(() => console.log(describeInstallation()))
    const began = Date.now()
    const controllers = readyPods('controller')
    const load = startLoad({ gateway, host: hostOf(TENANT, 'r0'), rate: RATE })
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    own.api('stop')
    const killedAt = performance.now()
    const found = await untilWatches(own, controllers, 'failing', 60_000)
    await new Promise((resolve) => setTimeout(resolve, SHORT_MS))
    own.api('start')
    const away = performance.now() - killedAt
    const wanted = await editMuch()
    const caughtUp = await untilLive(gateway, wanted, 60_000)
    await untilWatches(own, controllers, 'working', 60_000)
    const report = await stopLoad(load)
    console.log(
      `API server killed for ${seconds(away)}: found after ${seconds(found)}; ${wanted.size} hosts as edited ` +
        `${seconds(caughtUp)} after edits on its return; ${loadText(report)}`,
    )
    expect([...report.failures]).toEqual([])
    expect(caughtUp).toBeLessThan(CATCH_UP_MS)
    expect(restarts(controllers.map(({ metadata }) => now(metadata.name)))).toEqual([0, 0])
    for (const pod of controllers) expect(logSince(pod, began)).toMatch(TOLD)
  })

  function allRoutes(mark: string): Wanted {
    return new Map(Array.from({ length: ROUTES }, (_, index) => [hostOf(TENANT, `r${index}`), mark]))
  }

  /** New routes, other content for most that are there, and one removed; what that must come to. */
  async function editMuch(): Promise<Wanted> {
    const mark = crypto.randomUUID().slice(0, 8)
    const names = Array.from({ length: ROUTES + 10 }, (_, index) => `r${index}`).slice(0, -1)
    for (const name of names) await putRoute(api, TENANT, name, mark)
    await removeRoute(api, TENANT, `r${ROUTES - 1}`)
    return new Map(
      names.map((name) => [hostOf(TENANT, name), name === `r${ROUTES - 1}` ? (404 as const) : mark] as const),
    )
  }
})

/** One dataplane pod more; the milliseconds until it was ready. */
async function anotherDataplanePod(): Promise<number> {
  const from = performance.now()
  const before = podsOf('dataplane').length
  change(`dataplane.replicas=${before + 1}`)
  await expect
    .poll(() => readyPods('dataplane').length, { timeout: 90_000, interval: 250, message: 'ready dataplane pods' })
    .toBe(before + 1)
  return performance.now() - from
}

/** Ends the container of a dataplane pod that reaches no controller; the milliseconds until it was ready again. */
async function restartAlone(own: OwnCluster): Promise<number> {
  const [pod] = readyPods('dataplane')
  const name = pod?.metadata.name ?? ''
  const before = restarts([now(name)])[0] ?? 0
  const address = pod?.status.podIP ?? ''
  own.drop([`ip saddr ${address} tcp dport 9902`, `ip daddr ${address} tcp dport 9902`])
  const from = performance.now()
  kubectl(['exec', '-n', NAMESPACE, name, '--', '/usr/local/bin/node', '-e', 'process.kill(1, "SIGTERM")'])
  const seen = () => [restarts([now(name)])[0], readyPods('dataplane').some(({ metadata }) => metadata.name === name)]
  await expect
    .poll(seen, { timeout: 120_000, interval: 250, message: 'restarts of the container, and whether it is ready' })
    .toEqual([before + 1, true])
  return performance.now() - from
}

async function stopLoad(load: Load) {
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  return await load.stop()
}

function now(name: string): Pod {
  const pod = podsOf('controller')
    .concat(podsOf('dataplane'))
    .find(({ metadata }) => metadata.name === name)
  if (pod === undefined) throw new Error(`pod ${name} is gone`)
  return pod
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(1)} s`
}

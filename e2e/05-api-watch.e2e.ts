// Watches that go wrong without saying so: connections freeze, the version to go on from is compacted away, the API server
// comes back with an older world. Each time what serves is what the API server says, within a minute, and no request fails.
// Part of `npm run e2e -- --all`; needs a cluster of e2e/cluster.
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { type Api, openApi, ownPath } from './support/api.ts'
import { eachSum, leader, logSince, readyPods, restarts, untilWatches } from './support/controllers.ts'
import {
  describeInstallation,
  type GatewayAddress,
  gatewayAddress,
  install,
  NAMESPACE,
} from './support/installation.ts'
import { get, kubectl } from './support/kubectl.ts'
import { findOwnCluster, type OwnCluster } from './support/own-cluster.ts'
import { loadText, startLoad } from './support/steady-load.ts'
import { makeTenant, removeTenant } from './support/tenant.ts'
import { hostOf, putRoute, untilLive, type Wanted } from './support/tenant-edits.ts'

const TENANT = 'stalled'
const RATE = Number(process.env['ATRIUM_E2E_RATE'] ?? '200')
const ROUTES = ['r0', 'r1', 'r2', 'r3', 'r4']
/** Within this everything must be found out and made good. */
const FOUND_MS = 60_000
const cluster = findOwnCluster()

describe.skipIf(cluster === undefined)('on a cluster of e2e/cluster, whose API server can be made to misbehave', () => {
  let gateway: GatewayAddress
  let api: Api
  const own = cluster as OwnCluster

  beforeAll(async () => {
    install()
    makeTenant(TENANT, 2)
    api = await openApi()
    gateway = await gatewayAddress()
    await untilLive(gateway, await edit('first'), 60_000)
  })

  afterEach(() => {
    own.heal()
    own.api('start', '--etcd')
  })

  afterAll(() => {
    api.close()
    rmSync(join(own.state, 'etcd-before'), { recursive: true, force: true })
    removeTenant(TENANT)
  })

  test.each([
    ['everything', 'connections dead, both ends silent'],
    ['data', 'connections alive to the kernel, data lost'],
  ] as const)('watches stalled without a close: %s is dropped, %s', { timeout: 300_000 }, async (what, _how) => {
    await nothingFails(async () => {
      const controllers = readyPods('controller')
      const failures = eachSum(own, controllers, 'atrium_watch_failures_total')
      const frozen = own.freeze(
        controllers.map(({ status }) => status.podIP ?? ''),
        what,
      )
      expect(frozen).toBeGreaterThan(controllers.length * 5)
      const live = await untilLive(gateway, await edit(`stalled-${what}`), FOUND_MS)
      const well = await untilWatches(own, controllers, 'working', 90_000)
      const found = more(failures, eachSum(own, controllers, 'atrium_watch_failures_total'))
      for (const count of found) expect(count).toBeGreaterThan(0)
      return (
        `${frozen} connections frozen (${what}): edits live ${seconds(live)} later, ` +
        `${found.join(' and ')} failures counted, all watches work ${seconds(well)} after that`
      )
    })
  })

  test('the version to go on from is compacted away', { timeout: 300_000 }, async () => {
    await nothingFails(async () => {
      const controllers = readyPods('controller')
      const from = versionNow('routes')
      const relists = eachSum(own, controllers, 'atrium_watch_relists_total')
      own.cutPods()
      const wanted = await edit('compacted')
      // Beside etcd's history the API server keeps one in memory.
      await compact(own.etcd)
      own.api('restart')
      const query = `watch=1&timeoutSeconds=1&resourceVersion=${from}`
      expect(kubectl(['get', '--raw', `${ownPath('routes')}?${query}`])).toContain('"code":410')
      own.heal()
      const live = await untilLive(gateway, wanted, FOUND_MS)
      await untilWatches(own, controllers, 'working', 60_000)
      const lists = more(relists, eachSum(own, controllers, 'atrium_watch_relists_total'))
      for (const count of lists) expect(count).toBeGreaterThan(0)
      return `410 after compaction: edits live ${seconds(live)} after the return, ${lists.join(' and ')} lists anew`
    })
  })

  test('an older version of everything is restored', { timeout: 400_000 }, async () => {
    await untilLive(gateway, await edit('restored'), FOUND_MS)
    own.api('stop', '--etcd')
    const kept = join(own.state, 'etcd-before')
    rmSync(kept, { recursive: true, force: true })
    cpSync(join(own.state, 'etcd'), kept, { recursive: true })
    own.api('start', '--etcd')
    await nothingFails(async () => {
      const controllers = readyPods('controller')
      // What comes after the copy: hundreds of edits, new routes, and terms of leaders.
      for (let round = 0; round < 60; round++) await edit(`round-${round}`)
      await putRoute(api, TENANT, 'later', 'later')
      await untilLive(gateway, new Map([...(await edit('later')), [hostOf(TENANT, 'later'), 'later']]), FOUND_MS)
      for (let term = 0; term < 2; term++) await anotherTerm()
      const relists = eachSum(own, controllers, 'atrium_watch_relists_total')
      const version = Number(versionNow('tenants'))
      const began = Date.now()

      own.api('stop', '--etcd')
      rmSync(join(own.state, 'etcd'), { recursive: true })
      cpSync(kept, join(own.state, 'etcd'), { recursive: true })
      own.api('start', '--etcd')
      const back = version - Number(versionNow('tenants'))
      expect(back).toBeGreaterThan(100)
      const wanted = new Map<string, string | 404>([...marked('restored'), [hostOf(TENANT, 'later'), 404]])
      const live = await untilLive(gateway, wanted, FOUND_MS)
      await untilWatches(own, controllers, 'working', 60_000)
      const lists = more(relists, eachSum(own, controllers, 'atrium_watch_relists_total'))
      const next = await untilLive(gateway, await edit('afterwards'), FOUND_MS)
      for (const count of lists) expect(count).toBeGreaterThan(4)
      for (const pod of controllers) expect(logSince(pod, began)).toContain('"event":"source.rewound"')
      return (
        `an older world restored (${back} versions back): it serves ${seconds(live)} after the start, ` +
        `${lists.join(' and ')} lists anew, then an edit is live in ${seconds(next)}`
      )
    })
  })

  /** Runs something under load; whatever failed fails the test, and so does a controller that was started again. */
  async function nothingFails(run: () => Promise<string>): Promise<void> {
    onTestFailed(() => console.log(describeInstallation()))
    const load = startLoad({ gateway, host: hostOf(TENANT, 'r0'), rate: RATE })
    const said = await run()
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    const report = await load.stop()
    console.log(`${said}; ${loadText(report)}`)
    expect([...report.failures]).toEqual([])
    expect(restarts(readyPods('controller'))).toEqual([0, 0])
  }

  /** Gives all routes a mark; what that must come to. */
  async function edit(mark: string): Promise<Wanted> {
    for (const name of ROUTES) await putRoute(api, TENANT, name, mark)
    return marked(mark)
  }

  function marked(mark: string): Wanted {
    return new Map(ROUTES.map((name) => [hostOf(TENANT, name), mark]))
  }
})

/** Makes somebody lead a new term, so that its number is above the one that is kept. */
async function anotherTerm(): Promise<void> {
  const terms = () =>
    get<{ spec: { leaseTransitions?: number } }>('lease', 'atrium-controller', '-n', NAMESPACE).spec.leaseTransitions ??
    0
  const before = terms()
  const nobody = JSON.stringify({ spec: { holderIdentity: '' } })
  kubectl(['patch', 'lease', 'atrium-controller', '-n', NAMESPACE, '--type=merge', '-p', nobody])
  await expect
    .poll(() => [terms() > before, leader() !== ''], {
      timeout: 60_000,
      interval: 250,
      message: 'a new term with a leader',
    })
    .toEqual([true, true])
}

/** By how much each count rose. */
function more(before: readonly number[], after: readonly number[]): readonly number[] {
  return after.map((count, index) => count - (before[index] ?? 0))
}

function versionNow(plural: 'routes' | 'tenants'): string {
  const list: unknown = JSON.parse(kubectl(['get', '--raw', ownPath(plural)]))
  return String(Object(Object(list).metadata).resourceVersion)
}

/** Makes etcd forget all that was before now. */
async function compact(etcd: string): Promise<void> {
  const call = async (path: string, body: unknown) => {
    const answer = await fetch(`${etcd}${path}`, { method: 'POST', body: JSON.stringify(body) })
    if (!answer.ok) throw new Error(`etcd ${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as { header?: { revision?: string } }
  }
  const { header } = await call('/v3/maintenance/status', {})
  await call('/v3/kv/compaction', { revision: header?.revision ?? '', physical: true })
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(1)} s`
}

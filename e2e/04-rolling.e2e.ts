// 60 s of 500 requests a second through three dataplane pods, while one thing after the other is replaced under them. No
// request may fail. Part of `npm run e2e -- --all`.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest'
import { makeCa, makeLeaf, type TestCa } from '../test/support/certificates.ts'
import { openApi } from './support/api.ts'
import {
  describeInstallation,
  type GatewayAddress,
  gatewayAddress,
  install,
  NAMESPACE,
  podsOf,
} from './support/installation.ts'
import { apply, kubectl } from './support/kubectl.ts'
import { MarkedRoutes, type MarkWatch } from './support/marked-routes.ts'
import { askForAnother, bundle, notSignedBy, progress, pushFailures } from './support/release-authority.ts'
import { askUntil } from './support/request.ts'
import { type LoadPlan, loadText, startLoad } from './support/steady-load.ts'
import { makeTenant, removeTenant, routeOf } from './support/tenant.ts'
import { leaseHolder } from './support/test-controllers.ts'

const TENANT = 'steady'
const HOST = `web.${TENANT}.test`
const SECONDS = Number(process.env['ATRIUM_E2E_SECONDS'] ?? '60')
const RATE = Number(process.env['ATRIUM_E2E_RATE'] ?? '500')
const TIME = SECONDS * 1_000 + 240_000
const PODS = 'dataplane.replicas=3'
/** Kubelets have to bring the bundle into pods within half of it: those of e2e/cluster take 15 s, others up to 90. */
const OVERLAP = process.env['ATRIUM_E2E_OVERLAP'] ?? '2m'

let gateway: GatewayAddress
let ca: TestCa

beforeAll(async () => {
  install(PODS)
  ca = await makeCa()
  makeTenant(TENANT, 3)
  await putCertificate()
  apply(
    JSON.stringify(routeOf(TENANT, 'web', HOST, { tls: { certificateRefs: [{ name: 'tls' }], plainHTTP: 'Serve' } })),
  )
  gateway = await gatewayAddress()
  // By TLS too: the controller may read the tenant's Secret only once it has given itself the right to.
  for (const options of [{}, { tls: { ca: ca.pem } }]) {
    await askUntil(gateway, HOST, ({ status }) => status === 200, 30_000, options)
  }
})

afterAll(() => {
  removeTenant(TENANT)
  install()
})

test('rolling restart of the dataplane', { timeout: TIME }, async () => {
  await nothingFails({}, () => restart(NAMESPACE, 'atrium-dataplane'))
})

test('rolling restart of the controller', { timeout: TIME }, async () => {
  await nothingFails({}, () => restart(NAMESPACE, 'atrium-controller'))
})

test('rolling restart of the backends', { timeout: TIME }, async () => {
  await nothingFails({}, () => restart(TENANT, 'web'))
})

test('a chart upgrade that changes both halves', { timeout: TIME }, async () => {
  await nothingFails({}, () => install(PODS, `extra.annotations.at=t${Date.now()}`))
})

test('another certificate of the tenant', { timeout: TIME }, async () => {
  await nothingFails({ rate: RATE / 5, tls: { ca: ca.pem } }, async () => {
    for (let turn = 0; turn < 5; turn++) {
      await putCertificate()
      await new Promise((resolve) => setTimeout(resolve, 2_000))
    }
  })
})

test('another authority of the release', { timeout: TIME + 600_000 }, async () => {
  const api = await openApi()
  const routes = new MarkedRoutes(api, [TENANT])
  await routes.create()
  const watches = new Map<string, MarkWatch>()
  /** Watches the pods that are there now. */
  const watchPods = async () => {
    for (const { metadata, status } of podsOf('dataplane')) {
      if (watches.has(metadata.name)) continue
      watches.set(metadata.name, routes.watch({ host: status.podIP ?? '', port: 8080, tlsPort: 8443 }))
    }
    await Promise.all([...watches.values()].map((watch) => watch.until(routes.mark, 30_000)))
  }
  const problems: string[] = []
  let slowest = 0
  let edits = 0
  /** Edits, four times a second, until something holds; every pod that is watched has to follow. */
  const editUntil = async (what: string, holds: () => boolean) => {
    for (const end = performance.now() + 300_000; !holds(); ) {
      if (performance.now() > end) throw new Error(`not in time: ${what}; ${progress()}`)
      const began = performance.now()
      const mark = await routes.edit()
      await Promise.all([...watches.values()].map((watch) => watch.until(mark, 15_000)))
      slowest = Math.max(slowest, performance.now() - began)
      edits++
      await sleep(250)
    }
  }
  /** Replaces a dataplane pod and a controller, the leader if it says so, and waits until their successors are ready. */
  const replacePods = async (whichController: (isLeader: boolean) => boolean) => {
    const { identity } = await leaseHolder(api)
    const dataplane = podsOf('dataplane')[0]?.metadata.name ?? ''
    const names = podsOf('controller').map(({ metadata }) => metadata.name)
    const controller = names.find((name) => whichController(identity.startsWith(`${name}_`))) ?? ''
    const watch = watches.get(dataplane)
    await watch?.stop()
    watches.delete(dataplane)
    problems.push(...(watch?.problems ?? []))
    kubectl(['delete', 'pod', '-n', NAMESPACE, dataplane, controller])
    for (const half of ['dataplane', 'controller'] as const) {
      kubectl(['rollout', 'status', '-n', NAMESPACE, `deployment/atrium-${half}`, '--timeout=120s'])
    }
    await watchPods()
  }
  try {
    await nothingFails({}, async () => {
      await watchPods()
      const [former = ''] = bundle()
      const failed: number[] = []
      let from = pushFailures()
      const count = () => failed.push(pushFailures() - from)
      const began = performance.now()
      const seconds = () => ((performance.now() - began) / 1_000).toFixed(0)
      const times: string[] = []
      const word = askForAnother(OVERLAP)
      await editUntil('two authorities are shown', () => bundle().length === 2)
      times.push(`shown after ${seconds()} s`)
      count()
      await replacePods((isLeader) => !isLeader)
      from = pushFailures()
      await editUntil('the new one signs', () => bundle()[0] !== former)
      times.push(`signs after ${seconds()} s`)
      count()
      await replacePods((isLeader) => isLeader)
      from = pushFailures()
      const [next = ''] = bundle()
      await editUntil('all have a leaf of it', () => notSignedBy(next).length === 0)
      times.push(`all signed by it after ${seconds()} s`)
      expect(bundle(), 'the former is believed until all have a new leaf').toContain(former)
      await editUntil('the former is forgotten', () => progress() === `${word}: done`)
      times.push(`the former forgotten after ${seconds()} s`)
      const last = performance.now()
      await editUntil('and a while after that', () => performance.now() - last > 15_000)
      count()
      expect(bundle()).toEqual([next])
      expect(notSignedBy(next)).toEqual([])
      console.log(
        `another authority: ${times.join(', ')}; ${edits} edits, the slowest on all pods after ${slowest.toFixed(0)} ms; pushes that failed: ${failed.join(', ')}`,
      )
      expect(failed).toEqual([0, 0, 0])
    })
    expect([...problems, ...[...watches.values()].flatMap((watch) => watch.problems)]).toEqual([])
  } finally {
    for (const watch of watches.values()) await watch.stop()
    api.close()
  }
})

/** Runs something a while after the load began; whatever failed fails the test. */
async function nothingFails(plan: Partial<LoadPlan>, run: () => void | Promise<void>): Promise<void> {
  onTestFailed(() => console.log(describeInstallation()))
  const began = performance.now()
  const load = startLoad({ gateway, host: HOST, rate: RATE, ...plan })
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  await run()
  await new Promise((resolve) => setTimeout(resolve, Math.max(8_000, SECONDS * 1_000 - (performance.now() - began))))
  const report = await load.stop()
  console.log(`${expect.getState().currentTestName}: ${loadText(report)}`)
  expect([...report.failures]).toEqual([])
  expect(report.sent).toBeGreaterThan((plan.rate ?? RATE) * SECONDS * 0.9)
}

function restart(namespace: string, name: string): void {
  kubectl(['rollout', 'restart', '-n', namespace, `deployment/${name}`])
  kubectl(['rollout', 'status', '-n', namespace, `deployment/${name}`, '--timeout=180s'])
}

/** A new certificate for the host, by the same authority. */
async function putCertificate(): Promise<void> {
  const { certPem, keyPem } = await makeLeaf(ca, { names: [HOST] })
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: TENANT, name: 'tls' },
    type: 'kubernetes.io/tls',
  }
  apply(JSON.stringify({ ...secret, stringData: { 'tls.crt': certPem, 'tls.key': keyPem } }))
}

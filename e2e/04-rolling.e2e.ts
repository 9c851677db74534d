// 60 s of 500 requests a second through three dataplane pods, while one thing after the other is replaced under them. No
// request may fail. Part of `npm run e2e -- --all`.
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest'
import { makeCa, makeLeaf, type TestCa } from '../test/support/certificates.ts'
import {
  describeInstallation,
  type GatewayAddress,
  gatewayAddress,
  install,
  NAMESPACE,
} from './support/installation.ts'
import { apply, kubectl } from './support/kubectl.ts'
import { ask, askUntil } from './support/request.ts'
import { type LoadPlan, loadText, startLoad } from './support/steady-load.ts'
import { makeTenant, removeTenant, routeOf } from './support/tenant.ts'

const TENANT = 'steady'
const HOST = `web.${TENANT}.test`
const SECONDS = Number(process.env['ATRIUM_E2E_SECONDS'] ?? '60')
const RATE = Number(process.env['ATRIUM_E2E_RATE'] ?? '500')
const TIME = SECONDS * 1_000 + 240_000
const PODS = 'dataplane.replicas=3'

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
  await askUntil(gateway, HOST, ({ status }) => status === 200, 30_000)
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
  const serial = async () => (await ask(gateway, HOST, { tls: { ca: ca.pem } })).status
  expect(await serial()).toBe(200)
  await nothingFails({ rate: RATE / 5, tls: { ca: ca.pem } }, async () => {
    for (let turn = 0; turn < 5; turn++) {
      await putCertificate()
      await new Promise((resolve) => setTimeout(resolve, 2_000))
    }
  })
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

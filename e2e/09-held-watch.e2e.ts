// A Policy, then a Route, while the controllers' watch of Policies stands still for a minute: the Route serves soon, never
// without the Policy, and the Routes of others are as quick as ever. Part of `npm run e2e -- --all`.
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { type Api, openApi, ownPath } from './support/api.ts'
import { type ApiProxy, authorityFolder, startApiProxy } from './support/api-proxy.ts'
import { describeInstallation, type GatewayAddress, gatewayAddress, install } from './support/installation.ts'
import { ask, askUntil, quantile } from './support/request.ts'
import { makeTenant, removeTenant, routeOf } from './support/tenant.ts'

const HELD_MS = 60_000
const ROUNDS = Number(process.env['ATRIUM_E2E_ROUNDS'] ?? '40')
const GIVE_UP_MS = 20_000
const AUTHORITY = authorityFolder()

describe.skipIf(AUTHORITY === undefined)('the watch of Policies stands still (a cluster of e2e/cluster)', () => {
  let api: Api
  let proxy: ApiProxy
  let gateway: GatewayAddress

  beforeAll(async () => {
    proxy = await startApiProxy(AUTHORITY ?? '')
    // Pods have the port from the kubelet, which is the one that the proxy listens on. One pod serves, so that what one
    // answer says holds for the next.
    const variable = ['extra.env[0].name=KUBERNETES_SERVICE_HOST', `extra.env[0].value=${proxy.host}`]
    install('dataplane.replicas=1', ...variable)
    api = await openApi()
    makeTenant('held')
    makeTenant('free')
    gateway = await gatewayAddress()
    for (const tenant of ['held', 'free']) await createRoute(tenant, 'warm', 200)
  })

  afterAll(async () => {
    api.close()
    removeTenant('held')
    removeTenant('free')
    install()
    await proxy.close()
  })

  test('the Route serves with its Policy in force, and nobody else waits', { timeout: 600_000 }, async () => {
    onTestFailed(() => console.log(describeInstallation()))
    expect(await proxy.passed(), 'the controllers come through the proxy').toBeGreaterThan(10)
    const before: number[] = []
    for (let round = 0; round < ROUNDS; round++) before.push(await createRoute('free', `before-${round}`, 200))
    proxy.hold('policies', HELD_MS)
    const held: number[] = []
    const meanwhile: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const name = `guarded-${round}`
      const policy = {
        apiVersion: 'atrium.dev/v1alpha1',
        kind: 'Policy',
        metadata: { namespace: 'held', name },
        spec: { targetRefs: [{ kind: 'Route', name }], access: { ip: { allow: ['192.0.2.1/32'] } } },
      }
      expect((await api.call('POST', ownPath('policies', 'held'), policy)).status).toBe(201)
      const [own, other] = await Promise.all([
        createRoute('held', name, 403),
        createRoute('free', `meanwhile-${round}`, 200),
      ])
      held.push(own)
      meanwhile.push(other)
    }
    report('held: Policy and Route until the Route serves with its Policy', held)
    report('others before', before)
    report('others meanwhile', meanwhile)
    // Far from the minute that the watch is late; how far, the figures say.
    expect(Math.max(...held)).toBeLessThan(HELD_MS / 10)
    expect(Math.max(...meanwhile)).toBeLessThan(HELD_MS / 10)
  })

  /** Milliseconds from the API server's answer to the first answer that is no 404, which must have this status. */
  async function createRoute(tenant: string, name: string, status: number): Promise<number> {
    const host = `${name}.${tenant}.test`
    const created = await api.call('POST', ownPath('routes', tenant), routeOf(tenant, name, host))
    expect(created.status).toBe(201)
    const answer = await askUntil(gateway, host, (given) => given.status !== 404, GIVE_UP_MS)
    expect(answer.status).toBe(status)
    const first = performance.now() - created.answeredAt
    for (let again = 0; again < 3; again++) expect((await ask(gateway, host)).status).toBe(status)
    return first
  }
})

function report(what: string, times: readonly number[]): void {
  const [p50, p99, most] = [quantile(times, 0.5), quantile(times, 0.99), Math.max(...times)].map((ms) => ms.toFixed(0))
  console.log(`${what}: p50 ${p50} ms, p99 ${p99} ms, most ${most} ms, of ${times.length}`)
}

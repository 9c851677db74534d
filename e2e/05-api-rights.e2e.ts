// The controllers' token stops being valid, and their rights are taken away: each time they keep what they have, say so,
// and go on by themselves when they may again. Part of `npm run e2e -- --all`; needs a cluster of e2e/cluster.
//
// A token that the kubelet mounts by itself lives an hour and more, so here it comes from a Secret that is mounted in its
// place, and is bound to another Secret: where that is deleted, the API server answers 401 from then on.
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { type Api, openApi } from './support/api.ts'
import { logSince, readyPods, restarts, untilWatches } from './support/controllers.ts'
import {
  describeInstallation,
  type GatewayAddress,
  gatewayAddress,
  install,
  NAMESPACE,
  podsOf,
} from './support/installation.ts'
import { apply, get, kubectl } from './support/kubectl.ts'
import { findOwnCluster, type OwnCluster } from './support/own-cluster.ts'
import { loadText, startLoad } from './support/steady-load.ts'
import { makeTenant, removeTenant } from './support/tenant.ts'
import { hostOf, notYet, putRoute, untilLive, type Wanted } from './support/tenant-edits.ts'

const TENANT = 'rightless'
const RATE = Number(process.env['ATRIUM_E2E_RATE'] ?? '200')
const ROUTES = ['r0', 'r1', 'r2', 'r3', 'r4']
/** A failed watch is opened again within 30 s; a quiet one ends by itself within 38. */
const BACK_MS = 45_000
const FAILING_MS = 90_000
const ACCOUNT = 'atrium-controller'
const TOKEN = 'controller-token'
const cluster = findOwnCluster()

describe.skipIf(cluster === undefined)(
  'on a cluster of e2e/cluster, whose controllers can be asked for metrics',
  () => {
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

    afterAll(() => {
      api.close()
      removeTenant(TENANT)
      kubectl(['delete', '--ignore-not-found', '-n', NAMESPACE, 'secret', TOKEN, 'bound-1', 'bound-2'])
      kubectl(['delete', '--ignore-not-found', '-n', NAMESPACE, `deployment/${ACCOUNT}`])
      install()
    })

    test('the token is made invalid, and later another takes its place', { timeout: 400_000 }, async () => {
      putToken('bound-1')
      kubectl(['patch', '-n', NAMESPACE, `deployment/${ACCOUNT}`, '-p', JSON.stringify(mountedToken())])
      kubectl(['rollout', 'status', '-n', NAMESPACE, `deployment/${ACCOUNT}`, '--timeout=120s'])
      await untilLive(gateway, await edit('by-token'), 30_000)
      await keepsAndGoesOn('token refused (401)', /not accept the credentials \(401\)/, {
        take: () => kubectl(['delete', 'secret', '-n', NAMESPACE, 'bound-1']),
        give: () => {
          putToken('bound-2')
          // The kubelet brings what a pod mounts up to date when the pod changes, else within a minute or two.
          const which = 'app.kubernetes.io/component=controller'
          kubectl(['annotate', 'pods', '-n', NAMESPACE, '-l', which, `touched=${Date.now()}`, '--overwrite'])
        },
      })
    })

    test('the rights are taken away, and later given back', { timeout: 400_000 }, async () => {
      const roles = [['clusterrole', ACCOUNT] as const, ['role', ACCOUNT, '-n', NAMESPACE] as const]
      const rules = roles.map((role) => get<{ rules: unknown }>(...role).rules)
      const put = (index: number, value: unknown) =>
        kubectl(['patch', ...(roles[index] ?? []), '--type=merge', '-p', JSON.stringify({ rules: value })])
      const give = () => {
        for (const [index, value] of rules.entries()) put(index, value)
      }
      try {
        await keepsAndGoesOn('rights taken away (403)', /may not be (listed|watched) \(403\): rights are missing/, {
          take: () => {
            for (const index of roles.keys()) put(index, [])
          },
          meanwhile: anotherDataplanePod,
          give,
        })
      } finally {
        give()
      }
    })

    /** Takes something away under load, edits, gives it back: until then all serves as before, afterwards as edited. */
    async function keepsAndGoesOn(
      what: string,
      says: RegExp,
      { take, give, meanwhile }: { take(): void; give(): void; meanwhile?: () => Promise<string> },
    ): Promise<void> {
      onTestFailed(() => console.log(describeInstallation()))
      const began = Date.now()
      const controllers = readyPods('controller')
      const before = await edit(`before-${what.split(' ')[0]}`)
      await untilLive(gateway, before, 30_000)
      const load = startLoad({ gateway, host: hostOf(TENANT, 'r0'), rate: RATE })
      take()
      const failing = await untilWatches(own, controllers, 'failing', FAILING_MS)
      await expect
        .poll(() => controllers.map((pod) => says.test(logSince(pod, began))), {
          timeout: FAILING_MS,
          message: 'logs say so',
        })
        .toEqual([true, true])
      const said = (await meanwhile?.()) ?? ''
      expect(await notYet(gateway, new Map([...before].slice(0, 1)))).toEqual([])
      const wanted = await edit(`after-${what.split(' ')[0]}`)
      const given = performance.now()
      give()
      await untilLive(gateway, wanted, BACK_MS)
      const live = performance.now() - given
      await untilWatches(own, controllers, 'working', FAILING_MS)
      const report = await load.stop()
      console.log(
        `${what}: watches fail ${seconds(failing)} later${said}, edits live ${seconds(live)} after it was given back, ` +
          `restarts ${restarts(readyPods('controller')).join(' ')}; ${loadText(report)}`,
      )
      expect([...report.failures]).toEqual([])
      expect(restarts(readyPods('controller'))).toEqual([0, 0])
      await expect
        .poll(() => controllers.map((pod) => logSince(pod, began).includes('"event":"source.working"')), {
          timeout: 10_000,
        })
        .toEqual([true, true])
    }

    /** Gives all routes a mark; what that must come to. */
    async function edit(mark: string): Promise<Wanted> {
      for (const name of ROUTES) await putRoute(api, TENANT, name, mark)
      return new Map(ROUTES.map((name) => [hostOf(TENANT, name), mark]))
    }
  },
)

/** A dataplane pod in place of another, whose token no controller may ask about; how long that took, in words. */
async function anotherDataplanePod(): Promise<string> {
  const from = performance.now()
  const before = new Set(podsOf('dataplane').map(({ metadata }) => metadata.uid))
  const [pod] = readyPods('dataplane')
  kubectl(['delete', 'pod', '-n', NAMESPACE, pod?.metadata.name ?? '', '--wait=false'])
  const seen = () => readyPods('dataplane').filter(({ metadata }) => !before.has(metadata.uid)).length
  await expect.poll(seen, { timeout: 90_000, interval: 250, message: 'new dataplane pods that are ready' }).toBe(1)
  return `, a new dataplane pod ready ${seconds(performance.now() - from)} after another left`
}

/** A new token of the controllers' account into the Secret that they mount, good as long as another Secret is there. */
function putToken(bound: string): void {
  const secret = (name: string, data: Readonly<Record<string, string>>) =>
    apply(
      JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { namespace: NAMESPACE, name }, stringData: data }),
    )
  secret(bound, {})
  const binding = ['--bound-object-kind=Secret', `--bound-object-name=${bound}`]
  const token = kubectl(['create', 'token', ACCOUNT, '-n', NAMESPACE, '--duration=1h', ...binding]).trim()
  secret(TOKEN, { token })
}

/** A patch of the Deployment: the token of the Secret where the kubelet's own would be. */
function mountedToken() {
  const sources = [
    { secret: { name: TOKEN, items: [{ key: 'token', path: 'token' }] } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
  ]
  const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount'
  const containers = [{ name: 'controller', volumeMounts: [{ name: TOKEN, mountPath, readOnly: true }] }]
  return { spec: { template: { spec: { volumes: [{ name: TOKEN, projected: { sources } }], containers } } } }
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(1)} s`
}

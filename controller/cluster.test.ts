// Whole replicas against a real API server: what they write there, who leads, and what a successor goes on with.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { missingRealApi, must, type RealApi, startRealApi } from '../test/support/real-api.ts'
import { POLICIES } from '../policies/index.ts'
import { type ClusterController, startCluster } from './cluster.ts'
import { ClusterKeyCache } from './cluster/reviews.ts'
import { loadCredentials } from './sources/kubernetes/credentials.ts'

const NAMESPACE = 'atrium-system'
const OWN = '/apis/atrium.dev/v1alpha1'
const missing = await missingRealApi()

describe.skipIf(missing !== undefined)(
  `replicas on a real API server${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  () => {
    let real: RealApi
    const running = new Set<ClusterController>()
    const notes: string[] = []

    beforeAll(async () => {
      real = await startRealApi()
      for (const name of [NAMESPACE, 'acme', 'globex']) {
        await must(real.client, 'POST', '/api/v1/namespaces', { metadata: { name } })
      }
    })
    afterEach(async () => {
      await Promise.all([...running].map((replica) => stop(replica)))
    })
    afterAll(() => real.stop())

    async function start(name: string): Promise<ClusterController> {
      const replica = await startCluster({
        credentials: await loadCredentials({ kubeconfig: real.kubeconfig }),
        version: '0.1.0',
        release: 'atrium',
        namespace: NAMESPACE,
        pod: { name, uid: `uid-${name}`, address: '127.0.0.1' },
        host: '127.0.0.1',
        ports: { health: 0, pods: 0, metrics: 0, api: 0 },
        policies: POLICIES,
        allowEndpoints: [],
        watchNamespaces: [],
        hostTransferDelay: 0,
        leaseTimes: { durationMs: 3_000, renewMs: 2_000, retryMs: 300 },
        warn: (message) => notes.push(message),
        note: (event) => notes.push(`${name} ${event}`),
      })
      running.add(replica)
      return replica
    }
    async function stop(replica: ClusterController): Promise<void> {
      running.delete(replica)
      await replica.stop()
    }
    const read = async (path: string) => (await real.client.request({ path })).body
    const conditionOf = async (path: string, type: string): Promise<Record<string, unknown>> => {
      const { conditions } = Object(Object(await read(path)).status)
      return (Array.isArray(conditions) ? conditions : []).find((each: unknown) => Object(each).type === type) ?? {}
    }
    const tenant = (name: string, hostnames: readonly string[]) => ({
      apiVersion: 'atrium.dev/v1alpha1',
      kind: 'Tenant',
      metadata: { name },
      spec: { namespaces: [name], hostnames },
    })
    const route = (namespace: string, host: string) => ({
      apiVersion: 'atrium.dev/v1alpha1',
      kind: 'Route',
      metadata: { namespace, name: 'web' },
      spec: {
        hostnames: [host],
        rules: [{ filters: [{ type: 'RequestRedirect', requestRedirect: { hostname: 'x.test' } }] }],
      },
    })

    test('a leader writes statuses, claims, labels and Events; its successor goes on with them', {
      timeout: 90_000,
    }, async () => {
      const first = await start('ctl-0')
      const second = await start('ctl-1')
      expect([first.loop.fence() !== undefined, second.loop.fence() !== undefined]).toEqual([true, false])

      await must(real.client, 'POST', `${OWN}/tenants`, tenant('acme', ['*.acme.test']))
      await must(real.client, 'POST', `${OWN}/namespaces/acme/routes`, route('acme', 'web.acme.test'))
      await must(real.client, 'POST', `${OWN}/namespaces/globex/routes`, route('globex', 'web.acme.test'))
      await vi.waitFor(async () => {
        expect(await conditionOf(`${OWN}/namespaces/acme/routes/web`, 'Accepted')).toMatchObject({
          status: 'True',
          observedGeneration: 1,
        })
        expect(await conditionOf(`${OWN}/namespaces/globex/routes/web`, 'Ready')).toMatchObject({
          status: 'False',
          reason: 'NamespaceNotInTenant',
        })
        expect(await conditionOf(`${OWN}/tenants/acme`, 'Accepted')).toMatchObject({ status: 'True' })
      }, 10_000)
      expect(Object(Object(await read(`${OWN}/tenants/acme`)).status).summary).toEqual({ namespaces: '1', pods: '0/0' })
      await vi.waitFor(async () => {
        expect(Object(Object(await read('/api/v1/namespaces/acme')).metadata).labels).toMatchObject({
          'atrium.dev/tenant': 'acme',
        })
      }, 10_000)
      await vi.waitFor(async () => {
        const { items } = Object(await read('/apis/events.k8s.io/v1/namespaces/globex/events'))
        expect((Array.isArray(items) ? items : []).map((each: unknown) => Object(each).reason)).toContain('Rejected')
      }, 10_000)
      // What the leader stored is what the other compiles with.
      await vi.waitFor(() => {
        expect(second.loop.state()?.resources.claims).toEqual(first.loop.state()?.resources.claims)
        expect(second.loop.state()?.result.snapshot.version).toBe(first.loop.state()?.result.snapshot.version)
      }, 10_000)
      expect(
        first.loop
          .state()
          ?.resources.claims.map(({ name }) => name)
          .sort(),
      ).toEqual(['*.acme.test', 'acme'])

      const fence = first.loop.fence() ?? 0
      const before = await read(`${OWN}/namespaces/acme/routes/web`)
      await stop(first)
      await vi.waitFor(() => expect(second.loop.fence()).toBeGreaterThan(fence), 10_000)
      await sleep(500)
      // Nothing that stands is written anew.
      expect(Object(Object(await read(`${OWN}/namespaces/acme/routes/web`)).metadata).resourceVersion).toBe(
        Object(Object(before).metadata).resourceVersion,
      )
      // Who asks for a host that is held gets it from neither.
      await must(real.client, 'POST', `${OWN}/tenants`, tenant('globex', ['*.acme.test']))
      await vi.waitFor(async () => {
        expect(await conditionOf(`${OWN}/tenants/globex`, 'Accepted')).toMatchObject({ reason: 'HostInUse' })
      }, 10_000)
      expect(await conditionOf(`${OWN}/tenants/acme`, 'Accepted')).toMatchObject({ status: 'True' })
    })

    test('the ports say that it is ready, and who leads', { timeout: 60_000 }, async () => {
      const replica = await start('ctl-2')
      const ready = await fetch(`http://127.0.0.1:${replica.ports.health}/readyz`)
      expect([ready.status, await ready.json()]).toEqual([200, { ready: true }])
      await vi.waitFor(async () => {
        const text = await (await fetch(`http://127.0.0.1:${replica.ports.metrics}/metrics`)).text()
        expect(text).toContain('\natrium_leader 1\n')
        expect(text).toMatch(/atrium_objects\{kind="Route",ready="false"\} \d/)
      }, 10_000)
      expect((await fetch(`http://127.0.0.1:${replica.ports.health}/metrics`)).status).toBe(404)
    })

    test('the keys with which the cluster signs tokens can be had', { timeout: 60_000 }, async () => {
      const keys = new ClusterKeyCache(real.client, (message, error) => notes.push(`${message} ${String(error)}`))
      await keys.start()
      keys.stop()
      expect(keys.keys, notes.at(-1)).toMatchObject({ issuer: expect.any(String), keys: [{ kid: expect.any(String) }] })
    })
  },
)

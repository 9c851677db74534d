// The Kubernetes source against a real API server: the suite of all sources, then what a fake only imitates: rights,
// compaction, a network that fails, a server that stands still. Skipped, with the reason in its name, where the programs of
// a real one are not built.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { describeSource, find, routeInput, routeRef, sleep, WatchedSource } from '../../../test/contracts/source.ts'
import { SHORT_TIMING } from '../../../test/support/fake-api/fake-source.ts'
import { missingRealApi, must, type RealApi, startRealApi } from '../../../test/support/real-api.ts'
import { realDriver } from '../../../test/support/real-driver.ts'
import { TcpProxy } from '../../../test/support/tcp-proxy.ts'
import type { SourceState } from '../source.ts'
import { type ApiClient, createApiClient } from './client.ts'
import { loadCredentials } from './credentials.ts'
import { createKubernetesSource, type KubernetesSource, type KubernetesSourceOptions } from './source.ts'

const missing = await missingRealApi()
const ROUTES = '/apis/atrium.dev/v1alpha1/namespaces/default/routes'

describe.skipIf(missing !== undefined)('with a real API server', () => {
  let api: RealApi
  let serial = 0
  beforeAll(async () => {
    api = await startRealApi()
  }, 120_000)
  afterAll(() => api.stop())

  describeSource('a real API server', async () => realDriver(api, ++serial))

  test('whose reads are late is not read for every Route: a write moves the watch of Policies', async () => {
    const client = createApiClient({ credentials: await loadCredentials({ kubeconfig: api.kubeconfig }) })
    let reads = 0
    const request = client.request.bind(client)
    client.request = async (call) => {
      if (call.query?.['resourceVersionMatch'] === 'Exact' && call.path.endsWith('/policies')) {
        reads++
        await sleep(20)
      }
      return await request(call)
    }
    const source = createKubernetesSource({ client, pulse: { namespace: 'default', name: 'pulse' } })
    const watched = new WatchedSource(source)
    try {
      await watched.start()
      for (let index = 0; index < 20; index++) {
        const name = `late-${index}`
        await must(api.client, 'POST', ROUTES, routeInput('default', name, `${name}.test`))
        await watched.until((state) => find(state, routeRef('default', name)) !== undefined)
      }
      expect(reads).toBeGreaterThan(0)
      expect(reads).toBeLessThan(6)
      const pulse = find(watched.source.read(), { kind: 'Policy', namespace: 'default', name: 'pulse' })
      expect(pulse).toBeUndefined()
    } finally {
      await source.stop()
      client.close()
      await must(api.client, 'DELETE', ROUTES)
      await must(api.client, 'DELETE', ROUTES.replace('routes', 'policies'))
    }
  }, 30_000)
})

describe.skipIf(missing !== undefined)('a real API server', () => {
  let api: RealApi
  let proxy: TcpProxy
  let client: ApiClient | undefined
  let source: KubernetesSource | undefined
  let watched: WatchedSource

  beforeAll(async () => {
    // Without its cache, and with history compacted every two seconds, it answers 410 as soon as one was away.
    api = await startRealApi(['--watch-cache=false', '--etcd-compaction-interval=2s'])
    const kubeconfig = await readFile(api.kubeconfig, 'utf8')
    const port = /https:\/\/127\.0\.0\.1:(\d+)/.exec(kubeconfig)?.[1] ?? ''
    proxy = await TcpProxy.start(Number(port))
    await writeFile(join(api.state, 'proxied'), kubeconfig.replace(`:${port}`, `:${proxy.port}`))
  }, 120_000)
  afterAll(async () => {
    await proxy.stop()
    await api.stop()
  })
  afterEach(async () => {
    await source?.stop()
    client?.close()
    await must(api.client, 'DELETE', ROUTES)
  })

  async function start(options: Partial<KubernetesSourceOptions> = {}, kubeconfig = 'proxied'): Promise<void> {
    client = createApiClient({
      credentials: await loadCredentials({ kubeconfig: join(api.state, kubeconfig) }),
      ping: { everyMs: 300, answerWithinMs: 300 },
    })
    source = createKubernetesSource({
      client,
      tellAfterMs: 300,
      firstMaterialMs: 1_000,
      ...options,
      timing: { ...SHORT_TIMING, absentRecheckMs: 60_000, pageSize: 500, ...options.timing },
    })
    watched = new WatchedSource(source)
    await watched.start()
  }

  const write = (name: string) => must(api.client, 'POST', ROUTES, routeInput('default', name, `${name}.test`))
  const has = (name: string) => (state: SourceState) => find(state, routeRef('default', name)) !== undefined
  async function until(wanted: () => boolean): Promise<void> {
    const deadline = performance.now() + 10_000
    while (!wanted()) {
      if (performance.now() > deadline) throw new Error('not reached')
      await sleep(10)
    }
  }

  test('compacts what was missed: the list is told by difference', async () => {
    await write('stays')
    await write('goes')
    await start()
    const before = find(watched.source.read(), routeRef('default', 'stays'))
    proxy.cut(true)
    await must(api.client, 'DELETE', `${ROUTES}/goes`)
    await write('comes')
    await sleep(5_000)
    proxy.cut(false)
    const state = await watched.until((now) => has('comes')(now) && !has('goes')(now))
    expect(find(state, routeRef('default', 'stays'))).toBe(before)
    expect(source?.watches().find(({ resource }) => resource === 'routes')?.relists).toBeGreaterThan(0)
  }, 30_000)

  test('behind a network that swallows everything is found to be away, and caught up with', async () => {
    await write('stays')
    await start()
    proxy.swallow(true)
    await write('comes')
    await until(() => (source?.read().problems.length ?? 0) > 0)
    expect(has('stays')(watched.source.read())).toBe(true)
    proxy.swallow(false)
    await watched.until(has('comes'))
    await until(() => source?.read().problems.length === 0)
  }, 30_000)

  test('that stands still is found to be away, and caught up with', async () => {
    await write('stays')
    await start()
    const pids = await readFile(join(api.state, 'pids'), 'utf8')
    const pid = Number(
      pids
        .split('\n')
        .find((line) => line.endsWith(' kube-apiserver'))
        ?.split(' ')[0],
    )
    process.kill(pid, 'SIGSTOP')
    try {
      await until(() => (source?.read().problems.length ?? 0) > 0)
      expect(has('stays')(watched.source.read())).toBe(true)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await write('comes')
    await watched.until(has('comes'))
    await until(() => source?.read().problems.length === 0)
  }, 30_000)

  test('gives Secrets where rights were given for the namespace, over HTTP/2', async () => {
    const reader = 'system:serviceaccount:default:reader'
    await must(api.client, 'POST', '/api/v1/namespaces', { metadata: { name: 'team' } })
    await must(api.client, 'POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'reader' } })
    const rbac = '/apis/rbac.authorization.k8s.io/v1'
    const role = (name: string, rules: unknown) =>
      must(api.client, 'POST', `${rbac}/clusterroles`, { metadata: { name }, rules })
    const read = ['get', 'list', 'watch']
    await role('reads', [
      { apiGroups: ['atrium.dev', 'discovery.k8s.io', 'gateway.networking.k8s.io'], resources: ['*'], verbs: read },
      { apiGroups: [''], resources: ['services', 'pods', 'namespaces'], verbs: read },
    ])
    await role('reads-secrets', [{ apiGroups: [''], resources: ['secrets', 'configmaps'], verbs: read }])
    const bind = (path: string, name: string) =>
      must(api.client, 'POST', `${rbac}/${path}`, {
        metadata: { name },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
        subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: reader }],
      })
    await bind('clusterrolebindings', 'reads')
    const secret = (value: string) => ({
      metadata: { name: 'tls' },
      data: { 'tls.crt': Buffer.from(value).toString('base64'), 'tls.key': Buffer.from(value).toString('base64') },
    })
    await must(api.client, 'POST', '/api/v1/namespaces/team/secrets', secret('one'))
    await must(api.client, 'POST', '/apis/atrium.dev/v1alpha1/tenants', {
      apiVersion: 'atrium.dev/v1alpha1',
      kind: 'Tenant',
      metadata: { name: 'acme' },
      spec: { namespaces: ['team'], tls: { certificateRefs: [{ name: 'tls', namespace: 'team' }] } },
    })
    const answer = await must(api.client, 'POST', '/api/v1/namespaces/default/serviceaccounts/reader/token', {
      spec: { audiences: ['https://kubernetes.default.svc.cluster.local'] },
    })
    const { token } = Object(Object(answer)['status'])
    const admin = await readFile(join(api.state, 'proxied'), 'utf8')
    const users = `users: [{name: admin, user: {token: ${JSON.stringify(token)}}}]`
    await writeFile(join(api.state, 'reader'), admin.replace(/^users: .*$/m, users))

    const asked: string[] = []
    await start(
      {
        grant: async (namespace) => {
          asked.push(namespace)
          if (asked.length > 1) await bind(`namespaces/${namespace}/rolebindings`, 'reads-secrets')
          else throw new Error('not yet')
        },
      },
      'reader',
    )
    const ref = { kind: 'Secret', namespace: 'team', name: 'tls' } as const
    const key = (state: SourceState) => find(state, ref)?.material?.certificate?.keyPem.reveal()
    await watched.until((state) => key(state) === 'one')
    await must(api.client, 'PUT', '/api/v1/namespaces/team/secrets/tls', secret('two'))
    await watched.until((state) => key(state) === 'two')
    await must(api.client, 'DELETE', `${rbac}/namespaces/team/rolebindings/reads-secrets`)
    proxy.cut(false)
    await until(
      () => source?.read().problems.some(({ message }) => message.includes('secrets in namespace team')) === true,
    )
    expect(key(watched.source.read())).toBe('two')
    await bind('namespaces/team/rolebindings', 'reads-secrets')
    await until(() => source?.read().problems.length === 0)
    await must(api.client, 'DELETE', '/api/v1/namespaces/team/secrets/tls')
    await watched.until((state) => find(state, ref) === undefined)
  }, 30_000)
})

if (missing !== undefined) test.skip(`nothing was tried on a real API server: ${missing}`)

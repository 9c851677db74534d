// A real API server with its etcd, started by the repository's own scripts, for tests that a fake cannot answer. Without
// those scripts or the programs that they built, `missingRealApi` says so and the tests are skipped.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { type ApiClient, createApiClient } from '../../controller/sources/kubernetes/client.ts'
import { loadCredentials } from '../../controller/sources/kubernetes/credentials.ts'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const SCRIPTS = join(ROOT, 'e2e', 'cluster')
const run = promisify(execFile)

/** A running API server with Atrium's CRDs. */
export interface RealApi {
  readonly client: ApiClient
  readonly kubeconfig: string
  /** Folder of the cluster: logs, keys, pids. */
  readonly state: string
  stop(): Promise<void>
}

/** Why there can be no real API server here; undefined where there can. */
export async function missingRealApi(): Promise<string | undefined> {
  if (!existsSync(join(SCRIPTS, 'up'))) return 'e2e/cluster/up is not there'
  const { stdout } = await run('bash', ['-c', `set -e; . "${join(SCRIPTS, 'env.sh')}"; printf %s "$BIN"`])
  for (const program of ['etcd', 'kube-apiserver', 'kubectl']) {
    if (!existsSync(join(stdout, program))) return `${program} is not built; e2e/cluster/build --api-only builds it`
  }
  return undefined
}

/** Starts one; `flags` go to kube-apiserver. */
export async function startRealApi(flags: readonly string[] = []): Promise<RealApi> {
  const state = join(await mkdtemp(join(tmpdir(), 'atrium-real-api-')), 'cluster')
  const extra = flags.flatMap((flag) => ['--apiserver-arg', flag])
  const { stdout } = await run(join(SCRIPTS, 'up'), ['--api-only', '--state', state, ...extra])
  const kubeconfig = stdout.trim().split('\n').at(-1) ?? ''
  const client = createApiClient({ credentials: await loadCredentials({ kubeconfig }) })
  const stop = async () => {
    client.close()
    await run(join(SCRIPTS, 'down'), ['--state', state])
    await rm(dirname(state), { recursive: true, force: true })
  }
  try {
    await installDefinitions(client)
  } catch (error) {
    await stop()
    throw error
  }
  return { client, kubeconfig, state, stop }
}

async function installDefinitions(client: ApiClient): Promise<void> {
  for (const file of await readdir(join(ROOT, 'crds'))) {
    for (const document of parseAllDocuments(await readFile(join(ROOT, 'crds', file), 'utf8'))) {
      await must(client, 'POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', document.toJS())
    }
  }
  for (const plural of ['tenants', 'routes', 'policies']) {
    while ((await client.request({ path: `/apis/atrium.dev/v1alpha1/${plural}` })).status !== 200) {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** A call that must succeed; returns the parsed answer. */
export async function must(
  client: ApiClient,
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<unknown> {
  const response = await client.request({
    method,
    path,
    ...(body === undefined ? {} : { body }),
    ...(method === 'PATCH' ? { contentType: 'application/merge-patch+json' } : {}),
    patienceMs: 30_000,
  })
  if (response.status >= 300) {
    throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(response.body)}`)
  }
  return response.body
}

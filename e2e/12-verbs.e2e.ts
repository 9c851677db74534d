// What a person asks on a cluster: top while there is traffic, check before and after the install, and whether
// NetworkPolicies are enforced.
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { gatewayAddress, install, NAMESPACE } from './support/installation.ts'
import { get, kubectl } from './support/kubectl.ts'
import { askUntil } from './support/request.ts'
import { startLoad } from './support/steady-load.ts'

const HELLO = join(import.meta.dirname, '..', 'examples', 'hello.yaml')
const ATRIUM = join(import.meta.dirname, '..', 'bin', 'atrium.ts')
const HOST = 'hello.acme.test'

beforeAll(async () => {
  install()
  kubectl(['apply', '-f', HELLO])
  kubectl(['wait', 'route/hello', '-n', 'acme', '--for=condition=Ready', '--timeout=60s'])
  await askUntil(await gatewayAddress(), HOST, ({ status }) => status === 200, 20_000)
}, 240_000)
afterAll(() => {
  kubectl(['delete', '--ignore-not-found', '-f', HELLO])
})

test('top shows rate, latencies and CPU of a tenant that has traffic, in 80 columns', async () => {
  const load = startLoad({ gateway: await gatewayAddress(), host: HOST, rate: 50 })
  try {
    const { status, stdout, stderr } = await atrium('top', '--once')
    expect(status, stderr).toBe(0)
    const [head = '', titles = '', row = ''] = stdout.split('\n')
    console.log(head, row)
    expect(head).toMatch(/^\d+ tenants? · (\d+) of \1 pods · [0-9.,]+ req\/s · cpu \d+\.\d+ of \d+ cores?$/)
    expect(titles).toMatch(/^TENANT +REQ\/S +P50 +P99 +4XX +5XX +429 +IN-FLIGHT +OUT/)
    expect(row).toMatch(/^acme +[1-9][0-9.]* +[0-9.]+m?s +[0-9.]+m?s +0\.0% +0\.0% +0\.0% /)
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  } finally {
    await load.stop()
  }
})

test('check finds nothing that fails, and its probe leaves nothing behind', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [ATRIUM, 'check', '--probe', '-o', 'json'], {
    encoding: 'utf8',
  })
  const items: readonly { group: string; verdict: string; text: string }[] = JSON.parse(stdout).items
  expect({ status, failed: items.filter(({ verdict }) => verdict === 'fail') }, stderr).toEqual({
    status: 0,
    failed: [],
  })
  expect(items.filter(({ group }) => group === 'clocks').map(({ verdict }) => verdict)).toEqual(['ok', 'ok'])
  const network = items.filter(({ group }) => group === 'network')
  console.log(`probe: ${network.map(({ text }) => text).join(' · ')}`)
  expect(network).toHaveLength(1)
  const { items: pods } = get<{ items: { metadata: { name: string } }[] }>('pods', '-n', NAMESPACE)
  expect(pods.filter(({ metadata }) => metadata.name.startsWith('atrium-probe-'))).toEqual([])
})

test('check --pre judges the values it is given', () => {
  const values = 'dataplane: { replica: 3, priorityClassName: none-such, service: { type: NodePort } }'
  const args = [ATRIUM, 'check', '--pre', '--values', '-', '-o', 'json']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', input: values })
  expect(status, stderr).toBe(1)
  const items: readonly { verdict: string; text: string }[] = JSON.parse(stdout).items
  expect(items.filter(({ verdict }) => verdict === 'fail').map(({ text }) => text)).toEqual([
    'dataplane.replica is no value of this chart: helm refuses it',
    'dataplane.priorityClassName: there is no PriorityClass none-such',
  ])
})

/** Runs the command while this process goes on. */
function atrium(...args: readonly string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [ATRIUM, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (part: Buffer) => (stdout += part.toString()))
    child.stderr.on('data', (part: Buffer) => (stderr += part.toString()))
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, stdout, stderr }))
  })
}

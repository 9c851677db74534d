// From nothing to the first answer: the commands of the README, on real pods.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest'
import { describeInstallation, gatewayAddress, install, NAMESPACE, podsOf, uninstall } from './support/installation.ts'
import { get, kubectl, tryKubectl } from './support/kubectl.ts'
import { askUntil } from './support/request.ts'

const HELLO = join(import.meta.dirname, '..', 'examples', 'hello.yaml')
const ATRIUM = join(import.meta.dirname, '..', 'bin', 'atrium.ts')
const MOST_SECONDS = 60

beforeAll(() => uninstall())
afterAll(() => {
  kubectl(['delete', '--ignore-not-found', '-f', HELLO])
})

test(`chart installed, example applied, Ready, first 200: within ${MOST_SECONDS} s`, async () => {
  onTestFailed(() => console.log(describeInstallation()))
  const began = performance.now()
  const passed = () => ((performance.now() - began) / 1000).toFixed(1)
  install()
  const installed = passed()
  kubectl(['apply', '-f', HELLO])
  const applied = passed()
  kubectl(['wait', 'route/hello', '-n', 'acme', '--for=condition=Ready', '--timeout=30s'])
  const ready = passed()
  const { body } = await askUntil(await gatewayAddress(), 'hello.acme.test', ({ status }) => status === 200, 20_000)
  const answered = passed()
  console.log(`installed ${installed} s · applied ${applied} s · Ready ${ready} s · first 200 ${answered} s`)
  expect(body).toBe('Hello from acme\n')
  expect(Number(answered)).toBeLessThan(MOST_SECONDS)
})

test('atrium curl needs no address', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [ATRIUM, 'curl', 'http://hello.acme.test/'], {
    encoding: 'utf8',
  })
  expect({ status, stdout }, stderr).toEqual({ status: 0, stdout: 'Hello from acme\n' })
  expect(stderr).toMatch(/^HTTP\/1\.1 200 OK {3}via atrium-dataplane-/)
})

test('atrium curl -v says which way it went', () => {
  const { stderr } = spawnSync(process.execPath, [ATRIUM, 'curl', '-v', 'http://hello.acme.test/'], {
    encoding: 'utf8',
  })
  expect(stderr).toMatch(/\ntenant +acme\nroute +acme\/hello, rule 0\nbackend +acme\/hello:80 at [0-9.]+:8080\n/)
})

test('nothing restarted, and every pod says that it is ready', () => {
  for (const component of ['controller', 'dataplane'] as const) {
    const pods = podsOf(component)
    expect(pods).toHaveLength(2)
    for (const { status } of pods) {
      expect(status.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('True')
      expect(status.containerStatuses?.map(({ restartCount }) => restartCount)).toEqual([0])
    }
  }
})

test('kubectl get says what is served', () => {
  const route = get<{
    status: { observedGeneration: number; conditions: { type: string; status: string; reason: string }[] }
  }>('route/hello', '-n', 'acme')
  expect(route.status.observedGeneration).toBe(1)
  expect(route.status.conditions).toContainEqual(
    expect.objectContaining({ type: 'Ready', status: 'True', reason: 'Serving' }),
  )
  const tenant = get<{ status: { conditions: { type: string; status: string }[] } }>('tenant/acme')
  expect(tenant.status.conditions).toContainEqual(expect.objectContaining({ type: 'Ready', status: 'True' }))
  const [heads, row] = kubectl(['get', 'route', '-n', 'acme']).split('\n')
  expect(heads).toMatch(/^NAME +HOSTS .*READY +REASON/)
  expect(row).toMatch(/^hello +hello\.acme\.test .*True +Serving/)
})

test('the admission policies type-check against the kinds they guard', () => {
  const { items } = get<{
    items: { metadata: { name: string }; status?: { typeChecking?: { expressionWarnings?: unknown[] } } }[]
  }>('validatingadmissionpolicies')
  const own = items.filter(({ metadata }) => metadata.name.startsWith('atrium-'))
  expect(own).toHaveLength(2)
  for (const { metadata, status } of own)
    expect(status?.typeChecking?.expressionWarnings ?? [], metadata.name).toEqual([])
})

test('the dataplane has no rights at the API server', () => {
  const account = `system:serviceaccount:${NAMESPACE}:atrium-dataplane`
  for (const [verb, what] of [
    ['get', 'secrets'],
    ['list', 'pods'],
    ['get', 'configmaps'],
    ['list', 'tenants.atrium.dev'],
  ]) {
    const { stdout } = tryKubectl(['auth', 'can-i', verb ?? '', what ?? '', '-A', `--as=${account}`])
    expect(stdout.trim(), `${verb} ${what}`).toBe('no')
  }
})

test('the README says the same commands', () => {
  const readme = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8')
  for (const command of [
    'helm install atrium',
    'kubectl apply -f examples/hello.yaml',
    'kubectl wait route/hello',
    'npx atrium curl',
  ]) {
    expect(readme).toContain(command)
  }
})

// The verbs that serve, as real commands on free ports: live edits, signals, taken ports, explain of a running gateway,
// and a few seconds of the demo without a terminal.
import { createServer, get, type IncomingMessage, type Server } from 'node:http'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { atrium, folderOf, type Running, startAtrium } from '../test/support/command.ts'

const FREE = ['--port', '0', '--tls-port', '0', '--admin-port', '0']
let backend: Server
let backendPort = 0
const cleanups: (() => Promise<unknown> | unknown)[] = []

beforeAll(async () => {
  backend = createServer((request, response) => response.end(`backend got ${request.url}`))
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve))
  backendPort = (backend.address() as AddressInfo).port
})

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

afterAll(() => {
  backend.closeAllConnections()
  backend.close()
})

const route = (host: string) => `apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: acme, name: web }
spec:
  hostnames: [${host}]
  rules:
    - backendRefs: [{ name: web, port: 80 }]
`

async function world(): Promise<string> {
  const folder = await folderOf({
    'world.yaml': `apiVersion: atrium.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec: { namespaces: [acme], hostnames: ["*.acme.test"] }
---
apiVersion: v1
kind: Service
metadata: { namespace: acme, name: web }
spec: { ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { namespace: acme, name: web-1, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ port: ${backendPort} }]
endpoints: [{ addresses: [127.0.0.1] }]
`,
    'route.yaml': route('one.acme.test'),
  })
  cleanups.push(() => folder.remove())
  return folder.path
}

interface Ports {
  readonly http: number
  readonly admin: number
}

async function serve(folder: string, ...flags: string[]): Promise<Running & { readonly ports: Ports }> {
  const running = startAtrium([
    'standalone',
    '--config',
    folder,
    '--allow-endpoints',
    '127.0.0.0/8',
    '--workers',
    '1',
    ...FREE,
    ...flags,
  ])
  cleanups.push(() => {
    running.child.kill('SIGKILL')
    return running.finished
  })
  const line = await running.said('admin http://127.0.0.1:')
  const [, http, admin] = /http (\d+) .*127\.0\.0\.1:(\d+)/.exec(line) ?? []
  return { ...running, ports: { http: Number(http), admin: Number(admin) } }
}

function ask(
  port: number,
  host: string,
): Promise<{ status: number; body: string; headers: IncomingMessage['headers'] }> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/x', headers: { host }, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }))
    }).on('error', reject)
  })
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error('it never became so')
}

describe('atrium standalone', () => {
  it('serves, takes edits live, keeps what is good, and says what is not', async () => {
    const folder = await world()
    const running = await serve(folder)
    const { http } = running.ports
    expect(await ask(http, 'one.acme.test')).toMatchObject({ status: 200, body: 'backend got /x' })
    expect((await ask(http, 'two.acme.test')).headers['x-atrium-error']).toBe('NoHost')

    await writeFile(join(folder, 'route.yaml'), route('two.acme.test'))
    await eventually(async () => (await ask(http, 'two.acme.test')).status === 200)

    await writeFile(join(folder, 'route.yaml'), route('shop.globex.test'))
    expect(await running.said('HostNotOwned')).toMatch(/route\.yaml:5:15 {2}Route acme\/web/)
    expect((await ask(http, 'two.acme.test')).status).toBe(200)

    await writeFile(join(folder, 'route.yaml'), 'kind: [Route\n')
    expect(await running.said('unreadable')).toMatch(/route\.yaml:\d+:\d+/)
    expect((await ask(http, 'two.acme.test')).status).toBe(200)
  })

  it('answers explain at its admin port', async () => {
    const { ports } = await serve(await world())
    const server = ['--server', `http://127.0.0.1:${ports.admin}`]
    const { code, out } = await atrium([
      'explain',
      ...server,
      '--url',
      'http://one.acme.test/a',
      '--expect',
      'backend=web',
    ])
    expect(code).toBe(0)
    expect(out).toContain('live, snapshot')
    expect(out).toContain('Result   proxied to Service web')
  })

  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('ends with %s in order, exit code %i', async (signal, code) => {
    const { child, finished } = await serve(await world(), '--drain', '1s')
    child.kill(signal)
    const ended = await finished
    expect(ended.code).toBe(code)
    expect(ended.out).toBe('')
  })

  it('writes the access log to stdout and nothing else', async () => {
    const { child, finished, ports } = await serve(await world(), '--drain', '1s')
    await ask(ports.http, 'one.acme.test')
    child.kill('SIGTERM')
    const { out } = await finished
    const lines = out.trimEnd().split('\n')
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ 'atrium.tenant': 'acme', 'http.response.status_code': 200 })
  })

  it('says which flag takes another port where one is in use, and exits 2', async () => {
    const other = createTcpServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    cleanups.push(() => new Promise((resolve) => other.close(resolve)))
    const { port } = other.address() as AddressInfo
    const taken = ['--port', '0', '--tls-port', 'off', '--admin-port', String(port)]
    const { code, err } = await atrium(['standalone', '--config', await world(), ...taken])
    expect(code).toBe(2)
    expect(err).toContain(`port ${port} is in use by another process; --admin-port takes another.`)
  })

  it('refuses a default certificate that is none', async () => {
    const folder = await world()
    const { code, err } = await atrium([
      'standalone',
      '--config',
      folder,
      ...FREE,
      '--default-certificate',
      join(folder, 'world.yaml'),
    ])
    expect(code).toBe(2)
    expect(err).toContain('--default-certificate')
  })
})

describe('atrium demo', () => {
  it('prints JSON lines without a terminal and ends when its time is over', async () => {
    const { code, out } = await atrium(['demo', ...FREE, '--workers', '1', '--for', '4s'])
    expect(code).toBe(0)
    const lines = out.split('\n')
    expect(lines[0]).toMatch(/^Atrium \d+\.\d+\.\d+ {2}ready in [\d.]+ s/)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80)
    expect(JSON.parse(lines.at(-2) ?? '')).toMatchObject({ result: 'quiet' })
  })

  it('does not call few samples a pass', async () => {
    const { code, out } = await atrium(['demo', ...FREE, '--workers', '1', '--for', '4s', '--noisy'])
    expect(code).toBe(1)
    expect(out).toContain('"event":"noisy"')
    expect(out).toMatch(/"result":"(undecided|broken)"/)
  })

  it('leaves nobody behind on Ctrl-C', async () => {
    const running = startAtrium(['demo', ...FREE, '--workers', '1'])
    cleanups.push(() => running.child.kill('SIGKILL'))
    await running.said('curl -H')
    running.child.kill('SIGINT')
    expect((await running.finished).code).toBe(130)
  })
})

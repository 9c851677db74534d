// A folder of three tenants under a running load: does each request reach what it should, is an edit live in time, does
// a foreign claim or a broken file harm nobody. Prints one JSON object with the figures; exit 1 where something is wrong.
// usage: node test/long/live-edits.ts [--rate 2000] [--seconds 20]
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { rate: { type: 'string', default: '2000' }, seconds: { type: 'string', default: '20' } },
})
const rate = Number(values.rate)
const seconds = Number(values.seconds)
const wrong: string[] = []
const check = (what: string, holds: boolean): void => {
  if (!holds) wrong.push(what)
}

const folder = mkdtempSync(join(tmpdir(), 'atrium-live-'))
const config = join(folder, 'config')
mkdirSync(config)
const put = (name: string, content: string): void => {
  writeFileSync(join(folder, 'next'), content)
  renameSync(join(folder, 'next'), join(config, name))
}

const backends = await Promise.all(
  ['bakery', 'bakery-admin', 'florist', 'cinema'].map(
    (name) =>
      new Promise<{ name: string; port: number; server: http.Server }>((resolve) => {
        const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
          response.setHeader('x-path', request.url ?? '')
          response.end(name)
        })
        server.listen(0, '127.0.0.1', () => resolve({ name, port: (server.address() as AddressInfo).port, server }))
      }),
  ),
)
const portOf = (name: string): number => backends.find((each) => each.name === name)?.port ?? 0

const service = (namespace: string, name: string): string => `---
{ apiVersion: v1, kind: Service, metadata: { namespace: ${namespace}, name: ${name} }, spec: { ports: [{ name: web, port: 8000, targetPort: 8000 }] } }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  namespace: ${namespace}
  name: ${name}-abc
  labels:
    kubernetes.io/service-name: ${name}
addressType: IPv4
ports:
  - name: web
    port: ${portOf(name)}
endpoints:
  - addresses: ["127.0.0.1"]
`
const tenant = (name: string, hosts: string, more = ''): string => `---
apiVersion: atrium.dev/v1alpha1
kind: Tenant
metadata: { name: ${name} }
spec:
  namespaces: [${name}-ns]
  hostnames: ${hosts}
${more}`
const bakeryRoute = (version: number): string => `---
apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: bakery-ns, name: shop }
spec:
  hostnames: [bread.bakery.test]
  rules:
    - name: admin
      matches: [{ path: { value: /admin } }]
      filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /internal } } }]
      backendRefs: [{ name: bakery-admin, port: 8000 }]
    - name: all
      filters:
        - type: ResponseHeaderModifier
          responseHeaderModifier: { set: [{ name: x-version, value: "${version}" }] }
      backendRefs: [{ name: bakery, port: web }]
`
put(
  'bakery.yaml',
  tenant('bakery', '["*.bakery.test"]') + service('bakery-ns', 'bakery') + service('bakery-ns', 'bakery-admin'),
)
put('bakery-route.yaml', bakeryRoute(0))
put(
  'florist.yaml',
  `${tenant('florist', '[roses.test]', '  limits: { requests: { rate: 10/s, burst: 5 } }\n')}${service('florist-ns', 'florist')}---
apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: florist-ns, name: roses }
spec: { hostnames: [roses.test], rules: [{ backendRefs: [{ name: florist, port: 8000 }] }] }
`,
)
put(
  'cinema.yaml',
  `${tenant('cinema', '[films.test]')}${service('cinema-ns', 'cinema')}---
apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: cinema-ns, name: films }
spec: { hostnames: [films.test], rules: [{ matches: [{ path: { type: Exact, value: /now } }], backendRefs: [{ name: cinema, port: 8000 }] }] }
`,
)

const gateway = spawn(
  process.execPath,
  [
    join(import.meta.dirname, '../../bin/atrium.ts'),
    'standalone',
    '--config',
    config,
    '--port',
    '0',
    '--tls-port',
    '0',
    '--admin-port',
    '0',
    '--allow-endpoints',
    '127.0.0.0/8',
    '--access-log',
    'off',
    '--color',
    'never',
  ],
  { stdio: ['ignore', 'pipe', 'pipe'] },
)
let said = ''
const listen = (chunk: Buffer): void => {
  said += String(chunk)
}
gateway.stdout.on('data', listen)
gateway.stderr.on('data', listen)
const untilSaid = async (pattern: RegExp): Promise<RegExpExecArray> => {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const found = pattern.exec(said)
    if (found !== null) return found
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`never said ${pattern}: ${said}`)
}
const port = Number((await untilSaid(/^http (\d+)/m))[1])
const admin = (await untilSaid(/admin (http:\/\/\S+)/))[1] ?? ''

interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: http.IncomingHttpHeaders
}
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })
const ask = (host: string, path: string): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, path, headers: { host }, agent }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: String(Buffer.concat(parts)), headers: response.headers }),
      )
    })
    request.on('error', reject)
    request.end()
  })
const hashes = async (): Promise<Record<string, string>> => {
  const status = (await (await fetch(`${admin}/status`)).json()) as { tenants: { tenant: string; shardHash: string }[] }
  return Object.fromEntries(
    status.tenants.filter((each) => each.tenant !== 'thief').map((each) => [each.tenant, each.shardHash]),
  )
}

const shop = await ask('bread.bakery.test', '/loaf?x=1')
check(
  'host and path reach the right backend',
  shop.status === 200 && shop.body === 'bakery' && shop.headers['x-path'] === '/loaf?x=1',
)
const inside = await ask('bread.bakery.test', '/admin/x%2Fy?z')
check(
  'a rewritten prefix reaches the other backend',
  inside.body === 'bakery-admin' && inside.headers['x-path'] === '/internal/x%2Fy?z',
)
check(
  'exact path',
  (await ask('films.test', '/now')).body === 'cinema' && (await ask('films.test', '/now/x')).status === 404,
)
const unknown = await ask('nobody.test', '/')
check('unknown host is 404 NoHost', unknown.status === 404 && unknown.headers['x-atrium-error'] === 'NoHost')
const flood = await Promise.all(Array.from({ length: 12 }, () => ask('roses.test', '/')))
const limited = flood.filter((each) => each.status === 429)
check(
  'over the limit is 429 with Retry-After',
  limited.length >= 5 && limited.every((each) => Number(each.headers['retry-after']) >= 1),
)

const before = await hashes()
put(
  'thief.yaml',
  `${tenant('thief', '[thief.test]')}---
apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: thief-ns, name: grab }
spec:
  hostnames: [films.test]
  rules: [{ backendRefs: [{ name: nothing, port: 80 }] }]
`,
)
const refusal = await untilSaid(/thief\.yaml:(\d+):(\d+).*HostNotOwned/)
const after = await hashes()
check(
  'other shards keep their hashes',
  JSON.stringify(before) === JSON.stringify(after) && Object.keys(before).length === 3,
)
check('the host stays with its owner', (await ask('films.test', '/now')).body === 'cinema')

let sent = 0
let failed = 0
const began = performance.now()
const pending = new Set<Promise<unknown>>()
const load = setInterval(() => {
  while (sent < ((performance.now() - began) / 1000) * rate) {
    sent += 1
    const one = ask('bread.bakery.test', `/n${sent}`).then(
      (answer) => {
        if (answer.status !== 200 || answer.body !== 'bakery') failed += 1
      },
      () => {
        failed += 1
      },
    )
    pending.add(one)
    void one.finally(() => pending.delete(one))
  }
}, 4)
const times: number[] = []
const tracer = new http.Agent({ keepAlive: true, maxSockets: 1 })
const versionNow = (): Promise<string> =>
  new Promise((resolve, reject) => {
    http
      .get(
        { host: '127.0.0.1', port, path: '/', headers: { host: 'bread.bakery.test' }, agent: tracer },
        (response) => {
          response.resume()
          response.on('end', () => resolve(String(response.headers['x-version'])))
        },
      )
      .on('error', reject)
  })
let version = 0
while (performance.now() - began < seconds * 1000) {
  version += 1
  put('bakery-route.yaml', bakeryRoute(version))
  const edited = performance.now()
  while ((await versionNow()) !== String(version)) {
    if (performance.now() - edited > 5_000) {
      check(`edit ${version} never came`, false)
      break
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  times.push(performance.now() - edited)
  await new Promise((resolve) => setTimeout(resolve, 200))
}
put('bakery-route.yaml', bakeryRoute(9999).replace('rules:', 'rules: [[['))
const broken = await untilSaid(/bakery-route\.yaml:(\d+):(\d+)/)
check('the old state serves after a broken edit', (await versionNow()) === String(version))
clearInterval(load)
await Promise.all(pending)
const took = (performance.now() - began) / 1000
times.sort((a, b) => a - b)
const at = (share: number): number =>
  Number((times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0).toFixed(1))
check('no request of the load failed', failed === 0)
agent.destroy()
tracer.destroy()
gateway.kill('SIGTERM')
await new Promise((resolve) => gateway.once('exit', resolve))
for (const each of backends) each.server.close()
rmSync(folder, { recursive: true, force: true })
console.log(
  JSON.stringify({
    rate: Math.round(sent / took),
    sent,
    failed,
    edits: times.length,
    editLiveMs: { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) },
    over100ms: times.filter((time) => time > 100).length,
    refusal: refusal[0].slice(0, 120),
    broken: broken[0],
    wrong,
  }),
)
process.exitCode = wrong.length > 0 ? 1 : 0

// 60 seconds of load on one tenant while everything around it moves: another tenant's routes are edited every 100 ms,
// a certificate is rotated every 2 s, a backend is stopped and started every second. Counts what failed and why.
// usage: node test/long/churn.ts [--seconds 60] [--signal SIGTERM|SIGKILL] [--rate 500]; exit 1 where the rule is broken
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeCa, makeLeaf } from '../support/certificates.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    signal: { type: 'string', default: 'SIGTERM' },
    rate: { type: 'string', default: '500' },
  },
})
const seconds = Number(values.seconds)
const rate = Number(values.rate)
const signal = values.signal === 'SIGKILL' ? 'SIGKILL' : 'SIGTERM'

const folder = mkdtempSync(join(tmpdir(), 'atrium-churn-'))
const config = join(folder, 'config')
mkdirSync(config)
const ports = await freePorts(6)
const [portA = 0, portB = 0, portC = 0, httpPort = 0, tlsPort = 0, adminPort = 0] = ports

/** Replaces a file in one step, as editors do. */
function put(name: string, content: string): void {
  writeFileSync(join(folder, `.${name}.tmp`), content)
  renameSync(join(folder, `.${name}.tmp`), join(config, name))
}

function slice(namespace: string, service: string, endpoints: readonly number[]): string {
  return endpoints
    .map(
      (port) => `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { namespace: ${namespace}, name: ${service}-${port}, labels: { kubernetes.io/service-name: ${service} } }
addressType: IPv4
ports: [{ name: http, port: ${port} }]
endpoints: [{ addresses: [127.0.0.1], conditions: { ready: true } }]
`,
    )
    .join('')
}

put(
  'victim.yaml',
  `apiVersion: atrium.dev/v1alpha1
kind: Tenant
metadata: { name: victim }
spec: { namespaces: [victim], hostnames: [victim.test] }
---
apiVersion: v1
kind: Service
metadata: { namespace: victim, name: app }
spec: { ports: [{ name: http, port: 80 }] }
${slice('victim', 'app', [portA, portB, portC])}---
apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: victim, name: app }
spec:
  hostnames: [victim.test]
  tls: { certificateRefs: [{ name: cert }], plainHTTP: Serve }
  rules: [{ backendRefs: [{ name: app, port: 80 }], healthCheck: { passive: { ejectFor: 1s } } }]
`,
)
const ca = await makeCa('churn')
async function rotate(): Promise<void> {
  const leaf = await makeLeaf(ca, { names: ['victim.test'], notAfter: new Date(Date.now() + 90 * 86_400_000) })
  put(
    'certificate.yaml',
    `apiVersion: v1
kind: Secret
metadata: { namespace: victim, name: cert }
type: kubernetes.io/tls
data: { tls.crt: ${Buffer.from(leaf.certPem).toString('base64')}, tls.key: ${Buffer.from(leaf.keyPem).toString('base64')} }
`,
  )
}
function editNeighbour(round: number): void {
  put(
    'neighbour.yaml',
    `apiVersion: atrium.dev/v1alpha1
kind: Tenant
metadata: { name: neighbour }
spec: { namespaces: [neighbour], hostnames: ["*.neighbour.test"] }
---
apiVersion: v1
kind: Service
metadata: { namespace: neighbour, name: app }
spec: { ports: [{ name: http, port: 80 }] }
${slice('neighbour', 'app', [portA])}---
apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: neighbour, name: app }
spec:
  hostnames: ["h${round % 7}.neighbour.test"]
  rules: [{ matches: [{ path: { value: /r${round} } }], backendRefs: [{ name: app, port: 80 }] }]
`,
  )
}
await rotate()
editNeighbour(0)

const backendLog = join(folder, 'seen.log')
writeFileSync(backendLog, '')
const backends = new Map<number, ChildProcess>()
function startBackend(port: number): Promise<void> {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, '../support/churn-backend.mjs'), String(port), backendLog, String(port)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  backends.set(port, child)
  return new Promise((resolve) => child.stdout?.once('data', () => resolve()))
}
await Promise.all([portA, portB, portC].map(startBackend))

const gateway = spawn(
  process.execPath,
  [
    join(import.meta.dirname, '../../bin/atrium.ts'),
    'standalone',
    '--config',
    config,
    '--port',
    String(httpPort),
    '--tls-port',
    String(tlsPort),
    '--admin-port',
    String(adminPort),
    '--allow-endpoints',
    '127.0.0.0/8',
    '--access-log',
    'off',
  ],
  { stdio: ['ignore', 'ignore', 'inherit'] },
)
await untilReady()

interface Tally {
  sent: number
  ok: number
  failed: Map<string, number>
  violations: string[]
}
const tally: Tally = { sent: 0, ok: 0, failed: new Map(), violations: [] }
const plain = new http.Agent({ keepAlive: true, maxSockets: 128 })
const secure = new https.Agent({ keepAlive: true, maxSockets: 64, ca: ca.pem, maxCachedSessions: 0 })

function probe(number: number): Promise<void> {
  const id = `p${number}-${String(number % 100).padStart(2, '0')}`
  const post = number % 5 === 0
  const tls = number % 4 === 0
  tally.sent += 1
  return new Promise((resolve) => {
    const options = {
      host: '127.0.0.1',
      method: post ? 'POST' : 'GET',
      path: `/${id}`,
      headers: { host: 'victim.test', 'x-probe': id, ...(post ? { 'content-length': '2000' } : {}) },
    }
    const request = tls
      ? https.request({ ...options, port: tlsPort, agent: secure, servername: 'victim.test' })
      : http.request({ ...options, port: httpPort, agent: plain })
    let begun = false
    let settled = false
    const fail = (what: string): void => {
      if (settled) return
      settled = true
      const kind = `${post ? 'POST' : 'GET'} ${what}`
      tally.failed.set(kind, (tally.failed.get(kind) ?? 0) + 1)
      const allowed = signal === 'SIGKILL' && (what === 'cut body' || (post && what === 'status 502'))
      if (!allowed) tally.violations.push(`${id} ${kind}`)
      resolve()
    }
    request.on('response', (response) => {
      begun = true
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () => {
        const body = Buffer.concat(parts).toString()
        if (settled) return
        if (response.statusCode !== 200) return fail(`status ${response.statusCode}`)
        if (!body.startsWith(`${id}:${post ? 2000 : 0}:`)) return fail('wrong body')
        settled = true
        tally.ok += 1
        resolve()
      })
      response.on('error', () => fail('cut body'))
    })
    request.on('error', (error) => fail(begun ? 'cut body' : `no answer (${error.message})`))
    request.end(post ? Buffer.alloc(2000, 97) : undefined)
  })
}

let turn = 0
let moving = true
let bounces = 0
/** One backend at a time, at most one a second: with the next one down as well there would be nobody left to ask. */
async function bounceForever(): Promise<void> {
  while (moving) {
    const next = performance.now() + 1_000
    await bounce()
    bounces += 1
    await new Promise((resolve) => setTimeout(resolve, Math.max(50, next - performance.now())))
  }
}
async function bounce(): Promise<void> {
  const port = [portA, portB, portC][turn++ % 3] ?? portA
  const child = backends.get(port)
  if (child === undefined) return
  child.kill(signal)
  await new Promise((resolve) => child.once('exit', resolve))
  await startBackend(port)
}
const bouncing = bounceForever()
const began = performance.now()
const pending = new Set<Promise<void>>()
let number = 0
let round = 0
const movers = [setInterval(() => editNeighbour(++round), 100), setInterval(() => void rotate(), 2_000)]
await new Promise<void>((resolve) => {
  const tick = setInterval(() => {
    const elapsed = performance.now() - began
    while (number < (elapsed / 1000) * rate && elapsed < seconds * 1000) {
      const one = probe(number++)
      pending.add(one)
      void one.finally(() => pending.delete(one))
    }
    if (elapsed >= seconds * 1000) {
      clearInterval(tick)
      resolve()
    }
  }, 5)
})
for (const mover of movers) clearInterval(mover)
moving = false
await bouncing
await Promise.all(pending)

const posts = new Map<string, number>()
for (const line of readFileSync(backendLog, 'utf8').split('\n')) {
  const [method, id] = line.split(' ')
  if (method === 'POST' && id !== undefined) posts.set(id, (posts.get(id) ?? 0) + 1)
}
const twice = [...posts].filter(([, count]) => count > 1)
gateway.kill('SIGTERM')
for (const child of backends.values()) child.kill('SIGKILL')
plain.destroy()
secure.destroy()
await new Promise((resolve) => gateway.once('exit', resolve))
rmSync(folder, { recursive: true, force: true })

console.log(
  JSON.stringify({
    signal,
    seconds,
    edits: round,
    bounces,
    sent: tally.sent,
    ok: tally.ok,
    failed: Object.fromEntries(tally.failed),
    postsSeen: posts.size,
    postsSentTwice: twice.length,
    violations: tally.violations.slice(0, 20),
    violationCount: tally.violations.length,
  }),
)
process.exitCode = tally.violations.length > 0 || twice.length > 0 ? 1 : 0

async function untilReady(): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const ready = await fetch(`http://127.0.0.1:${adminPort}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    )
    if (ready) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('the gateway did not become ready')
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<net.Server>((resolve) => {
          const server = net.createServer().listen(0, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  const found = servers.map((server) => (server.address() as net.AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return found
}

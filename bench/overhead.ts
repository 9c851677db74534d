// CPU per request of the whole dataplane (limits, access log and metrics on) beside nginx with the same work switched
// on (JSON log, request and connection limits, timeouts), in alternating rounds of one run. Quote ratios, never absolutes.
// usage: node bench/overhead.ts [--rounds 9] [--seconds 3] [--connections 64]; needs nginx, wrk and taskset (Debian packages)
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '9' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '64' },
    'young-generation': { type: 'string', default: '' },
  },
})
for (const tool of ['nginx', 'wrk', 'taskset']) {
  if (spawnSync('which', [tool]).status !== 0) {
    console.error(`${tool} is missing; on Debian: apt-get install nginx-light wrk util-linux`)
    process.exit(2)
  }
}
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const folder = mkdtempSync(join(tmpdir(), 'atrium-overhead-'))
// Started as root, nginx reads its files as somebody else.
chmodSync(folder, 0o755)
const [backendPort = 0, nginxPort = 0, httpPort = 0, tlsPort = 0, adminPort = 0] = await freePorts(5)

writeFileSync(join(folder, 'body'), 'x'.repeat(1024))
const common = 'worker_processes 1; daemon off; pid PID; error_log ERR; events { worker_connections 9000; }'
const backendConf = `${common.replace('PID', join(folder, 'b.pid')).replace('ERR', join(folder, 'b.err'))}
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; server { listen 127.0.0.1:${backendPort} backlog=4096; location / { root ${folder}; try_files /body =404; } } }`
const proxyConf = `${common.replace('PID', join(folder, 'p.pid')).replace('ERR', join(folder, 'p.err'))}
http {
  log_format j escape=json '{"time":"$time_iso8601","host":"$host","path":"$uri","query":"$args","method":"$request_method","status":$status,"in":$request_length,"out":$body_bytes_sent,"duration":$request_time,"upstream":"$upstream_addr","upstream_time":"$upstream_response_time","client":"$remote_addr","id":"$request_id"}';
  access_log ${join(folder, 'nginx.log')} j buffer=64k flush=1s;
  limit_req_zone $host zone=r:10m rate=1000000r/s; limit_conn_zone $host zone=c:10m;
  keepalive_requests 1000000000; keepalive_timeout 600s;
  upstream app { server 127.0.0.1:${backendPort}; keepalive 512; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${nginxPort} backlog=4096; client_header_timeout 10s; client_body_timeout 30s; send_timeout 30s;
    location / {
      limit_req zone=r burst=1000000 nodelay; limit_conn c 60000;
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Request-Id $request_id;
      proxy_connect_timeout 1s; proxy_read_timeout 30s;
    }
  }
}`
writeFileSync(join(folder, 'backend.conf'), backendConf)
writeFileSync(join(folder, 'proxy.conf'), proxyConf)
const config = join(folder, 'config')
mkdirSync(config)
writeFileSync(
  join(config, 'all.yaml'),
  `apiVersion: atrium.dev/v1alpha1
kind: Tenant
metadata: { name: bench }
spec:
  namespaces: [bench]
  hostnames: [bench.test]
  limits: { requests: { rate: 1000000/s, burst: 1000000 }, concurrency: 100000, connections: 100000 }
---
apiVersion: atrium.dev/v1alpha1
kind: Policy
metadata: { namespace: bench, name: edge }
spec: { access: { ip: { allow: [127.0.0.0/8] } } }
---
apiVersion: v1
kind: Service
metadata: { namespace: bench, name: app }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { namespace: bench, name: app-1, labels: { kubernetes.io/service-name: app } }
addressType: IPv4
ports: [{ name: http, port: ${backendPort} }]
endpoints: [{ addresses: [127.0.0.1], conditions: { ready: true } }]
---
apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: bench, name: app }
spec: { hostnames: [bench.test], rules: [{ backendRefs: [{ name: app, port: 80 }] }] }
`,
)

const started: ChildProcess[] = []
function start(cpu: number, command: string, args: readonly string[]): ChildProcess {
  const child = spawn('taskset', ['-c', String(cpu), command, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  started.push(child)
  return child
}
start(1, 'nginx', ['-c', join(folder, 'backend.conf'), '-p', folder])
const nginx = start(0, 'nginx', ['-c', join(folder, 'proxy.conf'), '-p', folder])
const atrium = start(0, process.execPath, [
  ...(values['young-generation'] === '' ? [] : [`--max-semi-space-size=${values['young-generation']}`]),
  join(import.meta.dirname, '../bin/atrium.ts'),
  'standalone',
  '--config',
  config,
  '--workers',
  '1',
  '--port',
  String(httpPort),
  '--tls-port',
  String(tlsPort),
  '--admin-port',
  String(adminPort),
  '--allow-endpoints',
  '127.0.0.0/8',
  '--access-log',
  join(folder, 'atrium.log'),
  '--quiet',
])
try {
  await answers(nginxPort)
  await answers(httpPort)
  const targets = [
    { name: 'nginx', port: nginxPort, pid: nginx.pid ?? 0 },
    { name: 'atrium', port: httpPort, pid: atrium.pid ?? 0 },
  ]
  for (const target of targets) load(target.port, 2)
  const rows: Record<string, { cost: number; busy: number }[]> = { nginx: [], atrium: [] }
  for (let round = 0; round < rounds; round++) {
    for (const target of round % 2 === 0 ? targets : [...targets].reverse()) {
      const before = ticks(target.pid)
      const began = performance.now()
      const requests = load(target.port, seconds)
      const used = ((ticks(target.pid) - before) * 1e6) / 100
      rows[target.name]?.push({ cost: used / requests, busy: used / 1e3 / (performance.now() - began) })
    }
  }
  const ratios = (rows['atrium'] ?? []).map((each, index) => each.cost / (rows['nginx']?.[index]?.cost ?? Number.NaN))
  for (const [name, each] of Object.entries(rows)) {
    console.log(
      `${name.padEnd(7)} ${median(each.map((row) => row.cost))
        .toFixed(1)
        .padStart(
          7,
        )} us/request   busy ${(100 * median(each.map((row) => row.busy))).toFixed(0)} %   ${each.map((row) => row.cost.toFixed(1)).join(' ')}`,
    )
  }
  console.log(
    `ratio   ${median(ratios).toFixed(2)} (median of ${ratios.length} paired rounds, ${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`,
  )
} finally {
  for (const child of started) child.kill('SIGTERM')
  await Promise.all(
    started.map((child) =>
      child.exitCode === null ? new Promise((resolve) => child.once('exit', resolve)) : undefined,
    ),
  )
  rmSync(folder, { recursive: true, force: true })
}

/** Runs wrk on CPU 1 and returns the number of requests that were answered. */
function load(port: number, duration: number): number {
  const run = spawnSync(
    'taskset',
    [
      '-c',
      '1',
      'wrk',
      '-t1',
      `-c${values.connections}`,
      `-d${duration}s`,
      '-H',
      'Host: bench.test',
      `http://127.0.0.1:${port}/a/b?c=d`,
    ],
    { encoding: 'utf8' },
  )
  const failed = /Non-2xx.*: (\d+)|Socket errors: (.*)/.exec(run.stdout)
  if (failed !== null) console.error(`port ${port}: ${failed[0]}`)
  return Number(/(\d+) requests in/.exec(run.stdout)?.[1] ?? Number.NaN)
}

/** utime + stime of a process and its children, in clock ticks. */
function ticks(pid: number): number {
  let sum = 0
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const fields = readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
      if (Number(entry) === pid || Number(fields[1]) === pid) sum += Number(fields[11]) + Number(fields[12])
    } catch {
      // The process ended between the two reads.
    }
  }
  return sum
}

async function answers(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const good = spawnSync(
      'curl',
      ['-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'Host: bench.test', `http://127.0.0.1:${port}/`],
      { encoding: 'utf8' },
    )
    if (good.stdout === '200') return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`nothing answers 200 on port ${port}`)
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
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

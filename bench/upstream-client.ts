// CPU per request of our upstream client beside undici and node:http's Agent: one run, one backend, alternating rounds.
// usage: node bench/upstream-client.ts [--rounds 7] [--requests 20000] [--connections 64]
// Only the ratios mean something: absolute figures move with the machine and with whoever else uses it.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { parseArgs } from 'node:util'
import { Pool } from 'undici'
import { createEndpointClient } from '../dataplane/http1/client.ts'

interface Scenario {
  readonly name: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body: Buffer | undefined
}

/** One request, answered and read to its end. */
type Send = (scenario: Scenario) => Promise<void>

const SCENARIOS: readonly Scenario[] = [
  { name: 'GET 1 KB', method: 'GET', path: '/1k', body: undefined },
  { name: 'GET 16 KB in chunks', method: 'GET', path: '/chunks', body: undefined },
  { name: 'POST 4 KB', method: 'POST', path: '/1k', body: Buffer.alloc(4096, 'b') },
]

const FIELDS = ['Host', 'backend.test', 'User-Agent', 'bench', 'Accept', '*/*', 'X-Forwarded-For', '192.0.2.7']

if (process.argv[2] === '--backend') serve()
else await compare()

/** A backend that does as little as possible: one fixed answer for each request it can see the end of. */
function serve(): void {
  const common = 'Content-Type: text/plain\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Request-Id: 0123456789abcdef\r\n'
  const small = Buffer.from(`HTTP/1.1 200 OK\r\n${common}Content-Length: 1024\r\n\r\n${'a'.repeat(1024)}`)
  const chunk = `1000\r\n${'a'.repeat(4096)}\r\n`
  const chunks = Buffer.from(
    `HTTP/1.1 200 OK\r\n${common}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(4)}0\r\n\r\n`,
  )
  const server = net.createServer({ noDelay: true }, (socket) => {
    let text = ''
    socket.on('error', () => {})
    socket.on('data', (data) => {
      text += data.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end === -1) return
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
      if (text.length < end + 4 + length) return
      socket.write(text.includes('/chunks') ? chunks : small)
      text = ''
    })
  })
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as net.AddressInfo).port))
}

async function compare(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '7' },
      requests: { type: 'string', default: '20000' },
      connections: { type: 'string', default: '64' },
    },
  })
  const rounds = Number(values.rounds)
  const requests = Number(values.requests)
  const connections = Number(values.connections)
  const backend = fork(new URL(import.meta.url), ['--backend'])
  const [port] = (await once(backend, 'message')) as [number]
  const ours = createEndpointClient({ address: '127.0.0.1', port })
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections, pipelining: 1 })
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections })
  const clients: Readonly<Record<string, Send>> = {
    ours: (scenario) =>
      new Promise((resolve, reject) => {
        const call = ours.send(
          {
            method: scenario.method,
            target: scenario.path,
            fields: FIELDS,
            bodyLength: scenario.body?.length ?? 0,
            websocket: false,
            expectContinue: false,
          },
          { connect: 1000, firstByte: 10_000, idle: 10_000 },
          {
            onInterim() {},
            onHead() {},
            onChunk: () => true,
            onEnd: () => resolve(),
            onTunnel() {},
            onDrain() {},
            onFailure: (failure) => reject(new Error(failure.cause)),
          },
        )
        if (scenario.body !== undefined) call.write(scenario.body)
      }),
    'undici dispatch': (scenario) =>
      new Promise((resolve, reject) => {
        pool.dispatch(
          { method: scenario.method, path: scenario.path, headers: FIELDS, body: scenario.body ?? null },
          {
            onRequestStart() {},
            onResponseStart() {},
            onResponseData() {},
            onResponseEnd: () => resolve(),
            onResponseError: (_, error) => reject(error),
          },
        )
      }),
    'node:http Agent': (scenario) =>
      new Promise((resolve, reject) => {
        const headers = scenario.body === undefined ? FIELDS : [...FIELDS, 'Content-Length', `${scenario.body.length}`]
        const request = http.request(
          { host: '127.0.0.1', port, agent, method: scenario.method, path: scenario.path, headers },
          (response) => {
            response.on('data', () => {})
            response.on('end', resolve)
          },
        )
        request.on('error', reject)
        request.end(scenario.body)
      }),
  }
  for (const scenario of SCENARIOS) {
    const costs = new Map<string, number[]>()
    for (let round = 0; round <= rounds; round += 1) {
      for (const [name, send] of Object.entries(clients)) {
        const cost = await measure(send, scenario, requests, connections)
        // The first round warms up.
        if (round > 0) costs.set(name, [...(costs.get(name) ?? []), cost])
      }
    }
    const base = median(costs.get('ours') ?? [])
    console.log(`\n${scenario.name}, ${connections} at a time, ${rounds} rounds of ${requests}`)
    for (const [name, list] of costs) {
      const value = median(list)
      const spread = `${Math.min(...list).toFixed(1)}-${Math.max(...list).toFixed(1)}`
      console.log(
        `  ${name.padEnd(16)} ${value.toFixed(1).padStart(6)} us CPU (${spread}), ${(value / base).toFixed(2)}x ours`,
      )
    }
  }
  ours.close()
  agent.destroy()
  await pool.close()
  backend.kill()
}

/** Microseconds of CPU of this process for each request. */
async function measure(send: Send, scenario: Scenario, requests: number, connections: number): Promise<number> {
  let left = requests
  const before = process.cpuUsage()
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (left > 0) {
        left -= 1
        await send(scenario)
      }
    }),
  )
  const { user, system } = process.cpuUsage(before)
  return (user + system) / requests
}

function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? Number.NaN
}

// The whole dataplane over real sockets and threads: activation, limits over workers, death and replacement, admin, log.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent, createServer, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { smallSnapshot, type SmallTenant } from '../test/support/snapshots.ts'
import { type Dataplane, type DataplaneNotice, type DataplaneOptions, startDataplane } from './main.ts'

// The product has no way to reach into a worker, so the test takes note of every thread that is started.
const spawned = vi.hoisted((): Worker[] => [])
vi.mock('node:worker_threads', async (original) => {
  const threads = await original<typeof import('node:worker_threads')>()
  class NotedWorker extends threads.Worker {
    constructor(...given: ConstructorParameters<typeof threads.Worker>) {
      super(...given)
      spawned.push(this)
    }
  }
  return { ...threads, Worker: NotedWorker }
})

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

function call(
  port: number,
  host: string,
  path = '/',
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = request(
      { host: '127.0.0.1', port, path, method, headers: { host, ...headers }, agent: false },
      (res) => {
        let body = ''
        res.setEncoding('utf8')
        res.on('data', (chunk: string) => (body += chunk))
        res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body }))
        res.on('error', reject)
      },
    )
    req.on('error', reject)
    req.end()
  })
}

let backend: Server
let backendPort = 0
const held: (() => void)[] = []
beforeAll(async () => {
  backend = createServer((req, res) => {
    if (req.url?.startsWith('/held') === true) held.push(() => res.end('held'))
    else res.end(`backend saw ${req.url}`)
  })
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve))
  backendPort = (backend.address() as AddressInfo).port
})
afterAll(async () => {
  backend.closeAllConnections()
  await new Promise((resolve) => backend.close(resolve))
})

let folder = ''
let plane: Dataplane | undefined
let notices: DataplaneNotice[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atrium-main-'))
  notices = []
})
afterEach(async () => {
  for (const release of held.splice(0)) release()
  await plane?.stop()
  spawned.length = 0
  plane = undefined
  await rm(folder, { recursive: true, force: true })
})

async function start(options: Partial<DataplaneOptions> = {}): Promise<Dataplane> {
  plane = await startDataplane({
    workers: 2,
    host: '127.0.0.1',
    port: 0,
    tlsPort: null,
    adminPort: 0,
    accessLog: join(folder, 'access.log'),
    workerHeap: 128,
    stallAfter: null,
    notice: (notice) => notices.push(notice),
    ...options,
  })
  return plane
}

function acme(change: Partial<SmallTenant> = {}): SmallTenant {
  return { tenant: 'acme', host: 'acme.test', ports: [backendPort], ...change }
}

function globex(change: Partial<SmallTenant> = {}): SmallTenant {
  return { tenant: 'globex', host: 'globex.test', ports: [backendPort], ...change }
}

describe('activation', () => {
  it('serves what is active in every worker, and changes it without a word', async () => {
    const dataplane = await start()
    const first = smallSnapshot([acme(), globex()])
    expect(await dataplane.activate(first, 1)).toEqual({
      pod: 'local',
      sequence: 1,
      version: first.version,
      endpointsRevision: first.endpointsRevision,
      refused: [],
    })
    const { http } = dataplane.ports
    for (let again = 0; again < 10; again++) {
      expect(await call(http, 'acme.test', '/a?b=1')).toMatchObject({ status: 200, body: 'backend saw /a?b=1' })
    }
    expect((await call(http, 'other.test')).status).toBe(404)
    await dataplane.activate(smallSnapshot([acme({ host: 'new.test' })]), 2)
    for (let again = 0; again < 10; again++) {
      expect((await call(http, 'acme.test')).status).toBe(404)
      expect((await call(http, 'globex.test')).status).toBe(404)
      expect((await call(http, 'new.test')).status).toBe(200)
    }
    // The same sequence or an older one changes nothing and says what is active.
    expect(await dataplane.activate(first, 2)).toMatchObject({ sequence: 2 })
    expect((await call(http, 'new.test')).status).toBe(200)
  })

  it('refuses one tenant that cannot be built, keeps its last form, and moves the others on', async () => {
    const dataplane = await start()
    await dataplane.activate(smallSnapshot([acme(), globex()]), 1)
    const broken = { policy: 'notKnown', config: {}, origins: [] }
    const answer = await dataplane.activate(
      smallSnapshot([acme({ filters: [broken] }), globex({ host: 'globex2.test' })]),
      2,
    )
    expect(answer.refused).toEqual([{ tenant: 'acme', message: expect.stringContaining('notKnown') }])
    const { http } = dataplane.ports
    expect((await call(http, 'acme.test')).status).toBe(200)
    expect((await call(http, 'globex2.test')).status).toBe(200)
    // Told again as long as it is wanted, and no longer once it is mended.
    const again = await dataplane.activate(
      smallSnapshot([acme({ filters: [broken] }), globex({ host: 'globex3.test' })]),
      3,
    )
    expect(again.refused).toHaveLength(1)
    expect((await dataplane.activate(smallSnapshot([acme(), globex()]), 4)).refused).toEqual([])
    expect(await dataplane.metricsText()).toContain(
      'atrium_shard_refusals_total{tenant="acme",reason="NotBuildable"} 1',
    )
  })

  it('keeps the limits of a tenant over edits and over all workers', async () => {
    const dataplane = await start()
    const limits = { requests: { count: 5, seconds: 3600, burst: 5 } }
    await dataplane.activate(smallSnapshot([acme({ limits })]), 1)
    const statuses: number[] = []
    for (let taken = 0; taken < 8; taken++) {
      statuses.push((await call(dataplane.ports.http, 'acme.test')).status)
      await dataplane.activate(
        smallSnapshot([acme({ limits, change: { balance: taken % 2 ? 'RoundRobin' : 'LeastConnections' } })]),
        taken + 2,
      )
    }
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429, 429])
  })

  it('never has more requests in flight than the tenant may, whatever worker they come to', async () => {
    const dataplane = await start()
    await dataplane.activate(smallSnapshot([acme({ limits: { concurrency: 3 } })]), 1)
    const { http } = dataplane.ports
    const calls = Array.from({ length: 12 }, () => call(http, 'acme.test', '/held'))
    const early = await Promise.race([
      Promise.all(calls).then(() => 'all'),
      new Promise((resolve) => {
        const look = setInterval(() => {
          if (held.length < 3) return
          clearInterval(look)
          setTimeout(() => resolve('three'), 50)
        }, 5)
      }),
    ])
    expect(early).toBe('three')
    expect(held).toHaveLength(3)
    expect((await dataplane.status()).tenants[0]?.concurrency).toBe(3)
    for (const release of held.splice(0)) release()
    const statuses = (await Promise.all(calls)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(3)
    expect(statuses.filter((status) => status === 429)).toHaveLength(9)
    await expect.poll(async () => (await dataplane.status()).tenants[0]?.concurrency).toBe(0)
  })
})

describe('a worker that dies', () => {
  it('is replaced with everything that is active; only its own requests fail, what it held is given back', async () => {
    const dataplane = await start()
    await dataplane.activate(smallSnapshot([acme({ limits: { concurrency: 4 } }), globex()]), 1)
    await dataplane.activate(smallSnapshot([acme({ limits: { concurrency: 4 } }), globex({ host: 'late.test' })]), 2)
    const { http } = dataplane.ports
    for (const kill of [
      (worker: Worker) => void worker.terminate(),
      // What a worker cannot understand it does not survive: an uncaught error, as any bug would be.
      (worker: Worker) => worker.postMessage({ version: 0 }),
    ]) {
      const alive = spawned.filter((worker) => worker.threadId > 0)
      expect(alive).toHaveLength(2)
      const calls = Array.from({ length: 4 }, () => call(http, 'acme.test', '/held'))
      const ends = calls.map((sent) =>
        sent.then(
          ({ status }) => status,
          () => 'cut',
        ),
      )
      await expect.poll(() => held.length).toBe(4)
      const before = (await dataplane.status()).workers.restarts
      const [victim] = alive
      if (victim !== undefined) kill(victim)
      await expect
        .poll(async () => (await dataplane.status()).workers)
        .toMatchObject({ restarts: before + 1, ready: 2 })
      // Requests of the other worker are still in flight, and only they are counted.
      const cut = 4 - ((await dataplane.status()).tenants[0]?.concurrency ?? 0)
      for (const release of held.splice(0)) release()
      const outcomes = await Promise.all(ends)
      expect(outcomes.filter((outcome) => outcome === 'cut')).toHaveLength(cut)
      expect(outcomes.filter((outcome) => outcome === 200)).toHaveLength(4 - cut)
      await expect
        .poll(async () => (await dataplane.status()).tenants[0])
        .toMatchObject({
          concurrency: 0,
          activeRequests: 0,
          endpoints: [{ inFlight: 0 }],
        })
      for (let again = 0; again < 20; again++) {
        expect((await call(http, 'acme.test')).status).toBe(200)
        expect((await call(http, 'late.test')).status).toBe(200)
      }
    }
    expect(notices.filter(({ type }) => type === 'WorkerDied')).toHaveLength(2)
    // Counters outlive the threads that counted.
    await expect
      .poll(() => dataplane.metricsText())
      .toMatch(/atrium_http_requests_total\{tenant="globex",code_class="2xx"\} 40\n/)
  })
})

describe('admin', () => {
  it('is ready with the first snapshot, answers only its own names, and hides keys', async () => {
    const dataplane = await start({ adminNames: ['atrium.example.com'] })
    const admin = dataplane.ports.admin ?? 0
    const get = (path: string, host = `127.0.0.1:${admin}`, headers: Record<string, string> = {}, method = 'GET') =>
      call(admin, host, path, headers, method)
    expect((await get('/healthz')).status).toBe(200)
    expect((await get('/readyz')).status).toBe(503)
    await dataplane.activate(smallSnapshot([acme({ limits: { concurrency: 10 } })]), 1)
    expect((await get('/readyz')).status).toBe(200)
    await call(dataplane.ports.http, 'acme.test', '/x')

    for (const host of ['localhost', `localhost:${admin}`, '127.0.0.1', '[::1]', '10.1.2.3:80', 'atrium.example.com']) {
      expect((await get('/status', host)).status, host).toBe(200)
    }
    for (const host of ['evil.example.com', 'localhost.evil.example.com', '127.0.0.1.nip.io', 'acme.test']) {
      for (const path of ['/status', '/metrics', '/snapshot', '/explain?url=http://acme.test/', '/healthz', '/none']) {
        expect((await get(path, host)).status, `${host} ${path}`).toBe(403)
      }
    }
    const here = `localhost:${admin}`
    expect((await get('/status', here, { origin: `http://${here}` })).status).toBe(200)
    expect((await get('/status', here, { origin: 'http://localhost:1' })).status).toBe(403)
    expect((await get('/status', here, { origin: 'null' })).status).toBe(403)
    expect((await get('/status', here, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    expect((await get('/status', here, {}, 'DELETE')).status).toBe(404)
    expect((await get('/explain', here, { 'content-type': 'text/plain' }, 'POST')).status).toBe(415)

    const metrics = await get('/metrics')
    expect(metrics.headers['content-type']).toContain('version=0.0.4')
    expect(metrics.body).toMatch(/atrium_http_requests_total\{tenant="acme",code_class="2xx"\} 1/)
    const open = await get('/metrics', here, { accept: 'application/openmetrics-text' })
    expect(open.body.endsWith('# EOF\n')).toBe(true)
    expect(JSON.parse((await get('/status')).body)).toMatchObject({ ready: true, workers: { ready: 2, all: 2 } })
    const snapshot = JSON.parse((await get('/snapshot')).body)
    expect(snapshot.shards[0].tenant).toBe('acme')
    const explained = JSON.parse((await get('/explain?url=http://acme.test/x&header=a:b')).body)
    expect(explained).toMatchObject({ tenant: 'acme', decision: 'Proxied' })
    expect((await get('/explain')).status).toBe(400)
  })
})

describe('access log and drain', () => {
  it('has a line for every request after a drain, and lets what runs finish', async () => {
    const dataplane = await start()
    await dataplane.activate(smallSnapshot([acme()]), 1)
    const { http, admin } = dataplane.ports
    for (let sent = 0; sent < 20; sent++) await call(http, 'acme.test', `/n${sent}?token=hidden-${sent}&page=${sent}`)
    const running = call(http, 'acme.test', '/held')
    await expect.poll(() => held.length).toBe(1)
    const drained = dataplane.drain({ unreadyFor: 50, timeout: 5_000 })
    await expect.poll(async () => (await call(admin ?? 0, 'localhost', '/readyz')).status).toBe(503)
    await new Promise((resolve) => setTimeout(resolve, 150))
    for (const release of held.splice(0)) release()
    expect((await running).status).toBe(200)
    expect((await drained).cut).toBe(0)
    const lines = (await readFile(join(folder, 'access.log'), 'utf8')).trimEnd().split('\n')
    const records = lines.map((line): Record<string, unknown> => JSON.parse(line))
    expect(records).toHaveLength(21)
    for (const record of records) {
      expect(record).toMatchObject({ 'atrium.tenant': 'acme', 'http.response.status_code': 200 })
      expect(JSON.stringify(record)).not.toContain('hidden-')
    }
  })

  it('lets clients go while it is unready, and still takes them', async () => {
    const dataplane = await start()
    await dataplane.activate(smallSnapshot([acme()]), 1)
    const { http } = dataplane.ports
    const agent = new Agent({ keepAlive: true })
    const connection = () =>
      new Promise<string | undefined>((resolve, reject) => {
        const sent = request({ host: '127.0.0.1', port: http, agent, headers: { host: 'acme.test' } }, (response) => {
          response.resume().on('end', () => resolve(response.headers.connection))
        })
        sent.on('error', reject).end()
      })
    expect(await connection()).toBe('keep-alive')
    const drained = dataplane.drain({ unreadyFor: 1_500, timeout: 5_000 })
    await expect.poll(connection).toBe('close')
    expect(await connection()).toBe('close')
    expect((await drained).cut).toBe(0)
    agent.destroy()
  })
})

describe('ports', () => {
  it('says when a port is taken, and never shares it with another Atrium', async () => {
    const dataplane = await start()
    await dataplane.activate(smallSnapshot([acme()]), 1)
    const { http } = dataplane.ports
    const options = { workers: 2, host: '127.0.0.1', port: http, tlsPort: null, adminPort: null, accessLog: 'off' }
    await expect(startDataplane(options)).rejects.toMatchObject({ name: 'PortTaken', port: http, code: 'EADDRINUSE' })
  })
})

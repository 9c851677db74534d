// Runs against a whole dataplane that prove its limits: the admitted rate, the bound on requests in flight, and that
// nothing is left behind after requests that clients and backends cut off at any point. Used by test/long/limits.ts at
// full size and by dataplane/main-limits.test.ts at a thousandth of it.
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Dataplane } from '../../dataplane/main.ts'

/** A backend that does what the path says, and knows how many requests were in it at once. */
export interface CountingBackend {
  readonly port: number
  readonly highest: () => number
  readonly seen: () => number
  close(): Promise<void>
}

/** Paths: /ok answers at once, /wait answers after some milliseconds, /cut/KIND breaks off. */
export async function startCountingBackend(): Promise<CountingBackend> {
  let inside = 0
  let highest = 0
  let seen = 0
  const server: Server = createServer((req, res) => {
    seen++
    inside++
    highest = Math.max(highest, inside)
    let left = false
    const leave = () => {
      if (!left) inside--
      left = true
    }
    res.once('close', leave)
    req.on('error', () => {})
    res.on('error', () => {})
    const path = req.url ?? ''
    // Counted out before the answer goes: a client that has it may send the next request.
    const answer = () => {
      leave()
      res.end('answer of the backend')
    }
    if (path.startsWith('/wait')) setTimeout(answer, 2 + Math.random() * 8)
    else if (path.startsWith('/cut/reset')) setTimeout(() => req.socket.resetAndDestroy(), Math.random() * 5)
    else if (path.startsWith('/cut/head')) {
      req.socket.write('HTTP/1.1 200 OK\r\ncontent-le')
      setTimeout(() => req.socket.destroy(), Math.random() * 5)
    } else if (path.startsWith('/cut/body')) {
      res.writeHead(200, { 'content-length': '100000' })
      res.write('x'.repeat(1 + Math.floor(Math.random() * 60_000)))
      setTimeout(() => req.socket.destroy(), Math.random() * 5)
    } else if (path.startsWith('/cut/interim')) {
      res.writeProcessing()
      setTimeout(() => req.socket.destroy(), Math.random() * 5)
    } else answer()
  })
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    highest: () => highest,
    seen: () => seen,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Sends one request after the other on each of `connections`, until `until` (performance.now) has come. */
async function sendUntil(
  port: number,
  request: string,
  connections: number,
  until: number,
  answered: (status: number) => void,
): Promise<void> {
  const bytes = Buffer.from(request, 'latin1')
  await Promise.all(
    Array.from(
      { length: connections },
      () =>
        new Promise<void>((resolve, reject) => {
          const socket = connect({ port, host: '127.0.0.1', noDelay: true })
          let text = ''
          socket.on('connect', () => socket.write(bytes))
          socket.on('error', reject)
          socket.on('close', () => resolve())
          socket.on('data', (chunk) => {
            text += chunk.toString('latin1')
            for (;;) {
              const head = text.indexOf('\r\n\r\n')
              if (head < 0) return
              const length = Number(/content-length: *([0-9]+)/i.exec(text.slice(0, head))?.[1] ?? Number.NaN)
              if (Number.isNaN(length)) return reject(new Error(`no length in ${text.slice(0, head)}`))
              if (text.length < head + 4 + length) return
              answered(Number(text.slice(9, 12)))
              text = text.slice(head + 4 + length)
              if (performance.now() < until) socket.write(bytes)
              else socket.end()
            }
          })
        }),
    ),
  )
}

function requestFor(host: string, path: string): string {
  return `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`
}

/** What a run at a limit came to. */
export interface RateRun {
  readonly offered: number
  readonly admitted: number
  /** From before the first request to the last answer. */
  readonly seconds: number
  /** Admitted per second divided by the limit, from the moment that the burst was used up. */
  readonly ratio: number
}

/** Offers more than `rate` for some seconds after the burst is used up. */
export async function runRate(
  port: number,
  host: string,
  rate: { readonly count: number },
  seconds: number,
  connections = 16,
): Promise<RateRun> {
  const from = performance.now()
  let offered = 0
  let admitted = 0
  // Until then a bucket that is asked slower than it fills stays full, and that time counts for nothing.
  let emptyAt = 0
  let admittedSince = 0
  let last = from
  await sendUntil(port, requestFor(host, '/ok'), connections, from + seconds * 1000, (status) => {
    offered++
    last = performance.now()
    if (status === 429) {
      if (emptyAt === 0) emptyAt = last
      return
    }
    if (status !== 200) throw new Error(`the answer was ${status}`)
    admitted++
    if (emptyAt !== 0) admittedSince++
  })
  const steady = (last - emptyAt) / 1000
  return { offered, admitted, seconds: (last - from) / 1000, ratio: admittedSince / steady / rate.count }
}

/** Presses against a bound on requests in flight for some seconds. Returns answers by status. */
export async function runConcurrency(
  port: number,
  host: string,
  seconds: number,
  connections: number,
): Promise<ReadonlyMap<number, number>> {
  const statuses = new Map<number, number>()
  await sendUntil(port, requestFor(host, '/wait'), connections, performance.now() + seconds * 1000, (status) => {
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
  })
  return statuses
}

const KINDS = ['/ok', '/wait', '/cut/reset', '/cut/head', '/cut/body', '/cut/interim']

/** One request that ends somewhere: in its head, in its body, before, in or after its answer. */
function cutOne(port: number, host: string): Promise<void> {
  return new Promise((resolve) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const path = KINDS[Math.floor(Math.random() * KINDS.length)] ?? '/ok'
    const post = Math.random() < 0.4
    const length = post ? Math.floor(Math.random() * 50_000) : 0
    const head = post
      ? `POST ${path} HTTP/1.1\r\nhost: ${host}\r\ncontent-length: ${length}\r\n\r\n`
      : requestFor(host, path)
    const whole = Buffer.concat([Buffer.from(head, 'latin1'), Buffer.alloc(length, 0x61)])
    const fate = Math.random()
    const end = () => {
      clearTimeout(timer)
      resolve()
    }
    const timer = setTimeout(() => socket.destroy(), fate < 0.8 ? Math.random() * 15 : 10_000)
    socket.on('error', () => {})
    socket.on('close', end)
    socket.on('connect', () => {
      if (fate < 0.3) {
        socket.write(whole.subarray(0, Math.floor(Math.random() * whole.length)))
        setTimeout(() => (Math.random() < 0.5 ? socket.destroy() : socket.resetAndDestroy()), Math.random() * 5)
      } else socket.write(whole)
    })
    // Those that live read an answer, or what there is of it, and go.
    socket.on('data', () => {
      if (Math.random() < 0.3) socket.destroy()
      else setTimeout(() => socket.destroy(), 20)
    })
  })
}

/** Sends `count` requests that are cut off, `width` at a time. */
export async function runCuts(port: number, host: string, count: number, width: number): Promise<void> {
  let left = count
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (left-- > 0) await cutOne(port, host)
    }),
  )
}

/** Everything that is still held, in words; empty when all counts are back at zero. */
export async function leftovers(plane: Dataplane): Promise<readonly string[]> {
  const found: string[] = []
  for (const tenant of (await plane.status()).tenants) {
    if (tenant.concurrency !== 0) found.push(`${tenant.tenant}: concurrency ${tenant.concurrency}`)
    if (tenant.connections !== 0) found.push(`${tenant.tenant}: connections ${tenant.connections}`)
    if (tenant.activeRequests !== 0) found.push(`${tenant.tenant}: active requests ${tenant.activeRequests}`)
    for (const endpoint of tenant.endpoints) {
      if (endpoint.inFlight !== 0)
        found.push(`${tenant.tenant}: ${endpoint.inFlight} in flight at port ${endpoint.port}`)
    }
  }
  for (const line of (await plane.metricsText()).split('\n')) {
    if (/^atrium_connections\{/.test(line) && !line.endsWith(' 0')) found.push(line)
  }
  return found
}

/** Waits until nothing is held; returns what still is when the time is over. */
export async function untilNothingIsLeft(plane: Dataplane, milliseconds: number): Promise<readonly string[]> {
  const end = performance.now() + milliseconds
  for (;;) {
    const found = await leftovers(plane)
    if (found.length === 0 || performance.now() > end) return found
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
